"""The replay: lines that a writer that died left in the spool, made rows; against the writer alone, in the same run."""

import shutil
import tempfile
import time
from contextlib import closing

from pglog_audit import PostgresHandler
from pglog_audit.backlog import describe_target
from pglog_audit.spool import Spool

from .figures import Measured
from .scale import Scale, compare
from .server import Server
from .workload import lines_of
from .writer import rows_per_s

_LINES = 1_000_000
_AT_ONCE = 50_000
_MAX_BYTES = 4 * 1024**3


def measure(scale: Scale, server: Server) -> dict[str, Measured]:
    """Measure the figure k."""
    rounds = max(3, scale.rounds // 2)
    ratio, replayed, written = compare(
        rounds, lambda: _replayed(server, scale.events(_LINES)), lambda: _written(server, scale.events(_LINES))
    )
    return {"k": Measured(ratio, {"replayed_rows_per_s": replayed, "writer_rows_per_s": written})}


def _written(server: Server, count: int) -> float:
    """Return the rows a second of the writer alone: as many rows, since a table takes fewer the larger it is."""
    with server.database() as database, closing(PostgresHandler(database.writer)) as handler:
        rows_per_s(handler, 1000)
        parts = [min(_AT_ONCE, count)] * max(1, count // _AT_ONCE)
        return sum(parts) / sum(part / rows_per_s(handler, part) for part in parts)


def _replayed(server: Server, count: int) -> float:
    """Return the rows a second of the replay of *count* lines."""
    directory = tempfile.mkdtemp()
    try:
        with server.database() as database:
            handler = PostgresHandler(database.writer, spool=f"{directory}/spool", spool_max_bytes=_MAX_BYTES)
            with closing(handler):
                rows_per_s(handler, 1000)
                _leave(handler, count)
                return _rate(handler, count)
    finally:
        shutil.rmtree(directory)


def _leave(handler: PostgresHandler, count: int) -> None:
    """Leave *count* lines in the spool of *handler*, as a writer that is gone."""
    assert handler.options.spool is not None
    spool = Spool(handler.options.spool, describe_target(handler.options), "gone", max_bytes=_MAX_BYTES)
    for _ in range(0, count, _AT_ONCE):
        batch = lines_of(min(_AT_ONCE, count))
        if spool.append(batch) < len(batch):
            raise RuntimeError(spool.problem)
    spool.close()


def _rate(handler: PostgresHandler, count: int) -> float:
    assert handler.backlog is not None
    begin, stored = time.perf_counter(), 0
    while (written := handler.backlog.replay(handler.options.batch_size, others_fit=True)) is not None:
        if written.left:
            raise RuntimeError(written.problem)
        stored += written.stored
    seconds = time.perf_counter() - begin
    if stored < count:
        raise RuntimeError(f"{stored} rows were made of {count} lines")
    return stored / seconds
