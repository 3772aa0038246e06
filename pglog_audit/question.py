"""A question to the audit table: which events, in which order, and how many of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from .errors import ConfigurationError
from .event import OUTCOMES
from .page_cursor import Position

MAX_LIMIT = 1000
"""The longest page, in events."""

_LIFECYCLE = "audit."
_BELOW = ".*"


class Condition(NamedTuple):
    """A condition of a statement: its SQL file, the field it looks at, and the parameter with its value."""

    statement: str
    field: str
    parameter: str = ""


class Range(NamedTuple):
    """A stretch of time, from its lower end up to before its upper one; None is open."""

    lower: datetime | None
    upper: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What is asked, checked as far as that needs no server.

    :raises ConfigurationError: it can never be answered; the message says what to ask instead.
    """

    equal: Mapping[str, str]
    """The values that fields must have, as text: the server reads each as what its column is."""
    outcomes: tuple[str, ...] = ()
    """The outcomes that do; none for all."""
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    position: Position | None = None
    reverse: bool = False
    include_lifecycle: bool = False

    def __post_init__(self) -> None:
        _check_limit(self.limit)
        _check_outcomes(self.outcomes)
        _check_action(self.action)
        _check_times(self.since, self.until)

    def conditions(self) -> Iterator[Condition]:
        """Return what the events must meet."""
        yield from (Condition("timeline_equal", name, name) for name in self.equal)
        if self.outcomes:
            yield Condition("timeline_any" if len(self.outcomes) > 1 else "timeline_equal", "outcome", "outcome")
        if self.action is not None:
            below = self.action.endswith(_BELOW)
            yield Condition("timeline_below" if below else "timeline_equal", "action", "action")
        elif not self.include_lifecycle:
            yield Condition("timeline_not_lifecycle", "action")
        if self.since is not None:
            yield Condition("timeline_from", "occurred_at", "since")
        if self.until is not None:
            yield Condition("timeline_before", "occurred_at", "until")
        if self.position is not None:
            yield Condition("timeline_newer" if self.reverse else "timeline_older", "occurred_at")

    def parameters(self) -> dict[str, Any]:
        """Return the values that the conditions name."""
        given: dict[str, Any] = {**self.equal, "since": self.since, "until": self.until}
        if self.outcomes:
            given["outcome"] = [*self.outcomes] if len(self.outcomes) > 1 else self.outcomes[0]
        if self.action is not None:
            given |= _action_parameters(self.action)
        if self.position is not None:
            given |= {"cursor_time": self.position.time, "cursor_id": self.position.id}
        return {name: value for name, value in given.items() if value is not None}

    def ranges(self, edges: tuple[datetime, ...]) -> list[Range]:
        """Return the ranges between *edges* that can hold an answer, in the order of the page."""
        oldest, newest = self._reach()
        found = [
            Range(lower, upper)
            for lower, upper in pairwise((None, *edges, None))
            if not (lower and newest and lower > newest) and not (upper and oldest and upper <= oldest)
        ]
        return found if self.reverse else found[::-1]

    def _reach(self) -> tuple[datetime | None, datetime | None]:
        reached = self.position.moment if self.position else None
        if self.reverse:
            return reached or self.since, self.until
        return self.since, reached or self.until


def _action_parameters(action: str) -> dict[str, str]:
    if not action.endswith(_BELOW):
        return {"action": action}
    prefix = action.removesuffix("*")
    # In the order of bytes all that begins with "branding." lies between it and "branding/".
    return {"action": prefix, "action_end": prefix[:-1] + chr(ord(".") + 1)}


def _check_limit(limit: int) -> None:
    if not (isinstance(limit, int) and 1 <= limit <= MAX_LIMIT):
        raise ConfigurationError(f"limit is {limit!r}: ask for 1 to {MAX_LIMIT} events, and for more by the cursor")


def _check_outcomes(outcomes: tuple[str, ...]) -> None:
    for outcome in outcomes:
        if outcome not in OUTCOMES:
            raise ConfigurationError(f"outcome is {outcome!r}: the outcomes are {', '.join(OUTCOMES)}")


def _check_action(action: str | None) -> None:
    if not isinstance(action, str | None):
        raise ConfigurationError(f"action is {action!r}: ask for one, as text, or for all below one: branding.*")
    if (action is not None and "*" in action.removesuffix(_BELOW)) or action == _BELOW:
        raise ConfigurationError(
            f"action is {action!r}: a * may only end it, after a dot: branding.* is every action below branding"
        )


def _check_times(since: datetime | None, until: datetime | None) -> None:
    for name, time in (("since", since), ("until", until)):
        if time is not None and not (isinstance(time, datetime) and time.utcoffset() is not None):
            raise ConfigurationError(f"{name} is {time!r}: pass a datetime with a time zone")
    if since is not None and until is not None and since >= until:
        raise ConfigurationError(f"since {since} is not before until {until}: until is the end, and not part of it")
