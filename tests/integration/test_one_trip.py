"""Statements that are sent in one go, to a libpq with pipelines and to one without."""

import json
import time
from contextlib import closing

import psycopg
import pytest
from psycopg.pq import PipelineStatus, TransactionStatus

from pglog_audit import PostgresHandler, lines
from pglog_audit.one_trip import encoded, one_trip, raise_first_error
from pglog_audit.sql import positional
from tests.support import assert_exact, configure, flush, log

BEGIN, COMMIT = (b"BEGIN", ()), (b"COMMIT", ())
INSERT = b"INSERT INTO numbers SELECT value::int FROM json_array_elements_text($1)"


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def connection(request, empty_database, monkeypatch):
    """Return a connection to a database with a table of numbers."""
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: request.param)
    with psycopg.connect(empty_database.owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
        yield connection


def insert(*numbers):
    """Return the command that inserts *numbers*."""
    return INSERT, [json.dumps(numbers).encode()]


def count(connection):
    """Return how many numbers there are."""
    return connection.execute("SELECT count(*) FROM numbers").fetchone()[0]


def test_parameters_get_their_places():
    """One that stands twice has one place; what is doubled for psycopg, in a name too, is single for the server."""
    statement = b"""SELECT %(b)s, %(a)s, %(b)s, '100%%' FROM "x%%(a)s" """
    assert positional(statement, ["a", "b"]) == b"""SELECT $2, $1, $2, '100%' FROM "x%(a)s" """


def test_all_are_done(connection):
    """Each command has its result, however much is sent, and the connection is as it was."""
    many = range(400_000)  # more than the kernel takes at once
    results = one_trip(connection, [BEGIN, insert(*many), COMMIT])
    raise_first_error(results, "utf-8")
    assert [result.command_status for result in results] == [b"BEGIN", b"INSERT 0 400000", b"COMMIT"]
    assert connection.info.transaction_status == TransactionStatus.IDLE
    assert connection.pgconn.pipeline_status == PipelineStatus.OFF
    assert count(connection) == 400_000


def test_what_fails_is_the_last_result(connection):
    """The error is psycopg's own for it; after a rollback the connection is of use again, and nothing was done."""
    results = one_trip(connection, [BEGIN, insert(1), insert(2, 1), insert(3), COMMIT])
    assert len(results) == 3
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        raise_first_error(results, "utf-8")
    assert caught.value.diag.constraint_name == "numbers_pkey"
    assert connection.info.transaction_status == TransactionStatus.INERROR
    connection.rollback()
    assert count(connection) == 0


def test_what_comes_in_the_middle_closes_the_connection(connection):
    """Its next answer would be one to what was asked before."""

    def interrupted(generator, *_, **__):
        next(generator)
        raise KeyboardInterrupt

    connection.wait = interrupted
    with pytest.raises(KeyboardInterrupt):
        one_trip(connection, [BEGIN, (b"SELECT pg_sleep(10)", ()), COMMIT])
    assert connection.closed


def test_a_lost_connection_is_an_operational_error(connection, empty_database):
    """A server that ends the session in the middle is no server that refuses the rows."""
    end = f"SELECT pg_terminate_backend({connection.info.backend_pid})".encode()
    with pytest.raises(psycopg.OperationalError):
        raise_first_error(one_trip(connection, [BEGIN, insert(1), (end, ()), COMMIT]), "utf-8")
    assert connection.closed
    assert empty_database.rows("SELECT * FROM numbers") == []


@pytest.mark.parametrize(("encoding", "expected"), [("utf8", "Zoë".encode()), ("latin1", b"Zo\xeb")])
def test_texts_are_in_the_encoding_of_the_connection(empty_database, encoding, expected):
    """What the server reads is what it was told to expect."""
    with psycopg.connect(empty_database.owner, client_encoding=encoding) as connection:
        assert encoded(connection, "Zoë") == expected


def test_a_text_does_not_end_at_a_nul(connection):
    """Where libpq would take it for the end, nothing is sent."""
    with pytest.raises(psycopg.DataError, match="NUL"):
        encoded(connection, '["a"]\0')


def test_what_is_done_meanwhile_takes_no_time_from_the_server(database):
    """While the server works the writer may do something that takes long: the batch is a row, and not sent again."""
    handler = PostgresHandler(database.writer, write_timeout=1.0)
    with closing(handler):
        head = lines.new_heads(range(1, 2), handler.writer_id)[0]
        line = head + '"occurred_at":1.5,"action":"a.b"}'
        assert handler.write([line], meanwhile=lambda: time.sleep(1.5)).stored == 1
    assert len(database.rows()) == 1


def test_events_need_no_pipeline(database, monkeypatch):
    """With a libpq of before PostgreSQL 14, events become rows too, and what its column refuses is kept."""
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)
    logger = configure(database.writer)
    log(logger, 20)
    log(logger, 1, user_id="none")
    flush(logger)
    assert_exact(database, 21)
