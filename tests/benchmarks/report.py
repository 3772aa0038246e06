"""What the command tells: a table for people, JSON for programs, and the table of the README."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pglog_audit.errors import ConfigurationError

from .comparison import Cost
from .figures import FIGURES, Figure, Measured

BEGIN, END = "<!-- written by python -m tests.benchmarks: begin -->\n", "<!-- end -->\n"
UNITS = {
    "rows_per_s": "rows/s",
    "events_per_s": "events/s",
    "lines_per_s": "lines/s",
    "us": "µs",
    "ms": "ms",
    "s": "s",
    "mb": "MB",
    "mib": "MiB",
}
"""How the names of parts end, and what that is called."""


def missed(measured: Mapping[str, Measured]) -> list[str]:
    """Return the letters of the figures that are not what they must be."""
    return [f.letter for f in FIGURES if f.letter in measured and not f.meets(f.must, measured[f.letter].ratio)]


def table(measured: Mapping[str, Measured]) -> str:
    """Return the figures that were *measured*, a row each, as text in columns."""
    rows = [("", "figure", "must", "aim", "measured", "kept", "behind it"), *_rows(measured)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def peers(costs: Mapping[str, Cost]) -> str:
    """Return what ours and the peers cost, a line each."""
    return "\n".join(f"{name:12}  {_us(cost):>8} µs a call  {_rate(cost):>7} rows/s" for name, cost in costs.items())


def markdown(measured: Mapping[str, Measured], machine: Mapping[str, Any]) -> str:
    """Return the table for the README, with what it was measured on."""
    rows = [["", "figure", "must", "aim", "measured", "behind it"], ["---"] * 6]
    rows += [[*row[:5], row[6]] for row in _rows(measured)]
    told = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\nMeasured on {told}.\n"


def replace_in(path: Path, text: str) -> None:
    """
    Put *text* between the two marks in the file at *path*.

    :raises ConfigurationError: the marks are not there.
    """
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ConfigurationError(f"{path} has no place for the figures: put {BEGIN.strip()} and {END.strip()} there")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def as_json(measured: Mapping[str, Measured], costs: Mapping[str, Cost], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is known of the run."""
    figures = [_as_json(figure, measured[figure.letter]) for figure in FIGURES if figure.letter in measured]
    return {
        "machine": dict(machine),
        "figures": figures,
        "peers": {name: asdict(cost) for name, cost in costs.items()},
    }


def _as_json(figure: Figure, measured: Measured) -> dict[str, Any]:
    kept = judgement(figure, measured)
    return {**asdict(figure), "measured": measured.ratio, "kept": kept, "parts": measured.parts}


def _rows(measured: Mapping[str, Measured]) -> list[tuple[str, ...]]:
    return [_row(figure, measured[figure.letter]) for figure in FIGURES if figure.letter in measured]


def _row(figure: Figure, measured: Measured) -> tuple[str, ...]:
    bounds = (bound(figure, figure.must), bound(figure, figure.aim))
    return (figure.letter, figure.title, *bounds, number(measured.ratio), judgement(figure, measured), parts(measured))


def bound(figure: Figure, value: float) -> str:
    """Return one of the figure's bounds, as its table writes it."""
    return f"{'≤' if figure.at_most else '≥'} {value:g}"


def judgement(figure: Figure, measured: Measured) -> str:
    """Return which of its bounds a figure keeps: the aim, the must alone, or none."""
    if not figure.meets(figure.must, measured.ratio):
        return "none"
    return "aim" if figure.meets(figure.aim, measured.ratio) else "must"


def parts(measured: Measured) -> str:
    """Return the absolute numbers behind a ratio in one line."""
    return ", ".join(f"{_with_unit(name, number(value))}" for name, value in measured.parts.items())


def _with_unit(name: str, value: str) -> str:
    for ending, unit in UNITS.items():
        if f"_{name}".endswith(f"_{ending}"):
            return f"{name.removesuffix(ending).replace('_', ' ')}{value} {unit}"
    return f"{name.replace('_', ' ')} {value}"


def number(value: float) -> str:
    """Return *value* with three digits, or as a whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _us(cost: Cost) -> str:
    return number(cost.call_us)


def _rate(cost: Cost) -> str:
    return number(cost.rows_per_s)
