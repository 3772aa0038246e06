"""The operation of a migration that makes the audit table."""

from typing import Any

from django.db import router
from django.db.migrations.operations.base import Operation

from ... import schema
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
        given = read_settings()
        wanted: dict[str, Any] = {"writer": given.writer, "reader": given.reader, "id_types": id_types()}
        if schema_editor.collect_sql:
            schema_editor.execute(schema.script(**wanted, transaction=False), params=None)
        else:
            connection.ensure_connection()
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
