"""
From whatever was logged to JSON that PostgreSQL takes.

Most events are plain: text, numbers and small dicts. :class:`Cleaner` recognises them without copying, and they stay as
they are. The rest is walked once, with a budget: secrets masked, what JSON or PostgreSQL cannot hold replaced, what is
too long cut; whatever that changed is noted as a mark, ``"metadata: NUL replaced"``.
"""

import math
import re
from codecs import utf_8_decode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from datetime import date, time
from enum import Enum, EnumMeta
from itertools import chain
from typing import Any
from uuid import UUID

import orjson
from pythonjsonlogger.defaults import bytes_default, datetime_any
from pythonjsonlogger.orjson import orjson_default

from .event import CALLER_FIELDS, ID_FIELDS, JSON_FIELDS
from .masking import MAX_NAME, Masker, may_hold_secret
from .named_values import named_items

PLAIN_TEXT = 256
"""Characters up to which a text needs no cap: four bytes each at most."""

_MAX_DEPTH = 100
_MAX_CONTAINERS = 1000
_MAX_NAMES_KNOWN = 4096
PLAIN_FIELDS = CALLER_FIELDS - JSON_FIELDS - {"occurred_at"}
_LITTLE_TYPES = frozenset({str, int, bool, type(None), UUID})
_FLAT_TYPES = _LITTLE_TYPES | {float}
_CONTAINERS = frozenset({dict, list})
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ARRAYS = (list, tuple, Set, deque)
_BYTES = (bytes, bytearray, memoryview)
_PLAIN_KEYS = (str, bytes, int, float, UUID, date, time)
_UNREADABLE = "__could_not_encode__"


class Cleaner:
    """Tell plain values from others, and clean the others."""

    def __init__(self, masker: Masker) -> None:
        self.masker = masker
        self._plain_names: set[str] = set()
        """Names of a dict that may stand as they are; remembered, since the same ones come again and again."""
        self.knows_names: Callable[[Iterable[Any]], bool] = self._plain_names.issuperset
        """Tell whether all names are known to be such."""

    def is_plain_field(self, name: Any, value: Any) -> bool:
        """Tell whether a field that is no short text of PLAIN_FIELDS can be encoded as it is; in doubt no."""
        if type(value) is not dict or name not in JSON_FIELDS:
            return type(value) is int and name in ID_FIELDS
        is_little = self.knows_names(value) and _LITTLE_TYPES.issuperset(map(type, value.values()))
        return is_little or self._is_plain_tree(value)

    def are_flat_and_plain(self, values: Sequence[Any]) -> bool:
        """Tell whether all *values*, read from JSON, are dicts that can stand as they are, without another inside."""
        return (
            all(type(value) is dict for value in values)
            and self.knows_names(chain.from_iterable(values))
            and _FLAT_TYPES.issuperset(map(type, chain.from_iterable(map(dict.values, values))))
        )

    def _is_plain_tree(self, value: dict[str, Any]) -> bool:
        plain_names, containers = self._plain_names, list[Any]((value,))
        for container in containers:
            values = container
            if type(container) is dict:
                if not (plain_names.issuperset(container) or all(map(self._is_plain_name, container))):
                    return False
                values = container.values()
            for item in values:
                kind = type(item)
                if kind in _CONTAINERS:
                    # In a list alone, which is its own values, may it be a pair.
                    if values is container and (kind is list or "value" in item) and self.masker.secret_in_pair(item):
                        return False
                    containers.append(item)
                elif kind not in _LITTLE_TYPES and (kind is not float or item - item != 0.0):  # NaN and infinity
                    return False
            # A small value can hold itself, or the same list a billion times.
            if len(containers) > _MAX_CONTAINERS:
                return False
        return True

    def _is_plain_name(self, name: Any) -> bool:
        if type(name) is not str:
            return False
        if name in self._plain_names:
            return True
        plain = (
            len(name) <= MAX_NAME
            and "\0" not in name
            and not _SURROGATE.search(name)
            and not self.masker.is_secret(name)
            and not may_hold_secret(orjson.dumps(name).decode())
        )
        if plain and len(self._plain_names) < _MAX_NAMES_KNOWN:
            self._plain_names.add(name)
        return plain

    def cleaning(self, budget: int) -> "Cleaning":
        """Return a walk that keeps about *budget* characters."""
        return Cleaning(self.masker, budget)


class Cleaning:
    """One walk over one event."""

    def __init__(self, masker: Masker, budget: int) -> None:
        self._masker = masker
        self._left = budget
        self._open: set[int] = set()
        self._field = ""
        self.marks: set[str] = set()

    def field(self, name: str, value: Any) -> Any:
        """Return *value* of the event's field *name*, cleaned; its marks name the field."""
        self._field = name
        return self._value(value, 0)

    def short_field(self, name: str, value: Any, max_bytes: int) -> Any:
        """Return *value* of the field *name*, cleaned; a text has at most *max_bytes* bytes and takes no room."""
        self._field = name
        if type(value) is not str:
            left = self._left
            value = self._value(value, 0)
            if type(value) is not str:
                return value
            self._left = left
        text = self._text(value, max_bytes)
        encoded = text.encode()
        if len(encoded) <= max_bytes:
            return text
        self._mark("cut")
        return encoded[: max_bytes - 3].decode(errors="ignore") + "…"

    def _mark(self, what: str) -> None:
        self.marks.add(f"{self._field}: {what}"[:MAX_NAME])

    def _value(self, value: Any, depth: int) -> Any:
        self._left -= 4
        try:
            return self._converted(value, depth)
        except Exception as error:  # noqa: BLE001 - any code of the caller's objects may run here, and a row must come of it
            return self._unreadable(value, error)

    def _unreadable(self, value: Any, error: Exception) -> str:
        self._mark(f"{type(value).__name__} could not be read ({type(error).__name__})")
        return _UNREADABLE

    def _converted(self, value: Any, depth: int) -> Any:
        match value:
            case None | bool():
                return value
            case Enum():
                return self._value(value.value, depth + 1) if depth <= _MAX_DEPTH else None
            case str():
                return self._text(value)
            case int():
                return self._integer(value)
            case float():
                return self._float(float(value))
            case UUID():
                return str(value)
            case date() | time():
                return datetime_any(value)
            case bytes() | bytearray() | memoryview():
                return self._text(self._decoded(value))
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        items = named_items(value)
        if items is None and not isinstance(value, _ARRAYS):
            return self._unknown(value, depth)
        if id(value) in self._open:
            self._mark("cycle cut")
            return None
        if depth >= _MAX_DEPTH:
            self._mark(f"nested deeper than {_MAX_DEPTH}")
            return None
        self._open.add(id(value))
        try:
            return self._array(value, depth) if items is None else self._object(items, depth)
        finally:
            self._open.discard(id(value))

    def _object(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in self._within_budget(items):
            name = self._name(key)
            while name in result:  # 1 and "1" are two keys in Python
                name = f"{name}_{len(result)}"
                self._mark("names made different")
            result[name] = self._value(
                self._masker.mask(name, value) if self._is_secret(key, name) else value, depth + 1
            )
        return result

    def _array(self, values: Iterable[Any], depth: int) -> list[Any]:
        return [self._item(value, depth + 1) for value in self._within_budget(values)]

    def _item(self, value: Any, depth: int) -> Any:
        """Return *value*, one of an array, cleaned; it may be a pair with the name of a secret."""
        name = None
        if type(value) not in _FLAT_TYPES:
            with suppress(Exception):  # what cannot be asked for a name is no pair
                name = self._masker.secret_in_pair(value)
        if name is not None:
            try:
                value = self._masker.mask_pair(name, value)
            except Exception as error:  # noqa: BLE001 - as for a value
                return self._unreadable(value, error)
        return self._value(value, depth)

    def _within_budget(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if self._left <= 0:
                self._mark("cut")
                return
            yield value

    def _name(self, key: Any) -> str:
        if not issubclass(type(key), str):
            try:
                key = self._key(key)
            except Exception as error:  # noqa: BLE001 - as for a value
                key = self._unreadable(key, error)
        name = self._text(key, MAX_NAME)
        if len(name) > MAX_NAME:
            self._mark("name cut")
        self._left -= len(name)
        return name[:MAX_NAME]

    def _key(self, key: Any) -> str:
        """Return the text of *key*, which is none."""
        plain = key.value if isinstance(key, Enum) and isinstance(key.value, _PLAIN_KEYS) else key
        if isinstance(plain, str):
            return plain
        if isinstance(plain, _BYTES):
            return self._decoded(plain)
        if isinstance(plain, (*_ARRAYS, Enum, EnumMeta)) or named_items(plain) is not None:
            self._mark(f"{type(key).__name__} as a name")
            return str(plain)
        known = self._converted(plain, 0)
        return orjson.dumps(known).decode() if isinstance(known, orjson.Fragment) else str(known)

    def _is_secret(self, key: Any, name: str) -> bool:
        """Tell whether *name* is that of a secret, or that of the Enum's member that *key* is."""
        is_secret = self._masker.is_secret
        return is_secret(name) or (issubclass(type(key), Enum) and is_secret(str(key._name_)))

    def _text(self, value: str, limit: int | None = None) -> str:
        text = value if type(value) is str else str.__str__(value)
        room = max(self._left, 0) if limit is None else limit + 1
        if len(text) > room:
            text = text[:room] + "…"
            self._mark("cut")
        if limit is None:
            self._left -= len(text)
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
            self._mark("NUL replaced")
        if _SURROGATE.search(text):
            # Two halves that belong together become their character; a lone one has none.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self._mark("surrogate replaced")
        return self._masker.mask_text(text)

    def _decoded(self, value: bytes | bytearray | memoryview) -> str:
        """Return the text that *value* is in UTF-8, or its base64; of what is long no more than there is room for."""
        room = 4 * (max(self._left, 0) + 1)
        head = bytes(value[:room])
        with suppress(UnicodeDecodeError):
            text = utf_8_decode(head, "strict", len(value) <= room)[0]
            if "\0" not in text:  # else numbers, or UTF-16
                return text
        self._mark(f"{type(value).__name__} as base64")
        return bytes_default(head)

    def _integer(self, value: int) -> Any:
        number = int(value)
        if -(2**63) <= number < 2**64:
            return number
        if number.bit_length() > 4096:
            self._mark("number as text")
            return self._text(hex(number))
        # JSON and jsonb have integers of any length; only the encoder has not.
        digits = str(number)
        self._left -= len(digits)
        return orjson.Fragment(digits)

    def _float(self, value: float) -> Any:
        if math.isfinite(value):
            return value
        self._mark("not a number as text")
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    def _unknown(self, value: Any, depth: int) -> Any:
        known = orjson_default(value)
        if known == _UNREADABLE:
            self._mark(f"{type(value).__name__} could not be read")
        return self._text(known) if isinstance(known, str) else self._value(known, depth + 1)
