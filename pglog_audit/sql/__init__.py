"""The package's SQL, one statement a file."""

from functools import cache
from importlib.resources import files

from psycopg import sql


@cache
def template(name: str) -> sql.SQL:
    """Return the text of ``<name>.sql``; its ``{placeholders}`` are for :meth:`psycopg.sql.SQL.format`."""
    return sql.SQL((files(__name__) / f"{name}.sql").read_text("utf-8"))  # type: ignore[arg-type]


def identifier(table: str) -> sql.Identifier:
    """Return *table*, written ``name`` or ``schema.name``, as an identifier."""
    return sql.Identifier(*table.split("."))
