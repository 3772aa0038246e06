"""The events that were captured, and the questions that a test has to them."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from ..audit_event import EVENT_FIELDS, AuditEvent
from ..column_types import CHECKS, REFUSED, keep_refused
from ..errors import ConfigurationError
from ..event import ID_FIELDS, OUTCOMES, near_field
from ..libraries import find

ID_TYPES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "uuid": ("uuid", lambda value: UUID(str(value))),
    "bigint": ("int8", int),
    "integer": ("int4", int),
    "text": ("text", str),
}
"""The types of id columns: how pg_type calls each, and what makes a row's value of that of a line."""

_MOST_SHOWN = 20
_ABSENT = object()


class Match:
    """Whether an event has what was asked for: true or false, and in its text why."""

    def __init__(self, problem: str = "") -> None:
        self._problem = problem

    def __bool__(self) -> bool:
        return not self._problem

    def __repr__(self) -> str:
        return self._problem or "there is such an event"


class CapturedEvents(Sequence[AuditEvent]):
    """
    The events of a test, in the order in which they were logged, as their rows would have been.

    A question names fields, columns of yours, or keys of the metadata that have no field. A mapping stands for each
    that has at least its keys with these values; ids may be UUIDs or text. A name that no event has, and that is nearly
    that of a field, is a TypeError; an outcome that no event can have is a ValueError.

    :param id_types: see :func:`~pglog_audit.testing.capture_audit`.
    :raises ConfigurationError: *id_types* names what is no id column, or no type of one.
    """

    def __init__(self, id_types: Mapping[str, str] | None = None) -> None:
        self._events: list[AuditEvent] = []
        self._id_types = id_types
        for field, kind in (id_types or {}).items():
            if field not in ID_FIELDS or kind not in ID_TYPES:
                raise ConfigurationError(
                    f"id type {kind!r} for {field}: the id columns are {', '.join(sorted(ID_FIELDS))}, "
                    f"the types {', '.join(ID_TYPES)}"
                )

    def add(self, snapshot: str) -> None:
        """Add the event of *snapshot*."""
        event = json.loads(snapshot)
        event["occurred_at"] = datetime.fromtimestamp(event["occurred_at"], UTC)
        self._convert(event)
        extra = event.pop("extra", None) or {}
        # Without a lock: a signal handler or a finalizer may log in the middle of it.
        self._events.append(AuditEvent(**event, extra=extra))

    def _convert(self, event: dict[str, Any]) -> None:
        """Give ids and address in *event* the types of their columns, and move what these would refuse."""
        types = self._id_types if self._id_types is not None else _types_of_django()
        refused = {}
        for field in sorted({*ID_FIELDS, "source_ip"} & event.keys()):
            base, convert = ("inet", str) if field == "source_ip" else ID_TYPES[types.get(field, "uuid")]
            value = event[field]
            if value is None:
                continue
            if CHECKS.get(base, bool)(value):
                event[field] = convert(value)
            else:
                refused[field] = event.pop(field)
        if refused:
            keep_refused(event, refused)

    def clear(self) -> None:
        """Forget what was captured so far."""
        self._events.clear()

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: Any) -> Any:
        return self._events[index]

    def __iter__(self) -> Iterator[AuditEvent]:
        return iter(list(self._events))

    def __repr__(self) -> str:
        return f"<{_count(len(self))}: {', '.join(event.action for event in list(self)[:_MOST_SHOWN])}>"

    def matching(self, **fields: Any) -> list[AuditEvent]:
        """Return the events that have *fields*."""
        self._check(fields)
        return [event for event in self if not _differences(event, fields)]

    def has(self, **fields: Any) -> Match:
        """Tell whether an event has *fields*; if not, the answer's text names the nearest one and what differs."""
        return Match() if self.matching(**fields) else Match(" ".join(map(str.strip, self._nearest(fields))))

    def one(self, **fields: Any) -> AuditEvent:
        """
        Return the event that has *fields*.

        :raises AssertionError: there is none, or more than one.
        """
        found = self.matching(**fields)
        if len(found) == 1:
            return found[0]
        if found:
            raise AssertionError(_lines(f"{len(found)} events have {_shown(fields)}, not one:", *map(_line, found)))
        raise AssertionError(_lines(*self._nearest(fields), "", f"{_count(len(self))} in all:", *map(_line, self)))

    def none(self, **fields: Any) -> None:
        """
        Check that no event has *fields*; without any, that there is no event at all.

        :raises AssertionError: there is one.
        """
        if found := self.matching(**fields):
            having = f"with {_shown(fields)}" if fields else "altogether"
            raise AssertionError(_lines(f"there is {_count(len(found))} {having}:", *map(_line, found)))

    def text(self) -> str:
        """Return a line for each event."""
        return _lines(f"{_count(len(self))}", *map(_line, self))

    def _check(self, fields: Mapping[str, Any]) -> None:
        for name in fields.keys() - EVENT_FIELDS:
            is_known = any(_found(event, name) is not _ABSENT for event in self)
            if not is_known and (near := near_field(name)):
                raise TypeError(
                    f"audit events have no field {name}: is it {near}? For a key of the metadata write "
                    f"metadata={{{name!r}: ...}}"
                )
        outcome = fields.get("outcome", OUTCOMES[0])
        if not any(_is_same(outcome, known) for known in OUTCOMES):
            likely = difflib.get_close_matches(str(outcome), OUTCOMES, 1)
            meant = f" (is it {likely[0]}?)" if likely else ""
            raise ValueError(f"no event has the outcome {outcome!r}{meant}: the outcomes are {', '.join(OUTCOMES)}")

    def _nearest(self, fields: Mapping[str, Any]) -> list[str]:
        """Return the lines that say that no event has *fields*."""
        events = list(self)
        if not events:
            return [f"no event has {_shown(fields)}: none was logged where an audit handler hears it"]
        nearest = min(events, key=lambda event: len(_differences(event, fields)))
        differing = [f"  {difference}" for difference in _differences(nearest, fields)]
        return [f"no event has {_shown(fields)}; of the nearest, {nearest.action},", *differing]


def _differences(event: AuditEvent, fields: Mapping[str, Any]) -> list[str]:
    found = {name: _found(event, name) for name in fields}
    return [
        f"{name} is {_told(event, name, found[name])}, not {wanted!r}"
        for name, wanted in fields.items()
        if not _is_same(wanted, found[name])
    ]


def _told(event: AuditEvent, name: str, found: Any) -> str:
    refused = event.metadata.get(REFUSED)
    if name in ID_FIELDS and found is None and isinstance(refused, dict) and name in refused:
        return f"None, since its column refuses {refused[name]!r} (another type of it is for audit_id_types)"
    return "not there" if found is _ABSENT else repr(found)


def _found(event: AuditEvent, name: str) -> Any:
    if name in EVENT_FIELDS:
        return getattr(event, name)
    return event.extra.get(name, event.metadata.get(name, _ABSENT))


def _is_same(wanted: object, found: Any) -> bool:
    """Compare what a test has with what JSON made of it."""
    if wanted == found:
        return True
    if isinstance(wanted, UUID) or isinstance(found, UUID):
        return _as_uuid(wanted) == _as_uuid(found)
    if isinstance(wanted, Enum):
        return _is_same(wanted.value, found)
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(name in found and _is_same(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list | tuple) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_is_same, wanted, found))
    return False


def _as_uuid(value: object) -> object:
    with suppress(ValueError):
        return UUID(str(value))
    return value


def _types_of_django() -> Mapping[str, str]:
    """Return what the migration of the Django integration makes of id columns, if the application has that."""
    types: dict[str, str] = {}
    with suppress(Exception):  # settings that are not there yet, or wrong: the migration says so
        for id_types in find("pglog_audit.integrations.django.audit_settings", "id_types"):
            types.update(id_types())
    return types


def _shown(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fields.items()) or "happened"


def _line(event: AuditEvent) -> str:
    said = {name: getattr(event, name) for name in EVENT_FIELDS if name not in ("action", "occurred_at")}
    given = {name: value for name, value in {**said, **event.extra}.items() if value not in (None, {})}
    return f"  {event.action} {_shown(given)}"


def _lines(*lines: str) -> str:
    shown = list(lines[:_MOST_SHOWN])
    return "\n".join([*shown, *([f"  … {len(lines) - _MOST_SHOWN} more lines"] if len(lines) > _MOST_SHOWN else [])])


def _count(number: int) -> str:
    return f"{number} event" if number == 1 else f"{number} events"
