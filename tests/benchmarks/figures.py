"""The figures: what is measured, what each must be and what it is to become, and what was measured."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """A ratio with its bounds; both are upper bounds if *at_most*, else lower ones."""

    letter: str
    title: str
    must: float
    aim: float
    at_most: bool

    def meets(self, bound: float, ratio: float) -> bool:
        """Tell whether *ratio* keeps *bound*, one of the two."""
        return ratio <= bound if self.at_most else ratio >= bound


@dataclass(frozen=True)
class Measured:
    """A measured ratio and the absolute numbers behind it, whose names end with their unit: ``{"ours_us": 4.1}``."""

    ratio: float
    parts: dict[str, float] = field(default_factory=dict)


FIGURES = (
    Figure("a", "caller's overhead over a NullHandler ÷ the stock QueueHandler's", 0.70, 0.45, at_most=True),
    Figure("b", "the same in audit_context, 2 kB of metadata, masked ÷ json.dumps of it", 1.2, 0.8, at_most=True),
    Figure("c", "caller's overhead with a journal ÷ the stock QueueHandler's", 1.8, 1.2, at_most=True),
    Figure("d", "rows/s of the writer alone ÷ COPY of the same rows", 0.60, 0.75, at_most=False),
    Figure("e", "events/s from call to row ÷ the stock pair's, one INSERT a record", 10, 16, at_most=False),
    Figure("f", "process CPU per event ÷ the stock pair's", 0.15, 0.08, at_most=True),
    Figure("g", "caller's p99.9 with a spool, the database down ÷ up", 1.5, 1.0, at_most=True),
    Figure("h", "MB over max_bytes after 1,000,000 events, the database down, with a spool", 48, 16, at_most=True),
    Figure("i", "rows/s with 10,000,000 rows in the month ÷ into an empty one", 0.45, 0.70, at_most=False),
    Figure("j", "first page of a timeline, 10,000,000 rows ÷ 10,000", 2, 1.2, at_most=True),
    Figure("k", "rows/s of the replay of 1,000,000 spooled lines ÷ the writer's alone", 0.8, 1.0, at_most=False),
    Figure("l", "import of pglog_audit ÷ of the modules it cannot do without", 1.5, 1.2, at_most=True),
)
LETTERS = "".join(figure.letter for figure in FIGURES)
