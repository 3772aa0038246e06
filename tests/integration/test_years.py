"""Ten years of months: maintain and retain while a writer writes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from pglog_audit import AuditLog, audit
from pglog_audit.maintenance import maintain
from pglog_audit.retention import retain
from pglog_audit.steps import STEPS
from tests.support import LATEST, configure, flush, stats, wait_until

if TYPE_CHECKING:
    import logging

    from tests.conftest import Database

MONTHLY = STEPS["monthly"]
OLD = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51")
PAST = """
DO $$
DECLARE
    month timestamptz;
BEGIN
    FOR count IN 1..120 LOOP
        month := date_trunc('month', now(), 'UTC') - count * interval '1 month';
        EXECUTE format(
            'CREATE TABLE %%I PARTITION OF audit_log FOR VALUES FROM (%%L) TO (%%L)',
            'audit_log_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), month, month + interval '1 month'
        );
        INSERT INTO audit_log (action, occurred_at, writer_id, writer_seq)
        SELECT 'a.b', month, '{writer}', (120 - count) * 100 + n FROM generate_series(1, 100) AS n;
    END LOOP;
END
$$
"""


class Busy(threading.Thread):
    """Log until told to stop, now and then with a time in the default partition, and count."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger
        self._stopping = threading.Event()
        self.logged = 0

    def run(self) -> None:
        """Log."""
        while not self._stopping.wait(0.0002):
            late = {"occurred_at": datetime(2001, 1, 1, tzinfo=UTC)} if self.logged % 100 == 0 else {}
            self._logger.info("Opened", extra=audit("ticket.open", **late))
            self.logged += 1

    def stop(self) -> None:
        """End, and wait for it."""
        self._stopping.set()
        self.join(LATEST)


def test_ten_years_of_months_while_a_writer_writes(database: Database) -> None:
    """109 months are made, 96 go with 9,600 events, and each event that is logged meanwhile is one row."""
    database.execute(PAST.format(writer=OLD))
    this_month = MONTHLY.name_of("audit_log", MONTHLY.begin(datetime.now(UTC)))
    database.execute(f"DROP TABLE {this_month}")
    logger = configure(database.writer)
    busy = Busy(logger)
    busy.start()
    try:
        wait_until(lambda: stats(logger)["stored"] > 100)
        with psycopg.connect(database.owner, autocommit=True) as connection:
            done = maintain(connection, ahead=120)
            gone = list(retain(connection, "24months"))
    finally:
        busy.stop()
    flush(logger)
    assert (len(done.made), done.made[0], done.moved > 90) == (109, this_month, True)
    dropped = [each for each in gone if each.partition != "audit_log_default"]
    assert (len(dropped), sum(each.events for each in dropped)) == (96, 9600)
    # What is as old as the backfilled ones goes, once it is there; it is counted where it went.
    backfilled = sum(each.events for each in gone if each.partition == "audit_log_default")
    [row] = database.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM audit_log WHERE action = 'ticket.open'")
    assert row == {"n": busy.logged - backfilled, "ids": busy.logged - backfilled}
    assert (stats(logger)["lost"], stats(logger)["queued"]) == ({}, 0)
    gaps = [(gap.kind, gap.writer_id, gap.first_seq, gap.last_seq) for gap in AuditLog(database.owner).gaps()]
    old = [gap for gap in gaps if gap[1] == OLD]
    assert {kind for kind, *_ in gaps} <= {"explained", "tail"}
    assert (old[0][2], old[-2][3]) == (1, 9600)
