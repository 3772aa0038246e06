"""The writer alone, its lines ready, against one COPY of as many rows into the same table: what the server can take."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from pglog_audit import PostgresHandler

from .figures import Measured
from .scale import Scale, compare
from .server import Server
from .workload import lines_of

_ROWS = 40_000
_WARM_UP = 2_000


def measure(scale: Scale, server: Server) -> dict[str, Measured]:
    """Measure the figure d."""
    rows = scale.events(_ROWS)
    with (
        server.database() as database,
        psycopg.connect(database.writer, autocommit=True) as connection,
        closing(PostgresHandler(database.writer)) as handler,
    ):
        rows_per_s(handler, _WARM_UP)
        copied_per_s(connection, _WARM_UP)
        ratio, ours, copied = compare(
            scale.rounds, lambda: rows_per_s(handler, rows), lambda: copied_per_s(connection, rows)
        )
    return {"d": Measured(ratio, {"writer_rows_per_s": ours, "copy_rows_per_s": copied})}


def rows_per_s(handler: PostgresHandler, count: int) -> float:
    """Write *count* new lines as the writer's thread does, in batches of the default size, each a transaction."""
    lines, size = lines_of(count), handler.options.batch_size
    batches = [lines[first : first + size] for first in range(0, count, size)]

    def write() -> int:
        return sum(handler.write(batch, are_new=True).stored for batch in batches)

    return _rate(write, count)


def copied_per_s(connection: psycopg.Connection[Any], count: int) -> float:
    """Copy *count* new rows in one transaction, from a text that is ready."""
    events = [json.loads(line) for line in lines_of(count)]
    text = "".join(map(_as_text, events)).encode()
    columns = sql.SQL(", ").join(map(sql.Identifier, events[0]))
    statement = sql.SQL("COPY audit_log ({}) FROM STDIN").format(columns)

    def copy() -> int:
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copying:
                copying.write(text)
            return cursor.rowcount

    return _rate(copy, count)


def _as_text(event: dict[str, Any]) -> str:
    occurred_at = datetime.fromtimestamp(event["occurred_at"], UTC).isoformat()
    values = {**event, "occurred_at": occurred_at, "metadata": json.dumps(event["metadata"])}
    return "\t".join(map(str, values.values())) + "\n"


def _rate(make_rows: Callable[[], int], count: int) -> float:
    begin = time.perf_counter()
    made = make_rows()
    seconds = time.perf_counter() - begin
    if made != count:
        raise RuntimeError(f"{made} rows were made of {count} lines")
    return count / seconds
