"""Upgrades of the audit table: from the schema that it has to the newest, by numbered migrations."""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from . import ddl
from .audit_table import describe, has_retained
from .errors import SchemaError
from .owned_table import Changing, OwnedTable


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What :func:`upgrade` found and did."""

    table: str
    """The table's name with its schema, quoted as SQL wants it."""
    before: int
    """The schema that it had."""
    after: int
    """The schema that it has."""
    restored: bool = False
    """Whether the table of what retention dropped was not there, and is there again."""


def upgrade(connection: Connection[Any], *, table: str = "audit_log") -> Upgraded:
    """
    Bring the audit table to the schema of this package, all or nothing, while writers write.

    Writers and readers of the version before go on; so do those of this version with the table as it was. A second call
    changes nothing, and concurrent ones wait for each other.

    :param connection: as the owner or a member of it; outside a transaction.
    :raises SchemaError: there is no such table, it is newer than this package, or this role may not change it: the
        message says what to run, and nothing was changed.
    :raises psycopg.errors.LockNotAvailable: somebody held the table all the time.
    """
    owned = OwnedTable(connection, table, any_version=True)
    place = f"{owned.found.schema}.{owned.found.table}"
    before = owned.found.version or 0
    if before > ddl.VERSION:
        raise SchemaError(f"{owned.found.name} has schema {before}, newer than {ddl.VERSION}: upgrade pglog-audit")

    def migrate(cursor: Changing) -> Upgraded:
        # Read again: another call may have done it while this one waited.
        found = describe(cursor.connection, place)
        since = found.version if found and found.version else before
        restored = since > 1 and not has_retained(cursor.connection, owned.found)
        # The second migration makes it, and changes nothing else that is there.
        for migration in ddl.migrate(place, 1 if restored else since, ddl.VERSION, owned.found.step):
            cursor.execute(migration)
        return Upgraded(owned.found.name, since, ddl.VERSION, restored)

    if foreign := owned.foreign_parts():
        raise SchemaError(owned.describe(foreign))
    return owned.change(migrate)
