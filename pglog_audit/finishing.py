"""
What is left to do after the log call: from what it took down to the snapshot.

A log call encodes what it says as it is, in bytes. The writer, which has the time, looks at names and texts, and makes
the snapshot of it; what is not usual is cleaned as it would have been in the call.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from math import isfinite
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from . import diagnostics
from .careful_lines import ACTION, CLEANED, MAX_LINE, MAX_TEXT, CarefulLines
from .cleaning import PLAIN_FIELDS, PLAIN_TEXT, Cleaner
from .event import OUTCOMES
from .masking import Masker, may_hold_secret
from .shapes import Shapes

MAX_PLAIN_LINE = MAX_LINE // 4
"""Bytes up to which a line needs no cap."""
EXACT_TYPES = frozenset({str, int, bool, type(None), UUID})
"""Types whose values the encoder takes without a change, or not at all."""

USUAL_NAMES = (PLAIN_FIELDS | {"metadata"}) - {"outcome", "message", "service"}
"""Fields of which a log call alone says what they are."""

Parts: TypeAlias = tuple[str, ...]
"""Of a plain snapshot, as JSON without outer quotes and braces: time, sentence, service with its quotes, and fields."""

_PLAIN_TYPES = frozenset({str, UUID})
_MAX_CONTAINERS = 1000
_MOST_ACTIONS = 10_000


def is_exact(value: Any) -> bool:
    """
    Tell whether JSON has all that *value* says, and in how little; in doubt no.

    NaN would be a null, and a small value can hold the same list a billion times.
    """
    containers: list[Iterable[Any]] = [[value]]
    for container in islice(containers, _MAX_CONTAINERS):
        for item in container:
            if type(item) not in EXACT_TYPES:
                if type(item) is dict:
                    containers.append(item.values())
                elif type(item) is list:
                    containers.append(item)
                elif type(item) is not float or not isfinite(item):
                    return False
    return len(containers) <= _MAX_CONTAINERS


def completed(event: Mapping[str, Any], outcome: str, sentence: str | None, service: str | None) -> dict[str, Any]:
    """Return *event* with what its record and formatter say of what it leaves open."""
    complete = {"outcome": outcome, **event}
    if sentence is not None and "message" not in complete:
        complete["message"] = sentence
    if service is not None and "service" not in complete:
        complete["service"] = service
    return complete


def created(snapshot: bytes) -> float:
    """Return when what the unfinished *snapshot* says was logged, in seconds since the epoch; 0 without a time."""
    try:
        return float(snapshot[: snapshot.index(b",")])
    except ValueError:
        return 0.0


class Finisher:
    """Finish snapshots, as *cleaner* tells what is plain and what a secret."""

    def __init__(self, cleaner: Cleaner) -> None:
        self.cleaner = cleaner
        self.careful = CarefulLines(cleaner)
        self._shapes = Shapes()
        self.good_actions: set[str] = set()
        """Actions of the right form, as far as they were seen."""

    def finish(self, snapshot: bytes | str) -> str:
        """Return the text of *snapshot*, as it may leave the memory; never raises."""
        if isinstance(snapshot, str):
            return snapshot
        created = 0.0
        try:
            usual = _usual_text(snapshot)
            if usual and (match := self._shapes.match(usual)):
                return _line("{", *match.groups())
            created, sentence, service, event = orjson.loads(b"[%b]" % snapshot)
            text = self.plain_text(event, created, sentence, service)
            if text is not None:
                if usual and self._have_usual_fields([event]):
                    with suppress(Exception):  # its text is there all the same
                        self._shapes.learn(usual, event)
                return text
            # What is known of its record, which had no exception, and a level below ERROR.
            known = {"levelno": logging.INFO, "created": created, "pathname": None}
            record = logging.makeLogRecord({"audit": event, **known})
            return self.careful.line(completed(event, "success", sentence, service), record)
        except Exception as error:  # noqa: BLE001 - the action was logged and must be a row
            return unreadable(error, created)

    def finish_all(self, snapshots: Sequence[bytes], heads: Callable[[], Iterable[str]]) -> list[str]:
        """
        Return the lines of *snapshots*: as a whole, by loops of C, if there is nothing in them but what is usual.

        :param heads: what gives their heads, called when all else is done.
        """
        try:
            parts = self._usual_parts(snapshots)
        except Exception:  # noqa: BLE001 - then one by one, which never raises
            parts = None
        if parts is None:
            texts = [*map(self.finish, snapshots)]
            return [f"{head}{text[1:]}" for head, text in zip(heads(), texts, strict=True)]
        return [
            _line(head, created, sentence, service, fields)
            for head, (created, sentence, service, fields) in zip(heads(), parts, strict=True)
        ]

    def _usual_parts(self, snapshots: Sequence[bytes]) -> list[Parts] | None:
        """Return the parts of *snapshots* if all of them are usual."""
        joined = b"".join(snapshots)
        if b"\\" in joined or not joined.isascii() or max(map(len, snapshots)) > MAX_TEXT:
            return None
        texts = [*map(bytes.decode, snapshots)]
        matches = self._shapes.match_all(texts)
        parts: list[Parts] = [match.groups() for match in matches if match]
        if None in matches:
            read = self._read([text for text, match in zip(texts, matches, strict=True) if not match])
            if read is None:
                return None
            known, unknown = iter(parts), iter(read)
            parts = [next(known if match else unknown) for match in matches]
        _, sentences, services, fields = zip(*parts, strict=True)
        # Apart: there is white space in nearly every sentence, and seldom in a field.
        has_hint = may_hold_secret("".join(sentences)) or may_hold_secret("".join(chain({*services}, fields)))
        return None if has_hint else parts

    def _read(self, texts: Sequence[str]) -> list[Parts] | None:
        """Return the parts of *texts*, in which nothing is escaped, and learn their shapes, if all fields are usual."""
        said = orjson.loads(f"[{','.join(texts)}]")
        sentences, services, events = said[1::4], said[2::4], said[3::4]
        if not (all(sentences) and self._have_usual_fields(events)):
            return None
        parts: list[Parts] = []
        for text, sentence, service, event in zip(texts, sentences, services, events, strict=True):
            self._shapes.learn(text, event)
            created, written = text[: text.index(",")], "null" if service is None else f'"{service}"'
            before = f'{created},"{sentence}",{written},{{'
            parts.append((created, sentence, written, text[len(before) : -1]))
        return parts

    def _have_usual_fields(self, events: Sequence[dict[str, Any]]) -> bool:
        """Tell whether all fields of *events*, read from JSON, can stand as they are: texts, and a flat metadata."""
        values = [*chain.from_iterable(map(dict.values, events))]
        kinds = [*map(type, values)]
        metadata = [event["metadata"] for event in events if "metadata" in event]
        return (
            USUAL_NAMES.issuperset(chain.from_iterable(events))
            and all(values)
            and kinds.count(dict) == len(metadata)
            and kinds.count(str) == len(kinds) - len(metadata)
            and self.cleaner.are_flat_and_plain(metadata)
        )

    def plain_text(
        self, event: Mapping[str, Any], created: float, sentence: str | None, service: str | None
    ) -> str | None:
        """Return the snapshot of *event*, as it is, but for what it leaves open; in doubt None."""
        try:
            complete = completed(event, "success", sentence, service)
            if not self.is_plain(complete):
                return None
            complete["occurred_at"] = created
            text = orjson.dumps(complete).decode()
        except Exception:  # noqa: BLE001 - whatever the caller's objects do
            # Also a lone surrogate, an integer over 64 bits, too deep; or a dict that another thread changes.
            return None
        # A short line has no text that is too long, and without a backslash there is no NUL.
        if not (len(text) <= MAX_TEXT and text.isascii() and "\\" not in text) and not _fits(text, complete):
            return None
        return None if may_hold_secret(text) else text

    def is_plain(self, event: Mapping[str, Any]) -> bool:
        """Tell whether all fields can stand as they are, but for a text that is too long."""
        # Few calls, and each field once: with a journal, this is what a log call costs.
        for name, value in event.items():
            is_plain = value and type(value) in _PLAIN_TYPES and name in PLAIN_FIELDS
            if not is_plain and not self.cleaner.is_plain_field(name, value):
                return False
        if "outcome" in event and event["outcome"] not in OUTCOMES:
            return False
        return event["action"] in self.good_actions or self.is_good(event["action"])

    def is_good(self, action: Any) -> bool:
        """Tell whether *action* is of the form that it should have."""
        good = type(action) is str and not action.startswith("audit.") and bool(ACTION.fullmatch(action))
        if good and len(action) <= PLAIN_TEXT and len(self.good_actions) < _MOST_ACTIONS:
            self.good_actions.add(action)
        return good


def _usual_text(snapshot: bytes) -> str | None:
    """Return *snapshot* as text if there is nothing in it, whatever its shape, that wants a look."""
    text = snapshot.decode()
    is_usual = len(text) <= MAX_TEXT and text.isascii() and "\\" not in text and not may_hold_secret(text)
    return text if is_usual else None


def _line(head: str, created: str, sentence: str, service: str, fields: str) -> str:
    late = "" if service == "null" else f'"service":{service},'
    return f'{head}"occurred_at":{created},"outcome":"success","message":"{sentence}",{late}{fields}}}'


def _fits(text: str, event: Mapping[str, Any]) -> bool:
    if len(text) > MAX_PLAIN_LINE or ("\\" in text and "\\u0000" in text):
        return False
    return all(len(value) <= PLAIN_TEXT for value in event.values() if type(value) is str)


def unreadable(error: Exception, created: float) -> str:
    """Return the snapshot of an event that could not be read, because of *error*."""
    problem = f"event: {type(error).__name__} while it was read"
    diagnostics.warn("unreadable", "An audit event could not be read (%s); it is stored without fields", problem)
    event = {"action": "unknown", "outcome": "unknown", "metadata": {CLEANED: [problem]}}
    return orjson.dumps({"occurred_at": created, **event}).decode()


_finisher = Finisher(Cleaner(Masker()))
finish, finish_all = _finisher.finish, _finisher.finish_all
"""Finish snapshots of formatters that know the built-in names of secrets alone."""
