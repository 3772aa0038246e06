"""What ten million rows in the current month change: for who writes into them, and for who asks for a first page."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from pglog_audit import AuditLog, PostgresHandler, schema
from pglog_audit.local_postgres import LocalPostgres

from .figures import Measured
from .scale import Scale, compare
from .server import WRITER, Server
from .workload import ids
from .writer import rows_per_s

_MANY, _FEW = 10_000_000, 10_000
_INSERTED = 20_000
_ASKED = 15
_WARM_UP = 2_000
_UNLOGGED = {"wal_level": "minimal", "max_wal_senders": "0"}
"""What is made in one transaction is then not written twice; the server that is measured has default settings."""

_INDEXES = """
SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
  FROM pg_index WHERE indrelid = 'audit_log'::regclass AND NOT indisprimary
"""
_ROWS = """
INSERT INTO audit_log (id, occurred_at, action, user_id, event_id, entity_type, target_id, message, metadata,
                       request_id, writer_id, writer_seq)
SELECT (lpad(to_hex((extract(epoch FROM occurred_at) * 1000)::bigint), 12, '0') || '7' || left(hash, 3)
        || '8' || substr(hash, 4, 15))::uuid,
       occurred_at, 'branding.update', %(users)s[1 + drawn %% %(user_count)s], %(events)s[1 + drawn %% %(event_count)s],
       'branding', CASE WHEN drawn = 0 THEN %(target)s ELSE hash::uuid END, 'Logo replaced',
       '{"field": "logo", "size": 48213, "format": "png", "was": null}', hash, %(target)s, n
  FROM generate_series(1, %(rows)s) AS n
 CROSS JOIN LATERAL (
           SELECT md5(n::text) AS hash,
                  CASE WHEN n %% 50 = 0 THEN 0 ELSE hashint4(n) & 2147483647 END AS drawn,
                  month + (now() - month) * (n / %(rows)s::float8) AS occurred_at
             FROM date_trunc('month', now(), 'UTC') AS month
       ) AS made
"""
"""Rows through the month up to now, with random ids and targets; the first user, event and target have each 50th."""


def measure(scale: Scale, _server: Server) -> dict[str, Measured]:
    """Measure the figures i and j, in a server of their own."""
    many = scale.events(_MANY)
    with _filled({"many": many, "few": _FEW, "empty": 0}) as server:
        measured = _compare_pages(scale, server) if scale.wants("j") else {}
        measured |= _compare_rates(scale, server) if scale.wants("i") else {}
    return {letter: Measured(each.ratio, each.parts | {"rows": many}) for letter, each in measured.items()}


def _compare_rates(scale: Scale, server: LocalPostgres) -> dict[str, Measured]:
    with ExitStack() as stack:
        handlers = [
            stack.enter_context(closing(PostgresHandler(server.conninfo(name, WRITER)))) for name in ("many", "empty")
        ]
        for handler in handlers:
            rows_per_s(handler, _WARM_UP)
        count = scale.events(_INSERTED)
        into_many, into_empty = (partial(rows_per_s, handler, count) for handler in handlers)
        ratio, many, empty = compare(scale.rounds, into_many, into_empty)
    return {"i": Measured(ratio, {"rows_per_s": many, "empty_rows_per_s": empty})}


def _compare_pages(scale: Scale, server: LocalPostgres) -> dict[str, Measured]:
    """Ask by event, by user and by target; the worst of the three counts."""
    user, event, target, _ = next(ids(1))
    parts: dict[str, float] = {}
    ratios = []
    with ExitStack() as stack:
        pools = [stack.enter_context(ConnectionPool(server.conninfo(name), min_size=1)) for name in ("many", "few")]
        logs = [AuditLog(pool=pool) for pool in pools]
        for name, value in {"event": event, "user": user, "target": target}.items():
            in_many, in_few = (partial(_page_ms, log, {f"{name}_id": value}) for log in logs)
            ratio, parts[f"{name}_ms"], parts[f"{name}_of_few_ms"] = compare(scale.rounds, in_many, in_few)
            ratios.append(ratio)
    return {"j": Measured(max(ratios), parts)}


def _page_ms(log: AuditLog, question: dict[str, UUID]) -> float:
    times = []
    for _ in range(_ASKED):
        begin = time.perf_counter()
        page = log.timeline(**question)
        times.append((time.perf_counter() - begin) * 1e3)
        if len(page) != 50 or page.next_cursor is None:
            raise RuntimeError(f"{len(page)} events are no full page")
    return median(times)


@contextmanager
def _filled(databases: dict[str, int]) -> Iterator[LocalPostgres]:
    """Start a durable server whose databases have as many rows as they say."""
    directory = Path(tempfile.mkdtemp(prefix="pglog-audit-bench-"))
    directory.chmod(0o711)  # as root, the server runs as another user
    try:
        with LocalPostgres(directory=directory, durable=False, settings=_UNLOGGED) as server:
            with psycopg.connect(server.conninfo(), autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(WRITER)))
                for name in databases:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            for name, rows in databases.items():
                _fill(server.conninfo(name), rows)
        os.sync()  # what is still to be written would be written while others are measured
        with LocalPostgres(directory=directory, durable=True) as server:
            yield server
    finally:
        shutil.rmtree(directory)


def _fill(conninfo: str, rows: int) -> None:
    """Make the table and its rows in one transaction; indexes that are made afterwards take a third of the time."""
    users, events, *_ = ([*dict.fromkeys(column)] for column in zip(*ids(10_000), strict=True))
    target = next(ids(1))[2]
    values = {"users": users, "user_count": len(users), "events": events, "event_count": len(events)}
    with psycopg.connect(conninfo) as connection:
        schema.init(connection, writer=WRITER)
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        indexes = connection.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(name)))
        connection.execute(_ROWS, values | {"target": target, "rows": rows})
        for _, definition in indexes:
            connection.execute(definition)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE audit_log")
