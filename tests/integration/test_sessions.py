"""Servers and sessions as others have set them up: encodings, and how texts are quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pglog_audit import audit, insert_event, schema
from pglog_audit.cli.commands import cli
from tests.conftest import Database
from tests.integration.test_doctor import NEXT_MONTH, WRITER, find, wrong
from tests.support import configure, flush

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pglog_audit.local_postgres import LocalPostgres

CHANGING = [["init"], ["maintain"], ["retain", "--keep", "2years"], ["upgrade"]]
every_command = pytest.mark.parametrize("command", CHANGING, ids=lambda command: command[0])
DROP_NEXT = f"DO $$BEGIN EXECUTE 'DROP TABLE audit_log_' || {NEXT_MONTH}; END$$"


def run(conninfo: str, *command: str) -> Result:
    return CliRunner().invoke(cli, [*command, "--conninfo", conninfo])


@pytest.fixture
def encoded(server: LocalPostgres, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Return an empty database of an encoding."""
    name = f"encoded_{request.param.lower()}"
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'"
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Literal(request.param)))
    yield Database(name, server.conninfo(name), server.conninfo(name, WRITER))
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@every_command
@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_a_database_without_an_encoding_is_4(encoded: Database, command: list[str]) -> None:
    """One sentence says so, before anything is made."""
    result = run(encoded.owner, *command)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (4, "", 1)
    assert f"database {encoded.name} has the encoding SQL_ASCII, which takes no text but ASCII: make" in result.stderr


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_doctor_tells_of_a_database_without_an_encoding(encoded: Database) -> None:
    """The events of most people would be refused there."""
    findings = find(encoded)
    assert wrong(findings) == ["server"]
    assert "has the encoding SQL_ASCII" in findings["server"].text


@pytest.mark.parametrize("encoded", ["LATIN1"], indirect=True)
def test_no_event_is_lost_to_an_encoding(encoded: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A character that the database lacks is an escape, in its row alone, and doctor tells of it."""
    with psycopg.connect(encoded.owner, client_encoding="utf8") as owner:
        schema.init(owner)
        owner.execute('ALTER TABLE audit_log ADD "größe" int')
        schema.init(owner, writer=WRITER)
    logger = configure(encoded.writer)
    user, metadata = uuid4(), {"日": ["本", "\\"], "n": 1}
    logger.info("Käse", extra=audit("ticket.open", user_id=user, user_label="Zoë"))
    logger.info("日本 é", extra=audit("ticket.open", user_id=user, user_label="日本", metadata=metadata, größe=5))
    flush(logger)
    plain, escaped = encoded.rows()
    assert (plain["message"], plain["user_label"], plain["metadata"]) == ("Käse", "Zoë", {})
    assert (escaped["message"], escaped["user_label"]) == (r"\u65e5\u672c é", r"\u65e5\u672c")
    mark = "text: what the database's encoding lacks as escapes"
    assert escaped["metadata"] == {r"\u65e5": [r"\u672c", "\\"], "n": 1, "_cleaned": [mark]}
    assert (escaped["user_id"], escaped["größe"]) == (user, 5)
    with psycopg.connect(encoded.writer) as connection:
        insert_event(connection, audit("ticket.close", user_label="日本 é"))
    *_, inserted = encoded.rows("SELECT * FROM audit_log ORDER BY recorded_at")
    assert (inserted["user_label"], inserted["metadata"]) == (r"\u65e5\u672c é", {"_cleaned": [mark]})
    assert "escapes stand in their place (action=ticket.open, user_id=" in caplog.text
    assert "has the encoding LATIN1" in find(encoded)["server"].text
    assert wrong(find(encoded)) == []


@pytest.mark.parametrize("encoded", ["LATIN1"], indirect=True)
def test_a_name_that_the_database_cannot_write_is_4(encoded: Database) -> None:
    """What the encoding has is made; what it lacks, the server refuses in words."""
    assert run(encoded.owner, "init", "--table", "Prüf").exit_code == 0
    assert run(encoded.owner, "maintain", "--table", "Prüf").exit_code == 0
    for command in ("init", "maintain"):
        result = run(encoded.owner, command, "--table", "Prłf")
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert 'has no equivalent in encoding "LATIN1"' in result.stderr


@every_command
def test_the_clients_encoding_is_ours(database: Database, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """What the environment says is for other programs; what the conninfo says cannot work, and is told."""
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    assert run(database.owner, *command).exit_code == 0
    result = run(make_conninfo(database.owner, client_encoding="SQL_ASCII"), *command)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "client_encoding is SQL_ASCII: leave it out" in result.stderr


def test_backslashes_as_once_they_were(any_database: Database) -> None:
    """With standard_conforming_strings off the same partitions are seen, and made where they are missing."""
    session = make_conninfo(
        any_database.owner, options="-c standard_conforming_strings=off -c escape_string_warning=off"
    )
    with psycopg.connect(any_database.owner) as connection:
        schema.init(connection)
    any_database.execute(f"CREATE TABLE audit_log_1999_01 (id int); {DROP_NEXT}")
    findings = find(any_database, session, writer=None)
    assert findings["months"].text == "partitions for 0 months after this one"
    assert "audit_log_1999_01" in findings["detached"].text
    assert "Made audit_log_" in run(session, "maintain").stdout
    assert find(any_database, session, writer=None)["months"].status == "ok"
