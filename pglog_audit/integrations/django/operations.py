"""The operation of a migration that makes the audit table."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import router
from django.db.migrations.operations.base import Operation
from psycopg import Connection

from ... import audit_table, schema
from ...errors import AuditError, SchemaError
from .audit_settings import id_types, read_settings


class MakeAuditTable(Operation):
    """
    Make the audit table and its view unless they are there, as ``pglog-audit init`` does.

    The role that runs the migration owns them; ``WRITER`` and ``READER`` of ``PGLOG_AUDIT`` may insert and read. On a
    database that is no PostgreSQL nothing happens; nor does it when the migration is taken back: no command drops an
    audit log by the way.
    """

    reduces_to_sql = True
    reversible = True

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: the model comes with an operation of its own."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:  # noqa: ARG002 - Django's
        """Make the table, or say in SQL how it would be made."""
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not router.allow_migrate(connection.alias, app_label):
            return
        with command_errors():
            given = read_settings()
            wanted: dict[str, Any] = {"writer": given.writer, "reader": given.reader, "id_types": id_types()}
            if schema_editor.collect_sql:
                schema_editor.execute(schema.script(**wanted, transaction=False), params=None)
            else:
                connection.ensure_connection()
                require_id_types(connection.connection)
                schema.init(connection.connection, **wanted)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Leave the table."""

    def describe(self) -> str:
        """Say what it does."""
        return "Make the audit table and its view"

    @property
    def migration_name_fragment(self) -> str:
        """The name of a migration that does this alone."""
        return "audit_log"


@contextmanager
def command_errors() -> Iterator[None]:
    """Say what is wrong in one line, as ``manage.py`` does with errors that it expects."""
    try:
        yield
    except AuditError as error:
        raise CommandError(str(error)) from error


def require_id_types(connection: Connection[Any]) -> None:
    """
    Check that the audit table, if it is there, has the ids that the project asks for.

    :raises SchemaError: it has others.
    """
    found, wanted = audit_table.describe(connection, "audit_log"), id_types()
    if found is None:
        return
    other = {name: found.columns.get(name) for name, type_ in wanted.items() if found.columns.get(name) != type_}
    if other:
        name = next(iter(other))
        raise SchemaError(
            f"{name} of {found.name} is {other[name]}, and this project asks for {wanted[name]}: to use the table as "
            f'it is, set PGLOG_AUDIT = {{"ID_TYPES": {json.dumps(other)}}}; if it is empty, run DROP TABLE '
            f"{found.name} CASCADE, and migrate again"
        )
