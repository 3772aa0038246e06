"""The demo's database: an audit table and a role that may only insert into it; gone when the demo is over."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import AuditError
from ..local_postgres import LocalPostgres
from ..schema import init
from ..sql import template


@dataclass(frozen=True, slots=True)
class DemoDatabase:
    """Where the demo's events go."""

    owner: str
    """How the table's owner connects."""
    shown: str
    """The same for people to read and copy: a password of theirs is not in it."""
    writer: str
    """How the site connects."""
    table: str
    note: str = ""
    """What the reader should know about it, if anything."""


@contextmanager
def private_database() -> Iterator[DemoDatabase]:
    """Start a PostgreSQL server with an audit table; stop and remove it afterwards."""
    with LocalPostgres(tcp=True, durable=False) as server:
        owner, writer = server.conninfo(), "events_site"
        with psycopg.connect(owner, autocommit=True) as connection:
            password = _create_writer(connection, writer)
            init(connection, writer=writer)
        yield DemoDatabase(owner, owner, server.conninfo(user=writer, password=password), "audit_log")


@contextmanager
def guest_database(conninfo: str) -> Iterator[DemoDatabase]:
    """
    Make an audit table in a schema of its own in somebody's database; drop schema and role afterwards.

    Where *conninfo*'s role may create no roles, it is the writer itself.

    :raises AuditError: the server refuses the new role.
    :raises psycopg.Error: no connection, or no right to create a schema.
    """
    name = f"pglog_audit_demo_{secrets.token_hex(4)}"
    with _role(conninfo, name) as writer, _schema(conninfo, name):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            init(connection, table=f"{name}.audit_log", writer=name if writer else None)
            user = connection.info.user
        if writer:
            _try(writer)
        note = f"{user} may create no roles here, so the site writes as {user}, not as a role that may only INSERT."
        shown = make_conninfo("", **{k: v for k, v in conninfo_to_dict(conninfo).items() if k != "password"})
        yield DemoDatabase(conninfo, shown, writer or conninfo, f"{name}.audit_log", "" if writer else note)


@contextmanager
def _role(conninfo: str, name: str) -> Iterator[str | None]:
    """Give a new role's conninfo, or None where no role may be made."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            password = _create_writer(connection, name)
    except psycopg.errors.InsufficientPrivilege:
        yield None
        return
    try:
        yield make_conninfo(conninfo, user=name, password=password)
    finally:
        _execute(conninfo, "demo_drop_writer", writer=sql.Identifier(name))


@contextmanager
def _schema(conninfo: str, name: str) -> Iterator[None]:
    _execute(conninfo, "demo_create_schema", schema=sql.Identifier(name))
    try:
        yield
    finally:
        _execute(conninfo, "demo_drop_schema", schema=sql.Identifier(name))


def _create_writer(connection: Connection[Any], name: str) -> str:
    """Create the role *name* and return its password, which the server and its log see only as a hash."""
    password = secrets.token_urlsafe(24)
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode()).decode()
    statement = template("demo_create_writer")
    connection.execute(statement.format(writer=sql.Identifier(name), password=sql.Literal(verifier)))
    return password


def _execute(conninfo: str, name: str, **parts: sql.Composable) -> None:
    # A connection of its own: the one from before the tour may be gone, and what was made must go all the same.
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(template(name).format(**parts))


def _try(writer: str) -> None:
    try:
        psycopg.connect(writer).close()
    except psycopg.OperationalError as error:
        raise AuditError(
            "the server lets no new role in by password (see its pg_hba.conf): name it by host=127.0.0.1 if it was by "
            "socket, or leave --conninfo out to use a server of the demo's own"
        ) from error
