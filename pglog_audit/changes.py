"""What differs between a thing before and after."""

import dataclasses
from collections.abc import Mapping
from typing import Any

_CONTAINERS = (list, tuple, set, frozenset)
_ADVICE = "give dicts, dataclasses or objects with attributes"


class IncomparableError(TypeError):
    """Two things that cannot be compared by their fields; the text says why, without a value of theirs."""


def differences(before: Any, after: Any) -> dict[str, list[Any]]:
    """
    Return old and new value by name, of each name whose value differs; a name that is not there has None.

    *before* and *after* are mappings or dataclasses, or objects with attributes, or None. Of an object that may have
    attributes yet to be loaded, as a model of an ORM, only those count that both have.

    :raises IncomparableError: they are one and the same, have no fields, or none that both have.
    """
    if before is after and before is not None:
        raise IncomparableError(f"they are the same {_kind(before)}; give before as a dict of what it was")
    old, new = _values(before), _values(after)
    names = dict.fromkeys([*old, *new])
    if before is not None and after is not None and not (_is_whole(before) and _is_whole(after)):
        names = dict.fromkeys(name for name in old if name in new)
        if not names:
            raise IncomparableError(f"{_kind(before)} and {_kind(after)} share no loaded attribute; {_ADVICE}")
    return {
        str(name): [_copy(old.get(name)), _copy(new.get(name))]
        for name in names
        if not _is_same(old.get(name), new.get(name))
    }


def _is_whole(thing: Any) -> bool:
    return isinstance(thing, Mapping) or dataclasses.is_dataclass(thing) or hasattr(thing, "_asdict")


def _values(thing: Any) -> Mapping[Any, Any]:
    if thing is None:
        return {}
    if isinstance(thing, Mapping):
        return thing
    if dataclasses.is_dataclass(thing):
        return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    if hasattr(thing, "_asdict"):
        return dict(thing._asdict())
    slots = _slots(type(thing))
    if not (slots or hasattr(thing, "__dict__")):
        raise IncomparableError(f"{_kind(thing)} has no fields; {_ADVICE}")
    # What frameworks keep of their own in an object begins with an underscore.
    values = {name: getattr(thing, name) for name in slots if hasattr(thing, name)} | getattr(thing, "__dict__", {})
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _slots(kind: type) -> list[str]:
    declared = [vars(each).get("__slots__", ()) for each in reversed(kind.__mro__)]
    return [name for names in declared for name in ([names] if isinstance(names, str) else names)]


def _kind(thing: object) -> str:
    return type(thing).__qualname__


def _is_same(old: Any, new: Any) -> bool:
    try:
        return old is new or bool(old == new)
    except Exception:  # noqa: BLE001 - an array has no truth value, and a proxy may raise anything
        return False


def _copy(value: Any) -> Any:
    """Return *value* so that what is done to its containers later changes nothing."""
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, _CONTAINERS) else value
