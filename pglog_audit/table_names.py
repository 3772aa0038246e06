"""The names of what belongs to an audit table."""

import re
import zlib

MAX_BYTES = 63
"""The longest name that PostgreSQL keeps whole."""

_LONGEST_SUFFIX = len("_append_only")
_TABLES = r"_default|_retained|_\d{4}(_\d\d){0,2}"


def name_prefix(name: str) -> str:
    """Return what the names of partitions, indexes and function begin with, so that they stay within 63 bytes."""
    room = MAX_BYTES - _LONGEST_SUFFIX
    if len(name.encode()) <= room:
        return name
    # Two long names that begin alike must not share their partitions' names.
    digest = f"_{zlib.crc32(name.encode()):08x}"
    return name.encode()[: room - len(digest)].decode(errors="ignore") + digest


def guard_name(name: str) -> str:
    """Return the name of the function that refuses changes of the table *name*, without a schema."""
    return f"{name_prefix(name)}_append_only"


def retained_name(name: str) -> str:
    """Return the name of the table of what retention dropped of the table *name*, without a schema."""
    return f"{name_prefix(name)}_retained"


def view_name(name: str) -> str:
    """Return the name of the view on the table *name*, without a schema: ``audit_timeline`` for ``audit_log``."""
    return "audit_timeline" if name == "audit_log" else f"{name_prefix(name)}_timeline"


def is_of_table(name: str, table: str) -> bool:
    """Tell whether *name* is that of *table*, or of a partition or another table that belongs to it; no schemas."""
    return name == table or bool(re.fullmatch(f"{re.escape(name_prefix(table))}({_TABLES})", name))
