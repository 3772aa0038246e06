"""Many examples in few batches: each example is a list of events, written and read back at once."""

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pglog_audit import AuditHandler

settings.register_profile(
    "pglog_audit",
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    # One table for all examples of a test: a trail hands out what came last.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("pglog_audit")


class Trail:
    """An audit trail to log into and to read back from."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._handler = AuditHandler(database.writer)
        self._logger = logging.getLogger("properties")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(self._handler)
        self._last = 0

    def store(self, audits: list[Any], level: int = logging.INFO) -> list[dict[str, Any]]:
        """Log each of *audits* and return the rows that came of it, in the order of the log calls."""
        for audit in audits:
            self._logger.log(level, "An event", extra={"audit": audit})
        assert self._handler.flush(60) == 0
        assert self._handler.stats()["lost"] == {}
        rows = self._database.rows(
            "SELECT *, to_jsonb(audit_log)::text AS everything FROM audit_log"
            " WHERE writer_seq > %s AND NOT starts_with(action, 'audit.') ORDER BY writer_seq",
            self._last,
        )
        self._last = max((row["writer_seq"] for row in rows), default=self._last)
        return rows


@pytest.fixture
def trail(database: Any) -> Trail:
    """Return a trail into a database of the test's own."""
    return Trail(database)
