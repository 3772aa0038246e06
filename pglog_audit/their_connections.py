"""
Connections of the application's own: of which kind one is, and how a statement runs in its transaction.

No library of theirs is imported here: a connection of it can only come from an application that did.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack, ExitStack
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, sql
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from .catalog import Rows, Steps, answer
from .errors import TransactionError
from .libraries import find

T = TypeVar("T")
Memory: TypeAlias = MutableMapping[Any, Any]
"""What is remembered as long as a connection to the server lives."""
Work: TypeAlias = Callable[[Memory], Steps[T]]
"""Statements for one transaction; the rows of one that returns none are how many it made."""

_PLACEHOLDER = re.compile(r"%(%|\((\w+)\)s)")
_memories: "WeakKeyDictionary[Any, Memory]" = WeakKeyDictionary()


def is_asynchronous(connection: Any) -> bool:
    """Tell whether what *connection* does is awaited."""
    kinds = find("sqlalchemy.ext.asyncio", "AsyncSession", "AsyncConnection", "async_scoped_session")
    return isinstance(connection, (AsyncConnection, *kinds))


def check(connection: Any) -> None:
    """
    Check *connection* as :func:`run` does, as far as no server need be asked.

    :raises TransactionError: no transaction is open, or *connection* is of no kind that we know.
    """
    if isinstance(connection, AsyncConnection | Connection):
        return _check_psycopg(connection)
    connection = getattr(connection, "sync_connection", connection)
    if isinstance(connection, find("sqlalchemy.engine", "Connection")):
        return _check_sqlalchemy(connection)
    if _is_of_django(connection):
        return _check_django(connection)
    # A Session has a connection only after it asked for one.
    if not (is_asynchronous(connection) or isinstance(connection, _sessions())):
        raise _unknown(connection)
    return None


def _sessions() -> tuple[Any, ...]:
    return find("sqlalchemy.orm", "Session", "scoped_session")


def run(connection: Any, work: Work[T]) -> T | Awaitable[T]:
    """
    Return the result of *work* in the transaction of *connection*; of an asynchronous one, what awaits it.

    :raises TransactionError: no transaction is open, or *connection* is none to PostgreSQL that we know.
    """
    if isinstance(connection, AsyncConnection):
        return _run_async(connection, work)
    if is_asynchronous(connection):
        awaitable: Awaitable[T] = connection.run_sync(lambda proper: run(proper, work))
        return awaitable
    memory, execute = _session(connection)
    try:
        return answer(work(memory), execute)
    except BaseException:
        memory.clear()  # the table may be another one by now
        raise


async def _run_async(connection: AsyncConnection[Any], work: Work[T]) -> T:
    _check_psycopg(connection)
    memory = _memory(connection)
    steps = work(memory)
    try:
        statement = next(steps)
        while True:
            cursor = AsyncCursor(connection, row_factory=tuple_row)
            async with AsyncExitStack() as stack:
                if connection.info.pipeline_status != PipelineStatus.OFF:
                    await stack.enter_async_context(connection.pipeline())  # whose end has waited for the answer
                await cursor.execute(*statement)
            statement = steps.send(await cursor.fetchall() if cursor.description else [[cursor.rowcount]])
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return] # the result of steps
    except BaseException:
        memory.clear()
        raise


def _session(connection: Any) -> tuple[Memory, Callable[[Any, Any], Rows]]:
    """Return the memory of *connection*, and what runs a statement in its transaction."""
    if isinstance(connection, Connection):
        return _of_psycopg(connection)
    if isinstance(connection, find("sqlalchemy.orm", "scoped_session")):
        connection = connection()
    if isinstance(connection, find("sqlalchemy.orm", "Session")):
        connection = connection.connection()
    if isinstance(connection, find("sqlalchemy.engine", "Connection")):
        return _of_sqlalchemy(connection)
    if _is_of_django(connection):
        return _of_django(connection)
    raise _unknown(connection)


def _is_of_django(connection: Any) -> bool:
    return hasattr(connection, "settings_dict") and hasattr(connection, "in_atomic_block")


def _unknown(connection: Any) -> TransactionError:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    hint = ": take a connection from it" if kind.endswith(("Pool", "Engine", "sessionmaker")) else ""
    return TransactionError(
        f"insert_event takes a connection of psycopg or Django, or a Session or Connection of SQLAlchemy, not a {kind}"
        f"{hint}"
    )


def _of_psycopg(connection: Connection[Any]) -> tuple[Memory, Callable[[Any, Any], Rows]]:
    _check_psycopg(connection)

    def execute(statement: Any, parameters: Mapping[str, Any]) -> Rows:
        cursor = Cursor(connection, row_factory=tuple_row)
        with ExitStack() as stack:
            if connection.info.pipeline_status != PipelineStatus.OFF:
                stack.enter_context(connection.pipeline())
            cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else [[cursor.rowcount]]

    return _memory(connection), execute


def _of_sqlalchemy(connection: Any) -> tuple[Memory, Callable[[Any, Any], Rows]]:
    _check_server(connection.dialect.name)
    _check_sqlalchemy(connection)

    def execute(statement: sql.Composable, parameters: Mapping[str, Any]) -> Rows:
        text = statement.as_string(None)
        if connection.dialect.paramstyle == "numeric_dollar":
            result = connection.exec_driver_sql(*_numbered(text, parameters))
        else:
            result = connection.exec_driver_sql(text, dict(parameters))
        return list(result) if result.returns_rows else [[result.rowcount]]

    memory: Memory = connection.info.setdefault("pglog_audit", {})
    return memory, execute


def _numbered(text: str, parameters: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return *text* with the placeholders of asyncpg, and the parameters in their order."""
    values: list[Any] = []

    def replace(found: "re.Match[str]") -> str:
        if found[1] == "%":
            return "%"
        values.append(parameters[found[2]])
        return f"${len(values)}"

    return _PLACEHOLDER.sub(replace, text), tuple(values)


def _of_django(connection: Any) -> tuple[Memory, Callable[[Any, Any], Rows]]:
    _check_server(connection.vendor)
    _check_django(connection)

    def execute(statement: sql.Composable, parameters: Mapping[str, Any]) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(statement.as_string(None), parameters)
            return list(cursor.fetchall()) if cursor.description else [[cursor.rowcount]]

    return _memory(connection.connection), execute


def _memory(connection: Any) -> Memory:
    return _memories.setdefault(connection, {})


def _check_psycopg(connection: Any) -> None:
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise _no_transaction("write 'with connection.transaction():'")


def _check_sqlalchemy(connection: Any) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise _no_transaction("leave the isolation level AUTOCOMMIT")


def _check_django(connection: Any) -> None:
    if not connection.in_atomic_block and connection.get_autocommit():
        raise _no_transaction("write 'with transaction.atomic():'")


def _check_server(name: str) -> None:
    if name != "postgresql":
        raise TransactionError(f"insert_event writes to PostgreSQL, and this is a connection to {name}")


def _no_transaction(advice: str) -> TransactionError:
    return TransactionError(
        f"no transaction is open on this connection, which commits each statement by itself: {advice} around the "
        "action and its event, or log the event"
    )
