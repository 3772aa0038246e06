"""The handler for a Django project's ``LOGGING``."""

import logging
from typing import Unpack

from ... import diagnostics, handlers
from ...options import HandlerOptions
from .databases import DatabaseConninfo, add_holder, is_open, is_postgresql


class AuditHandler(handlers.AuditHandler):
    """
    Turn log records that carry an ``audit`` extra into rows of one of Django's databases, on a background thread.

    :param database: the alias in ``DATABASES``, which is looked up when the first record is written. In a test run that
        is the test database. One that is no PostgreSQL gets no rows, and one warning says so.
    :param level: see :class:`logging.Handler`.
    :param enabled: False, like ``PGLOG_AUDIT_DISABLED=1``, writes nothing.
    :param options: all of :class:`pglog_audit.AuditHandler` but *conninfo* and *pool*.
    :raises ConfigurationError: an option has no meaning or a value that can never work.

    The connection is the writer's own, not one of Django's: its rows are there also where a transaction is rolled back.
    """

    def __init__(
        self,
        *,
        database: str = "default",
        level: int | str = logging.NOTSET,
        enabled: bool = True,
        **options: Unpack[HandlerOptions],
    ) -> None:
        super().__init__(DatabaseConninfo(database), level=level, enabled=enabled, **options)
        self.database = database
        add_holder(self)

    def has_database(self) -> bool:
        """Tell whether there is a PostgreSQL to write to; a test run has none before it makes one, or without."""
        if not super().has_database():
            return False
        if not is_postgresql(self.database):
            text = "The database %r of DATABASES is no PostgreSQL: audit events are not stored"
            diagnostics.warn("no postgresql", text, self.database)
            return False
        return is_open(self.database)

    def release(self) -> None:
        """Write what is queued, and close the connection; a record that comes later opens another."""
        writer = self._writer
        if writer is None:
            return
        self._is_holding, self._direct_writer = False, None
        writer.let_go(self)
        if writer.problem is None or writer.writer.store.is_connected:
            writer.stop()  # also one that is just about to connect
            writer.writer.release()
