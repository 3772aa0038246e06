"""The PostgreSQL that the benchmark starts for itself, with default settings, and its databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Self

import psycopg
from psycopg import sql

from pglog_audit import schema
from pglog_audit.local_postgres import LocalPostgres

WRITER = "bench_writer"


@dataclass(frozen=True)
class Database:
    """A database with an audit table: how its owner connects, and the role that may only insert."""

    name: str
    owner: str
    writer: str


class Server:
    """A durable server with default settings; ``with`` starts and removes it."""

    def __init__(self) -> None:
        self.postgres = LocalPostgres(durable=True)
        """The server proper, which a subject may stop and start."""
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self.postgres.__enter__()
        try:
            self._execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(WRITER)))
        except BaseException:
            self.postgres.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.postgres.close()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Give a fresh database with an audit table, and drop it afterwards."""
        name = f"bench_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        database = Database(name, self.postgres.conninfo(name), self.postgres.conninfo(name, WRITER))
        with psycopg.connect(database.owner) as connection:
            schema.init(connection, writer=WRITER)
        try:
            yield database
        finally:
            self.postgres.start()  # a subject may have stopped it
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.postgres.conninfo(), autocommit=True) as connection:
            connection.execute(statement)
