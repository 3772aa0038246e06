"""`pglog-audit retain`, killed again and again."""

import os
import subprocess
import sys

import pytest

from pglog_audit import AuditLog

pytestmark = pytest.mark.faults

WRITER = "019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51"
PROGRAM = "from pglog_audit.cli import main; main()"
PAST = f"""
DO $$
DECLARE
    month timestamptz;
BEGIN
    FOR count IN 1..24 LOOP
        month := date_trunc('month', now(), 'UTC') - count * interval '1 month';
        EXECUTE format(
            'CREATE TABLE past_%%s PARTITION OF audit_log FOR VALUES FROM (%%L) TO (%%L)',
            count, month, month + interval '1 month'
        );
        INSERT INTO audit_log (action, occurred_at, writer_id, writer_seq)
        SELECT 'a.b', month, '{WRITER}', (24 - count) * 10 + n FROM generate_series(1, 10) AS n;
    END LOOP;
END
$$
"""


def run(database, lines: int) -> bool:
    """Run retain, kill it after that many lines that it says, and tell whether it came to its end before."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "retain", "--keep", "1month"],
        env={**os.environ, "PGLOG_AUDIT_CONNINFO": database.owner},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for _ in range(lines):
            if not process.stdout.readline():
                return process.wait() == 0
        process.kill()
    return False


def test_a_retain_that_is_killed_is_finished_by_the_next(database):
    """Whenever SIGKILL comes, each partition goes once, is told once, and every event that went is explained."""
    database.execute(PAST)
    database.execute("INSERT INTO audit_log (action, writer_id, writer_seq) VALUES ('a.b', %s, 241)", WRITER)
    lines = 2
    while not run(database, lines):
        lines += 1
    told = database.rows(
        "SELECT target_label, metadata ->> 'events' AS events FROM audit_log WHERE action = 'audit.retain'"
    )
    assert len(told) == len({row["target_label"] for row in told}) == 23
    assert {row["events"] for row in told} == {"10"}
    gaps = list(AuditLog(database.owner).gaps())
    assert {gap.kind for gap in gaps} == {"explained", "tail"}
    assert sum(gap.count or 0 for gap in gaps) == 230
    tables = database.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^past_'")
    assert [row["relname"] for row in tables] == ["past_1"]
