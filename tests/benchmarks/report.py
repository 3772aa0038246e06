"""What the command tells: a table for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from .figures import FIGURES, Figure, Measured


def missed(measured: Mapping[str, Measured]) -> list[str]:
    """Return the letters of the figures that are not what they must be."""
    return [f.letter for f in FIGURES if f.letter in measured and not f.meets(f.must, measured[f.letter].ratio)]


def table(measured: Mapping[str, Measured]) -> str:
    """Return the figures that were *measured*, a row each, as text in columns."""
    rows = [("", "figure", "must", "aim", "measured", "", "behind it")]
    rows += [_row(figure, measured[figure.letter]) for figure in FIGURES if figure.letter in measured]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(figure: Figure, measured: Measured) -> tuple[str, ...]:
    bounds = (bound(figure, figure.must), bound(figure, figure.aim))
    return (figure.letter, figure.title, *bounds, number(measured.ratio), judgement(figure, measured), parts(measured))


def bound(figure: Figure, value: float) -> str:
    """Return one of the figure's bounds, as its table writes it."""
    return f"{'≤' if figure.at_most else '≥'} {value:g}"


def judgement(figure: Figure, measured: Measured) -> str:
    """Return which of its bounds a figure keeps."""
    if not figure.meets(figure.must, measured.ratio):
        return "MISSED"
    return "aim" if figure.meets(figure.aim, measured.ratio) else "must"


def parts(measured: Measured) -> str:
    """Return the absolute numbers behind a ratio in one line."""
    return ", ".join(f"{name} {number(value)}" for name, value in measured.parts.items())


def number(value: float) -> str:
    """Return *value* with three digits, or as a whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(measured: Mapping[str, Measured], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is known of the run, for JSON."""
    figures: Sequence[dict[str, Any]] = [
        {
            "letter": figure.letter,
            "figure": figure.title,
            "must": figure.must,
            "aim": figure.aim,
            "at_most": figure.at_most,
            "measured": measured[figure.letter].ratio,
            "kept": judgement(figure, measured[figure.letter]),
            "parts": measured[figure.letter].parts,
        }
        for figure in FIGURES
        if figure.letter in measured
    ]
    return {"machine": machine, "figures": figures}
