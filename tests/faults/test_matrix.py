"""The matrix of faults: which rows have tests."""

import re
from pathlib import Path

ROWS = {*range(1, 19), *range(23, 31)}
_TEST = re.compile(r"^def test_row_(\d\d)_", re.MULTILINE)


def test_every_row_of_the_matrix_has_its_test():
    """A test says in its name which fault it shows."""
    found = {int(row) for path in Path(__file__).parent.glob("test_*.py") for row in _TEST.findall(path.read_text())}
    assert found == ROWS
