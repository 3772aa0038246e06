"""
Statements in one go: they are sent at once, and then the server answers them all.

A pipeline of psycopg waits for the socket at each of them. Whoever waits gives up the interpreter's lock, and where
other threads compute it is 5 ms until the lock comes back: more than the server takes for most of a batch.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

Command: TypeAlias = tuple[bytes, Sequence[bytes]]
"""A statement with ``$1``, and its parameters as texts in the connection's encoding."""
Trip: TypeAlias = Generator[Wait, Ready | int, list[PGresult]]


def one_trip(connection: psycopg.Connection[Any], commands: Sequence[Command]) -> list[PGresult]:
    """
    Execute *commands*, of which the first begins a transaction and the last ends it; return their results.

    Where one fails, it is the last of which there is a result, and the transaction is for the caller to roll back.

    :raises psycopg.Error: the connection was lost; or whatever else comes in the middle: then it is closed.
    """
    pgconn = connection.pgconn
    try:
        if psycopg.Pipeline.is_supported():
            pgconn.enter_pipeline_mode()
            results = connection.wait(_sent_at_once(pgconn, commands))
            pgconn.exit_pipeline_mode()
            return [result for result in results if result.status != ExecStatus.PIPELINE_ABORTED]
        return connection.wait(_one_by_one(pgconn, commands))
    except BaseException:
        connection.close()  # what it would answer next is an answer to this
        raise


def raise_first_error(connection: psycopg.Connection[Any], results: Iterable[PGresult]) -> None:
    """
    Raise the first error among *results*.

    :raises psycopg.Error: as psycopg does for that SQLSTATE.
    """
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)


def encoded(connection: psycopg.Connection[Any], text: str) -> bytes:
    """Return *text* as a parameter, in the encoding of *connection*."""
    encoding = connection.info.encoding
    return text.encode("utf-8" if encoding == "ascii" else encoding)  # as psycopg does with texts


def _sent_at_once(pgconn: PGconn, commands: Sequence[Command]) -> Trip:
    for statement, values in commands:
        pgconn.send_query_params(statement, values)
    pgconn.pipeline_sync()
    yield from _flushed(pgconn)
    results = []
    while (result := (yield from _next_result(pgconn))) is None or result.status != ExecStatus.PIPELINE_SYNC:
        if result is not None:  # as it is behind the results of each statement
            results.append(result)
    return results


def _one_by_one(pgconn: PGconn, commands: Sequence[Command]) -> Trip:
    """Do the same with a libpq that knows no pipelines, before PostgreSQL 14."""
    results: list[PGresult] = []
    for statement, values in commands:
        pgconn.send_query_params(statement, values)
        yield from _flushed(pgconn)
        while result := (yield from _next_result(pgconn)):
            results.append(result)
        if results[-1].status == ExecStatus.FATAL_ERROR:
            break
    return results


def _flushed(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    """Send all that waits to be sent, as libpq's documentation of PQflush says."""
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()


def _next_result(pgconn: PGconn) -> Generator[Wait, Ready | int, PGresult | None]:
    while pgconn.is_busy():
        yield Wait.R
        pgconn.consume_input()
    return pgconn.get_result()
