"""The audit table, as the writer sees it."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from . import catalog
from .connections import connect, find_target
from .conninfo import name_source
from .errors import UnreachableError
from .lines import is_own
from .one_trip import encoded, one_trip, raise_first_error
from .options import WriterOptions, check_pool
from .sql import positional, template
from .verdict import Verdict, verdict, words

_abandoned: list[object] = []


class Store:
    """
    Insert lines: one statement and one transaction a batch, on one connection that is kept while it works.

    Not for use by two threads at once.
    """

    def __init__(self, options: WriterOptions) -> None:
        self.options = options
        self.table: catalog.Table | None = None
        self._limits = {
            "lock_timeout": str(int(options.write_timeout * 500)),
            "statement_timeout": str(int(options.write_timeout * 1000)),
        }
        self._inserts: dict[bool, bytes] = {}
        """The statements, by whether the lines are new."""
        self._connection: psycopg.Connection[Any] | None = None
        self._pid = os.getpid()
        self._forked = False

    def insert(
        self, lines: Sequence[str], *, are_new: bool = False, meanwhile: Callable[[], None] = lambda: None
    ) -> int:
        """
        Insert *lines* and return how many rows they made; a line that is a row already makes none.

        :param are_new: none can be a row; if one is all the same, that is an error.
        :param meanwhile: is called while the server is waited for, perhaps more than once.

        :raises UnreachableError: there is no connection.
        :raises SchemaError: the table is missing, or closed to this role.
        :raises TimeoutError: the server did not answer within *write_timeout*.
        :raises psycopg.Error: the server's own answer.
        """
        try:
            with self._connected() as connection, _deadline(connection, self.options.write_timeout) as deadline:
                return self._insert_with(
                    connection, lines, are_new=are_new, meanwhile=lambda: deadline.spare(meanwhile)
                )
        except Exception as error:
            self._after(error)
            raise

    @property
    def is_connected(self) -> bool:
        """Whether a connection of its own is kept."""
        return self._connection is not None and not self._connection.closed

    def close(self) -> None:
        """Close the connection, unless it belongs to a pool; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Let go of what a forked child inherited: closing it here would end the parent's session."""
        _abandoned.append(self._connection)
        self._connection = None
        self._pid, self._forked = os.getpid(), True

    def _after(self, error: Exception) -> None:
        if verdict(error) is Verdict.CONFIGURATION:
            self.table = None
        if self._connection is not None and _ends_connection(error):
            self.close()

    def _insert_with(
        self,
        connection: psycopg.Connection[Any],
        lines: Sequence[str],
        *,
        are_new: bool,
        meanwhile: Callable[[], None],
    ) -> int:
        if self.table is None:
            with connection.transaction():
                # Not the connection's own cursor: a pool of the user's may have raw ones, which take other parameters.
                psycopg.Cursor(connection, row_factory=tuple_row).execute(template("limit_batch"), self._limits)
                table = self._describe(connection)
            self._inserts = {
                new: positional(table.insert(are_new=new).as_bytes(connection), ["lines"]) for new in (False, True)
            }
            self.table = table  # at last: the connection may be lost anywhere before
        own = 0
        if not self.table.is_numbered:
            # What a writer says of itself means nothing to the program that the table belongs to.
            own = sum(map(is_own, lines))
            lines = [line for line in lines if not is_own(line)]
        notices: list[psycopg.errors.Diagnostic] = []
        connection.add_notice_handler(notices.append)
        try:
            results = one_trip(
                connection,
                [
                    (_statement("begin_batch"), ()),
                    (_statement("limit_batch", *self._limits), [*map(str.encode, self._limits.values())]),
                    (self._inserts[are_new], [encoded(connection, _array(lines))]),
                    (_statement("commit_batch"), ()),
                ],
                meanwhile,
            )
        finally:
            connection.remove_notice_handler(notices.append)
        self._check(connection, results)
        if any(notice.sqlstate == "01000" for notice in notices):
            # The wait for the synchronous standby was cancelled: the rows may be lost with this server. Send again.
            raise UnreachableError("the server has not made the batch as durable as it is configured to")
        return (results[-2].command_tuples or 0) + own

    def _check(self, connection: psycopg.Connection[Any], results: Sequence[PGresult]) -> None:
        """
        Check that no command of a batch failed.

        :raises UnreachableError: the server takes no writes: it is a standby.
        :raises psycopg.Error: what failed.
        """
        try:
            raise_first_error(results, connection.info.encoding)
        except psycopg.Error as error:
            with suppress(psycopg.Error, TimeoutError):
                connection.rollback()
            if isinstance(error, psycopg.errors.FeatureNotSupported) and len(results) == 1:
                raise UnreachableError(f"{error.diag.message_primary} ({error.diag.sqlstate})") from None
            raise

    def _describe(self, connection: psycopg.Connection[Any]) -> catalog.Table:
        conninfo = self.options.conninfo
        named_by = name_source(conninfo) if isinstance(conninfo, str) else ""
        return catalog.describe(connection, self.options.table, dict(self.options.columns), named_by)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        if self._pid != os.getpid():
            self.abandon()
        if self.options.pool is not None and not self._forked:
            with self._borrowed() as connection:
                yield connection
            return
        if self._connection is None or self._connection.closed:
            # Columns and grants may have changed since.
            self._connection, self.table = self._connect(), None
        yield self._connection

    @contextmanager
    def _borrowed(self) -> Iterator[psycopg.Connection[Any]]:
        pool = check_pool(self.options.pool)
        try:
            connection = pool.getconn(self.options.connect_timeout)
        except psycopg.Error as error:
            raise UnreachableError(f"the pool {pool.name} has no connection: {words(error)}") from None
        try:
            yield connection
        except Exception as error:
            if _ends_connection(error):
                connection.close()
            raise
        finally:
            pool.putconn(connection)

    def _connect(self) -> psycopg.Connection[Any]:
        conninfo, parameters = find_target(self.options)
        return connect(
            conninfo,
            parameters,
            timeout=self.options.connect_timeout,
            name="pglog_audit",
            origin=name_source(conninfo),
        )


def _array(lines: Sequence[str]) -> str:
    """Return *lines* as a JSON array."""
    # The brackets at its ends before it is joined: to copy half a megabyte takes longer than to make it.
    *others, last = lines or [""]
    return ",".join([f"[{others[0]}", *others[1:], f"{last}]"]) if others else f"[{last}]"


@cache
def _statement(name: str, *parameters: str) -> bytes:
    return positional(template(name).as_bytes(), parameters)


def _ends_connection(error: Exception) -> bool:
    return verdict(error) is Verdict.AWAY or isinstance(error, TimeoutError)


class _Deadline:
    """When the server must have answered."""

    def __init__(self, seconds: float) -> None:
        self._limit = time.monotonic() + seconds

    def is_over(self) -> bool:
        return time.monotonic() > self._limit

    def spare(self, work: Callable[[], None]) -> None:
        """Do *work*, and put the deadline off by what that takes: the server has no part in it."""
        begin = time.monotonic()
        work()
        self._limit += time.monotonic() - begin


@contextmanager
def _deadline(connection: psycopg.Connection[Any], seconds: float) -> Iterator[_Deadline]:
    """
    Make whatever waits for the server inside the block raise :exc:`TimeoutError` when *seconds* have passed.

    The server's own timeouts need a server that runs: a stopped one, or a network that swallows packets, would hold
    the writer for as long as the kernel likes.
    """
    deadline, wait = _Deadline(seconds), connection.wait

    def wait_until(generator: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        try:
            return wait(_until(deadline, generator), *args, **options)
        except TimeoutError:
            # Before psycopg leaves the transaction: it would log that it cannot roll back.
            connection.close()
            raise

    connection.wait = wait_until  # type: ignore[method-assign,assignment] # psycopg's one door to the socket
    try:
        yield deadline
    except psycopg.OperationalError as error:
        # A transaction that waits cannot be left, and says so in place of the deadline.
        if isinstance(error.__context__, TimeoutError):
            raise error.__context__ from None
        raise
    finally:
        del connection.wait


def _until(deadline: _Deadline, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Go through *generator*, which psycopg resumes at least ten times a second, until *deadline*."""
    try:
        state = next(generator)
        while True:
            ready = yield state
            if not deadline.is_over():
                state = generator.send(ready)
            else:
                # Into it, again and again until it ends: left half way it would complain when it is collected.
                state = generator.throw(TimeoutError("the server did not answer in time"))
    except StopIteration as stop:
        return stop.value
