"""The package's SQL, one purpose a file, and the table's name in it."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from psycopg import sql

from ..errors import ConfigurationError

_MAX_BYTES = 63
# Found now: in a child that was forked while another thread imports something, importlib would wait for ever.
_FOLDER = files(__name__)


@cache
def template(name: str) -> sql.SQL:
    """Return the text of ``<name>.sql``; its ``{placeholders}`` are for :meth:`psycopg.sql.SQL.format`."""
    return sql.SQL((_FOLDER / f"{name}.sql").read_text("utf-8"))


def identifier(table: str) -> sql.Identifier:
    """Return *table*, written ``name`` or ``schema.name``, as an identifier."""
    return sql.Identifier(*table.split("."))


def with_parameters(names: sql.Composable) -> sql.SQL:
    """Return *names* for a statement with parameters: psycopg takes a lone percent sign for one, in a name too."""
    return sql.SQL(names.as_string().replace("%", "%%"))


def positional(statement: bytes, names: Iterable[str]) -> bytes:
    """Return *statement*, which has the parameters *names* as psycopg takes them, as the server does: with ``$1``."""
    places = {name.encode(): b"$%d" % number for number, name in enumerate(names, 1)}
    return re.sub(rb"%%|%\((\w+)\)s", lambda found: places[found[1]] if found[1] else b"%", statement)


def check_table(table: str) -> str:
    """
    Return *table*, written ``name`` or ``schema.name``, each at most 63 bytes and as the catalog spells it.

    PostgreSQL would cut a longer name silently, libpq ends a text at NUL, and psycopg takes a percent sign for a
    parameter, in an identifier too.

    :raises ConfigurationError: it names no table.
    """
    if not is_table(table):
        raise ConfigurationError(
            f"table is {table!r}: write name or schema.name without quotes, each part with 1 to {_MAX_BYTES} bytes "
            "and without double quotes, percent signs and control characters"
        )
    return table


def is_table(table: str) -> bool:
    """Tell whether *table* is a name that :func:`check_table` returns."""
    parts = table.split(".") if isinstance(table, str) else []
    return len(parts) in (1, 2) and all(map(_is_name, parts))


def _is_name(part: str) -> bool:
    return part.isprintable() and not {'"', "%"} & set(part) and 0 < len(part.encode()) <= _MAX_BYTES
