"""The benchmark's own arithmetic and what it writes; its speed is nobody's test."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pglog_audit.errors import ConfigurationError
from tests.benchmarks import picture, pythons, report, workload
from tests.benchmarks.__main__ import SUBJECTS, main
from tests.benchmarks.comparison import Cost
from tests.benchmarks.figures import FIGURES, LETTERS, Figure, Measured
from tests.benchmarks.scale import FULL, QUICK, Scale, compare, in_turns, ratio

ROOT = Path(__file__).parents[2]
COSTS = {"pglog_audit": Cost(4.2, 30_000), "stock <pair>": Cost(8.4, 1_500)}
BELOW = Figure("a", "cost", 0.7, 0.45, at_most=True)
ABOVE = Figure("d", "rate", 0.6, 0.75, at_most=False)


@pytest.mark.parametrize(
    ("figure", "measured", "kept"),
    [
        (BELOW, 0.45, "aim"),
        (BELOW, 0.46, "must"),
        (BELOW, 0.70, "must"),
        (BELOW, 0.71, "none"),
        (ABOVE, 0.75, "aim"),
        (ABOVE, 0.74, "must"),
        (ABOVE, 0.60, "must"),
        (ABOVE, 0.59, "none"),
    ],
)
def test_bounds(figure, measured, kept):
    """A bound is kept by what equals it, from the right side."""
    assert report.judgement(figure, Measured(measured)) == kept


def test_aims_are_harder_than_musts():
    """Whoever keeps the aim keeps the must."""
    assert all(figure.meets(figure.must, figure.aim) for figure in FIGURES)


def test_each_figure_has_one_subject():
    """Every letter is measured by one module, and each module measures some."""
    assert sorted("".join(SUBJECTS.values())) == sorted(LETTERS)
    assert {(ROOT / "tests" / "benchmarks" / f"{name}.py").is_file() for name in SUBJECTS} == {True}


def test_rounds_take_turns():
    """Every other round goes the other way, so that nobody is always the first."""
    order: list[str] = []
    numbers = in_turns(3, {"one": lambda: order.append("one") or 1.0, "two": lambda: order.append("two") or 2.0})
    assert order == ["one", "two", "two", "one", "one", "two"]
    assert numbers == {"one": [1.0, 1.0, 1.0], "two": [2.0, 2.0, 2.0]}


def test_the_ratio_is_that_of_the_rounds():
    """It is the median of ratios, not the ratio of medians: a slow round slows both."""
    assert ratio([10, 200, 30], [20, 100, 30]) == 1.0
    rounds = iter([10.0, 20.0, 100.0, 200.0, 30.0, 30.0])
    assert compare(3, lambda: next(rounds), lambda: next(rounds)) == (0.5 * 2, 30.0, 30.0)


def test_a_rough_answer_takes_fewer_events():
    """A twentieth is enough for it, but no fewer than 1,000, unless there never were more."""
    assert [QUICK.events(count) for count in (1_000_000, 5_000, 300)] == [50_000, 1_000, 300]
    assert FULL.events(1_000_000) == 1_000_000


def test_all_figures_are_wanted_unless_some_are_named():
    """``only`` names those that are."""
    assert all(map(QUICK.wants, LETTERS))
    assert [letter for letter in LETTERS if Scale(1, quick=True, only="ad").wants(letter)] == ["a", "d"]


def test_the_workload_is_the_same_in_every_run():
    """Its lines differ from each other, and only by id, writer and time from those of another run."""
    first, second = (
        [json.loads(line) for line in workload.lines_of(3)],
        [json.loads(line) for line in workload.lines_of(3)],
    )
    changing = ("id", "writer_id", "occurred_at")
    assert len({event["id"] for event in first + second}) == 6
    assert [event["writer_seq"] for event in first] == [1, 2, 3]
    assert [{k: v for k, v in event.items() if k not in changing} for event in first] == [
        {k: v for k, v in event.items() if k not in changing} for event in second
    ]
    assert len({event["target_id"] for event in first}) == 3


def test_the_nested_metadata_has_the_size_that_is_said():
    """It is 2 kB as JSON."""
    assert {round(len(json.dumps(metadata)) / 1000) for metadata in workload.nested_metadata(50)} == {2}


def test_the_table():
    """A row has the bounds, what was measured, which bound it keeps, and the numbers behind it with their units."""
    measured = {
        "d": Measured(0.5, {"ours_rows_per_s": 31_234.5}),
        "a": Measured(0.4, {"ours_us": 2.814, "rows_per_s": 7, "on_3.11": 0.4}),
    }
    _, a, d = report.table(measured).splitlines()
    assert a.split("  ")[0] == "a"
    assert a.endswith("≤ 0.7  ≤ 0.45  0.4       aim   ours 2.81 µs, 7 rows/s, on 3.11 0.4")
    assert d.endswith("≥ 0.6  ≥ 0.75  0.5       none  ours 31,234 rows/s")
    assert report.missed(measured) == ["d"]


def test_json():
    """It has each figure that was measured, with its bounds, and the peers."""
    told = report.as_json({"a": Measured(0.5, {"ours_us": 3.0})}, COSTS, {"cores": 2})
    [figure] = json.loads(json.dumps(told))["figures"]
    assert (figure["letter"], figure["must"], figure["aim"], figure["at_most"]) == ("a", 0.7, 0.45, True)
    assert (figure["measured"], figure["kept"], figure["parts"]) == (0.5, "must", {"ours_us": 3.0})
    assert told["peers"]["pglog_audit"] == {"call_us": 4.2, "rows_per_s": 30_000}
    assert told["machine"] == {"cores": 2}


def test_the_picture():
    """It is XML, tells in words what it shows, and its bars are as long as what they stand for."""
    root = ElementTree.fromstring(picture.draw(COSTS))
    svg = "{http://www.w3.org/2000/svg}"
    title, description = root.find(f"{svg}title"), root.find(f"{svg}desc")
    assert title is not None
    assert title.text
    assert description is not None
    assert description.text == "pglog_audit: 4.2 µs a call, 30,000 rows/s; stock <pair>: 8.4 µs a call, 1,500 rows/s."
    lengths = [float(bar.attrib["width"]) for bar in root.iter(f"{svg}rect")]
    assert lengths[0] * 2 == pytest.approx(lengths[1])
    assert lengths[3] * 20 == pytest.approx(lengths[2])
    texts = [text.text for text in root.iter(f"{svg}text")]
    assert [t for t in texts if t and t[0].isdigit()] == ["4.2 µs", "8.4 µs", "30,000 rows/s", "1,500 rows/s"]


def test_the_readme_gets_its_table_between_the_marks(tmp_path):
    """What stands around it stays, and a second run replaces the first one's."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n", "utf-8")
    for value in (0.5, 0.4):
        report.replace_in(readme, report.markdown({"a": Measured(value)}, {"cores": 2}))
    text = readme.read_text("utf-8")
    assert text.startswith(f"before\n{report.BEGIN}\n| ")
    assert text.endswith(f"\n\nMeasured on cores 2.\n\n{report.END}after\n")
    assert "| ≤ 0.7 | ≤ 0.45 | 0.4 |" in text
    assert "| 0.5 |" not in text


def test_a_readme_without_marks_stays_as_it_is(tmp_path):
    """Where the table would go is told."""
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n", "utf-8")
    with pytest.raises(ConfigurationError, match="has no place for the figures: put <!-- written by"):
        report.replace_in(readme, "table")
    assert readme.read_text("utf-8") == "nothing\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--only", "a,x"], "no such figure: 'x'; there are a to l"),
        (["--only", ""], "no such figure: ''; there are a to l"),
        (["--readme", "README.md", "--quick"], "--readme wants all figures, and no rough ones"),
        (["--readme", "README.md", "--only", "a"], "--readme wants all figures, and no rough ones"),
    ],
)
def test_arguments_that_can_never_work(arguments, error, capsys):
    """A wrong argument is told before anything starts."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert error in capsys.readouterr().err


def test_a_python_that_is_none():
    """What does not start is told by its path."""
    with pytest.raises(ConfigurationError, match="/nowhere/python does not start: No such file"):
        pythons.given([Path("/nowhere/python")])


def test_a_python_without_the_project(tmp_path):
    """What lacks a module is told with what to run."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"No module named .*: run .*python -m pip install -e '.\[bench\]'"):
        pythons.given([bare])


def test_what_a_call_costs_is_measured_for_all_that_is_compared(tmp_path):
    """The program tells the microseconds of each."""
    for letter, names in {"a": "ours null stock", "b": "ours null dumps", "c": "ours null stock"}.items():
        command = [sys.executable, "-m", "tests.benchmarks.call_costs", letter, "1", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        numbers = json.loads(done.stdout)
        assert list(numbers) == names.split()
        assert min(numbers.values()) > 0
        assert done.stderr == ""
