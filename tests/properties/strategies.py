"""What applications log: JSON, text of every kind, and Python's objects."""

import enum
import math
from collections import OrderedDict, UserDict, deque
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from pglog_audit.masking import Masker

_masker = Masker()

any_text = st.text(st.characters(exclude_categories=()), max_size=30)
"""Every character of Python's, with NUL and lone surrogates."""

plain_text = st.text(st.characters(codec="utf-8", exclude_characters="\0=:"), max_size=30).filter(
    lambda text: "bearer" not in text.lower()
)
"""Text that is stored as it is."""

_signs = """Authorization authorization AUTHOR\u0130ZATION Bearer Basic token password page hunter2
    -- - = : ' " { } [ ] ( ) < > , ; :// @ \\ \\" \\'""".split()
texts_with_secrets = st.lists(st.sampled_from([*_signs, " ", "\t", "\r\n", "\u2028"]), max_size=8).map("".join)
"""Text that is nearly, or quite, what is masked."""

names = plain_text.filter(lambda name: not _masker.is_secret(name))

numbers = st.integers() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False)


def json_values(texts: st.SearchStrategy[str], keys: st.SearchStrategy[str], numbers: st.SearchStrategy[Any] = numbers):
    """Return a strategy of JSON with these *texts*, *keys* and *numbers*."""
    return st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=15,
    )


plain_json = json_values(plain_text, names)
any_json = json_values(any_text, any_text, numbers | st.floats())


class Unreadable:
    """Raises whatever one does with it."""

    def _refuse(self, *args):
        raise RuntimeError

    __str__ = __repr__ = __eq__ = __iter__ = __getitem__ = __len__ = __bool__ = _refuse
    __hash__ = object.__hash__
    __class__ = property(_refuse)


class Colour(enum.Enum):
    """An enumeration of the application's."""

    RED = "red"


@dataclass
class Node:
    """A dataclass of the application's."""

    value: Any
    password: str = "hunter2"


def _cyclic(value: Any) -> list[Any]:
    values = [value]
    values.append({"again": values})
    return values


keys = any_text | st.integers() | st.booleans() | st.none() | st.floats() | st.binary(max_size=5) | st.uuids()
hashable = (
    keys
    | st.tuples(keys, keys)
    | st.frozensets(keys, max_size=2)
    | st.sampled_from(Colour)
    | st.dates()
    | st.decimals(allow_nan=False)
)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.binary(max_size=30)
    | st.uuids()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.ip_addresses()
    | st.builds(range, st.integers(0, 5))
    | st.sets(hashable, max_size=3)
    | st.frozensets(hashable, max_size=3)
    | st.sampled_from([Colour.RED, Colour, Node, len, NotImplemented, ..., math, 2**5000, -(2**70)])
    | st.builds(Unreadable)
    | st.builds(object)
    | st.builds(ValueError, any_text)
    | st.builds(bytearray, st.binary(max_size=5))
    | st.builds(memoryview, st.binary(max_size=5))
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    mapping = st.dictionaries(hashable, inner, max_size=3)
    return (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | mapping
        | st.builds(_cyclic, inner)
        | st.builds(Node, inner)
        | st.builds(deque, st.lists(inner, max_size=3))
        | st.builds(iter, st.lists(inner, max_size=3))
        | st.builds(lambda value: SimpleNamespace(token=value), inner)
        | st.builds(lambda value: lambda: value, inner)
        | mapping.map(OrderedDict)
        | mapping.map(UserDict)
        | mapping.map(MappingProxyType)
    )


python_objects = st.recursive(_leaves, _containers, max_leaves=10)
