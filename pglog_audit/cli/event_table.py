"""Events as a table to read: when, who, and all that was done."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import zip_longest
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.text import Text

from ..audit_event import AuditEvent
from .terminal import printable

_GAP = "  "
_WIDE = 120


def table_rows(events: Iterable[AuditEvent], console: Console) -> Iterator[str]:
    """
    Yield a header and the rows of *events* as *console* shows them.

    Nothing in them reaches the terminal as markup or control sequence. Labels stand in place of ids. Nothing is cut
    off, and from 40 columns on no UUID is folded.
    """
    table = _Table(console)
    for number, event in enumerate(events):
        yield (table.header() if number == 0 else "") + table.row(event)


def outcome_style(outcome: str | None) -> str:
    """Return rich's style of *outcome*: what was no success catches the eye."""
    return {None: "", "success": "", "failure": "bold red"}.get(outcome, "bold yellow")


class _Table:
    """Three columns, whose widths are fixed before the first event: the others are not known yet."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Date and time of day below each other, and the end of a UUID; where there is room, both whole.
        self._when, self._who = (25, 36) if console.width >= _WIDE else (14, 18)
        self._what = console.width - self._when - self._who - 2 * len(_GAP)
        # Beside the others a UUID would have no room: what was done stands below them.
        self._is_stacked = self._what < len("request ") + 36
        if self._is_stacked:
            self._what = max(console.width - len(_GAP), 10)

    def header(self) -> str:
        when, who, what = ([Text(name, "bold")] for name in ("When", "Who", "What"))
        line = "─" if self._console.encoding.startswith("utf") else "-"
        return self._shown([*self._lines(when, who, what), Text(line * self._console.width)])

    def row(self, event: AuditEvent) -> str:
        who = event.user_label or event.user_id
        shortened = isinstance(who, UUID) and len(str(who)) > self._who
        short = self._text(f"...{str(who)[-12:]}" if shortened else who)
        details = self._details(event, self._named("user", who) if shortened else None)
        when = self._text(_seconds(event.occurred_at))
        return self._shown(self._lines(self._fill(self._when, when), self._fill(self._who, short), [*details]))

    def _details(self, event: AuditEvent, user: Text | None) -> Iterator[Text]:
        outcome = None if event.outcome == "success" else event.outcome
        target = self._named(event.entity_type, event.target_label or event.target_id) or self._text(event.entity_type)
        action = self._text(event.action, "bold")
        yield from self._fill(self._what, action, self._text(outcome, outcome_style(outcome)), target)
        yield from self._fill(self._what, self._text(event.message))
        ids = {"impersonated by": event.impersonator_id, "event": event.event_id, "request": event.request_id}
        yield from self._fill(
            self._what, user, *(self._named(*pair) for pair in ids.items()), self._named("id", event.id)
        )

    def _text(self, value: Any, style: str = "") -> Text | None:
        # Text, never str: rich would read markup and emoji codes in a str.
        return None if value is None else Text(printable(str(value), self._console.encoding), style)

    def _named(self, name: str | None, value: Any) -> Text | None:
        return None if value is None else self._text(f"{name or ''} {value}".lstrip())

    def _fill(self, width: int, *texts: Text | None) -> list[Text]:
        """Return lines of *width* with as many of *texts* side by side as fit."""
        lines: list[Text] = []
        for text in filter(None, texts):
            if lines and lines[-1].cell_len + len(_GAP) + text.cell_len <= width:
                lines[-1] = Text.assemble(lines[-1], _GAP, text)
            else:
                lines += text.wrap(self._console, width, overflow="fold")
        return lines

    def _lines(self, when: list[Text], who: list[Text], what: list[Text]) -> Iterator[Text]:
        beside = zip_longest(when, who, [] if self._is_stacked else what, fillvalue=Text())
        for first, second, third in beside:
            yield Text(_GAP).join([_padded(first, self._when), _padded(second, self._who), third])
        if self._is_stacked:
            yield from (Text.assemble(_GAP, line) for line in what)

    def _shown(self, lines: Iterable[Text]) -> str:
        with self._console.capture() as captured:
            for line in lines:
                line.rstrip()
                self._console.print(line, soft_wrap=True)
        return captured.get()


def _padded(text: Text, width: int) -> Text:
    return Text.assemble(text, " " * (width - text.cell_len))


def _seconds(time: Any) -> Any:
    return time.isoformat(" ", "seconds") if isinstance(time, datetime) else time
