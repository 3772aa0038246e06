"""The house rules that no other tool holds."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {"pyproject.toml", "pglog_audit", "examples", "tests", "README.md", "LICENSE", "CHANGELOG.md"}
LONGEST = 350
# In two halves, or this file would be its own first find.
STUBS = re.compile(
    "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error", "pragma: no" + " cover"])
)


def sources(*directories: str, suffix: str = ".py") -> Iterator[Path]:
    """Return the files of *directories*."""
    for directory in directories:
        yield from (ROOT / directory).rglob(f"*{suffix}")


def test_the_top_level_holds_nothing_else() -> None:
    """What is no dotfile and not ignored by git has its place in one of the known directories."""
    ignored = [pattern.strip("/") for pattern in (ROOT / ".gitignore").read_text().split()]
    entries = {entry.name for entry in ROOT.iterdir() if not entry.name.startswith(".")}
    assert {name for name in entries if not any(fnmatch(name, pattern) for pattern in ignored)} == TOP_LEVEL


def test_no_module_is_too_long() -> None:
    """A module that is longer than 350 lines is more than one noun."""
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in sources("pglog_audit")}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_sql_file_says_what_it_gives() -> None:
    """The first line is a comment, the second none of the rest of it: one sentence."""
    files = list(sources("pglog_audit", suffix=".sql"))
    assert files
    for path in files:
        first, second = path.read_text("utf-8").splitlines()[:2]
        assert re.match(r"-- \w", first), path
        assert not second.startswith("--"), path


def test_no_sql_file_has_a_backslash() -> None:
    """Where standard_conforming_strings is off, it would vanish from a pattern."""
    assert [path for path in sources("pglog_audit", suffix=".sql") if "\\" in path.read_text("utf-8")] == []


def test_sql_stands_in_sql_files() -> None:
    """No statement is written out in Python, and none is put together by formatting."""
    for path in sources("pglog_audit"):
        assert not re.search(r"""\.execute\w*\(\s*[rf]?["']|SQL\(\s*f["']""", path.read_text("utf-8")), path


def test_nothing_is_left_to_be_done() -> None:
    """What is there is whole: no marks of work put off, in code, tests and examples."""
    for path in sources("pglog_audit", "tests", "examples"):
        found = STUBS.search(path.read_text("utf-8"))
        assert not found, f"{path}: {found and found[0]}"


@pytest.mark.parametrize("path", sorted(sources("tests")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_says_its_behaviour(path: Path) -> None:
    """A test's docstring is a sentence."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert re.search(r"[.:]$", ast.get_docstring(node) or ""), f"{path}:{node.lineno} {node.name}"


def test_the_changelog_has_a_place_for_the_next_release() -> None:
    """The first heading is Unreleased, and it has entries."""
    headings = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert re.match(r"\[Unreleased\]\n\n### \w+\n\n- ", headings[1])


def test_type_checkers_find_the_types() -> None:
    """PEP 561: without this file the annotations count for nobody."""
    assert (ROOT / "pglog_audit" / "py.typed").is_file()
