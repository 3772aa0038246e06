"""
Alembic: the audit table is left alone by autogenerate, which would drop what the application's metadata do not know.

In ``env.py``, ``context.configure(..., include_name=include_name, include_object=include_object)``. Where the table has
another name, ``functools.partial(include_name, table="audit.log")``.
"""

from collections.abc import Mapping
from typing import Any

from ..table_names import is_of_table


def include_name(
    name: str | None, type_: str, parent_names: Mapping[str, str | None], *, table: str = "audit_log"
) -> bool:
    """
    Tell Alembic whether to look at what the database has: not at the audit table and what belongs to it.

    See "Omitting Based on Object Name" in Alembic's page on autogenerate.

    :param table: the audit table, ``name`` or ``schema.name``; the latter where that schema is not the default one.
    """
    return type_ != "table" or not _is_ours(name, parent_names.get("schema_name"), table)


def include_object(
    object: Any,  # noqa: A002 - Alembic passes it by place, and calls it so
    name: str | None,
    type_: str,
    reflected: bool,  # noqa: FBT001 - likewise
    compare_to: Any,
    *,
    table: str = "audit_log",
) -> bool:
    """
    Tell Alembic whether to compare what the metadata have: not a model of the audit table, made to read it.

    See "Omitting Based on Object" in Alembic's page on autogenerate.

    :param table: as for :func:`include_name`.
    """
    del reflected, compare_to
    return type_ != "table" or not _is_ours(name, object.schema, table)


def _is_ours(name: str | None, schema: str | None, table: str) -> bool:
    ours, _, bare = table.rpartition(".")
    # Alembic has no name for the default schema.
    return name is not None and (schema or "public") == (ours or "public") and is_of_table(name, bare)
