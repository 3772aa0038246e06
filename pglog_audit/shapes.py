"""
The shapes of plain events: what was found out by reading one of them, a regular expression tells of the next ones.

The events of one place in the code have the same names in the same order, and values of the same kinds.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

_TEXT, _ANY_TEXT, _OTHER = '"[^"]++"', '"[^"]*+"', r"[\w.+-]++"
"""Of JSON without a backslash: a text that is not empty; any text; a number, true, false or null."""
_SNAPSHOT = r'([\d.e+-]++),"([^"]++)",(null|"[^"]++"),\{{({fields})\}}'
_MOST, _MOST_OF_ACTION = 250, 4
"""Patterns that are kept: half of what the cache of ``re`` has room for, which the application's own want too."""
_NONE = re.compile("(?!)")


class Shapes:
    """Know snapshots without a backslash, as a log call takes them down, by the shape of their event."""

    def __init__(self) -> None:
        self._patterns: dict[str, list[re.Pattern[str]]] = {}
        """By action, those first that matched last."""
        self._count = 0
        self._last = _NONE

    def learn(self, text: str, event: Mapping[str, Any]) -> None:
        """Remember the shape of *event*, read from *text*: with other texts, none of them empty, it is as plain."""
        action = _action(text)
        has_room = self._count < _MOST and len(self._patterns.get(action, ())) < _MOST_OF_ACTION
        if has_room and not self.match(text):
            self._count += 1
            fields = ",".join(f"{_name(name)}:{_value(name, value)}" for name, value in event.items())
            self._patterns.setdefault(action, []).append(re.compile(_SNAPSHOT.format(fields=fields)))

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of a snapshot of a known shape: time, sentence, service as JSON, and the event's fields."""
        patterns = self._patterns.get(_action(text), [])
        for place, pattern in enumerate(patterns):
            if match := pattern.fullmatch(text):
                self._last = pattern
                # A swap: the list never gets shorter, and callers without room finish their events beside the writer.
                patterns[place], patterns[0] = patterns[0], pattern
                return match
        return None

    def match_all(self, texts: Sequence[str]) -> list[re.Match[str] | None]:
        """Return what :meth:`match` returns for each of *texts*; most often they come from one place."""
        matches = [*map(self._last.fullmatch, texts)]
        if None in matches:
            matches = [match or self.match(text) for match, text in zip(matches, texts, strict=True)]
        return matches


def _action(text: str) -> str:
    """Return what the first name "action" in *text* stands for, which says most of the shape."""
    return text.partition('"action":"')[2].partition('"')[0]


def _name(name: str) -> str:
    return re.escape(orjson.dumps(name).decode())


def _value(name: str, value: Any) -> str:
    if name == "action":
        return _name(value)
    if type(value) is dict:
        return r"\{" + ",".join(f"{_name(inner)}:(?:{_ANY_TEXT}|{_OTHER})" for inner in value) + r"\}"
    return _TEXT
