"""The types of columns: which values of a line each of them can hold, as far as we know."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

_TRUTH_VALUES = frozenset("true false t f yes no y n on off 1 0".split())
_DIGITS = re.compile(r"\s*[+-]?\d+\s*")
_LENGTH = re.compile(r"character(?: varying)?\((\d+)\)")


def _parses(parse: Callable[[str], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            parse(str(value))
        except ValueError:
            return False
        return not isinstance(value, bool)

    return check


def _without(mark: str, parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return *parse* but for texts with *mark*, which Python takes there, and PostgreSQL does not."""

    def strict(text: str) -> Any:
        if mark in text:
            raise ValueError
        return parse(text)

    return strict


def _integer(bits: int) -> Callable[[Any], bool]:
    limit = 1 << (bits - 1)

    def check(value: Any) -> bool:
        if isinstance(value, str) and _DIGITS.fullmatch(value) and len(value) < 30:
            value = int(value)
        return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit

    return check


def _boolean(value: Any) -> bool:
    return isinstance(value, bool) or str(value).lower() in _TRUTH_VALUES


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "uuid": _parses(_without("urn:", UUID)),
    "inet": _parses(_without("%", ipaddress.ip_interface)),
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64),
    "float8": _parses(float),
    "numeric": _parses(float),
    "bool": _boolean,
    "timestamptz": _parses(datetime.fromisoformat),
    "timestamp": _parses(datetime.fromisoformat),
    "date": _parses(datetime.fromisoformat),
}
"""Checks by the type's name in pg_type."""


def check_of(kind: str, base: str | None) -> Callable[[Any], bool] | None:
    """Return the check of a type, as SQL writes it and by its name in pg_type; None where we know of no rule."""
    if length := _LENGTH.fullmatch(kind):
        return _at_most(int(length[1]))
    return CHECKS.get(base or "")


def _at_most(length: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)  # as jsonb writes it
        return not text[length:].strip(" ")  # blanks at the end are no part of what is too long

    return check


REFUSED = "_refused"
"""The key of the metadata that holds the values which their column refuses."""


def keep_refused(event: dict[str, Any], refused: Mapping[str, Any]) -> None:
    """Add the *refused* values to the metadata of *event*, beside those that are there."""
    metadata = event.get("metadata") or {}
    before = metadata.get(REFUSED) or {}
    before = before if isinstance(before, dict) else {"_value": before}
    event["metadata"] = {**metadata, REFUSED: {**before, **refused}}
