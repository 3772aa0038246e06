"""The matrix of faults: which rows have tests."""

import re
from pathlib import Path

ROWS = {*range(1, 31)}
_FOLDERS = (Path(__file__).parent, Path(__file__).parents[1] / "integration")
_TEST = re.compile(r"^def test_row_(\d\d)_", re.MULTILINE)


def test_every_row_of_the_matrix_has_its_test():
    """A test says in its name which fault it shows."""
    paths = [path for folder in _FOLDERS for path in folder.glob("test_*.py")]
    found = {int(row) for path in paths for row in _TEST.findall(path.read_text("utf-8"))}
    assert found == ROWS
