"""
Statements in one go: they are sent at once, and then the server answers them all.

A pipeline of psycopg waits for the socket at each of them. Whoever waits gives up the interpreter's lock, and where
other threads compute it is 5 ms until the lock comes back: more than the server takes for most of a batch.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

Command: TypeAlias = tuple[bytes, Sequence[bytes]]
"""A statement with ``$1``, and its parameters as texts in the connection's encoding."""
Trip: TypeAlias = Generator[Wait, Ready | int, None]


def one_trip(
    connection: psycopg.Connection[Any], commands: Sequence[Command], meanwhile: Callable[[], None] = lambda: None
) -> list[PGresult]:
    """
    Execute *commands*, of which the first begins a transaction and the last ends it; return their results.

    Where one fails, it is the last of which there is a result, and the transaction is for the caller to roll back.

    :param meanwhile: is called while the server works, perhaps more than once.
    :raises psycopg.Error: the connection was lost, or what comes in the middle is no answer; then it is closed, as it
        is by whatever else is raised here.
    """
    pgconn, encoding, results = connection.pgconn, connection.info.encoding, list[PGresult]()
    try:
        if psycopg.Pipeline.is_supported():
            pgconn.enter_pipeline_mode()
            connection.wait(_sent_at_once(pgconn, commands, results, meanwhile))
            pgconn.exit_pipeline_mode()
        else:
            connection.wait(_one_by_one(pgconn, commands, results, meanwhile))
    except BaseException as error:
        connection.close()  # what it would answer next is an answer to this
        if isinstance(error, psycopg.OperationalError):
            raise_first_error(results, encoding)  # what the server said before it went
        raise
    return [result for result in results if result.status != ExecStatus.PIPELINE_ABORTED]


def raise_first_error(results: Iterable[PGresult], encoding: str) -> None:
    """
    Raise the first error among *results*.

    :raises psycopg.Error: as psycopg does for that SQLSTATE.
    """
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result, encoding=encoding)


def encoded(connection: psycopg.Connection[Any], text: str) -> bytes:
    """
    Return *text* as a parameter, in the encoding of *connection*.

    :raises psycopg.DataError: it holds a NUL, at which libpq would end it.
    """
    if "\0" in text:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    encoding = connection.info.encoding
    return text.encode("utf-8" if encoding == "ascii" else encoding)  # as psycopg does with texts


def _sent_at_once(
    pgconn: PGconn, commands: Sequence[Command], results: list[PGresult], meanwhile: Callable[[], None]
) -> Trip:
    for statement, values in commands:
        pgconn.send_query_params(statement, values)
    pgconn.pipeline_sync()
    yield from _flushed(pgconn)
    while (result := (yield from _next_result(pgconn, meanwhile))) is None or result.status != ExecStatus.PIPELINE_SYNC:
        if result is not None:  # as it is behind the results of each statement
            results.append(result)


def _one_by_one(
    pgconn: PGconn, commands: Sequence[Command], results: list[PGresult], meanwhile: Callable[[], None]
) -> Trip:
    """Do the same with a libpq that knows no pipelines, before PostgreSQL 14."""
    for statement, values in commands:
        pgconn.send_query_params(statement, values)
        yield from _flushed(pgconn)
        while result := (yield from _next_result(pgconn, meanwhile)):
            results.append(result)
        if results[-1].status == ExecStatus.FATAL_ERROR:
            break


def _flushed(pgconn: PGconn) -> Trip:
    """Send all that waits to be sent, as libpq's documentation of PQflush says."""
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()


def _next_result(pgconn: PGconn, meanwhile: Callable[[], None]) -> Generator[Wait, Ready | int, PGresult | None]:
    while pgconn.is_busy():
        meanwhile()
        yield Wait.R
        pgconn.consume_input()
    result = pgconn.get_result()
    if result is None and pgconn.status != ConnStatus.OK:  # libpq itself gave it up, and has nothing more to say
        raise psycopg.OperationalError(pgconn.get_error_message())
    return result
