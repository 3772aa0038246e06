"""The options of the handlers: their names, their defaults, and what is wrong with a value."""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, get_args

from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, ConnectionPool

from . import diagnostics
from .conninfo import check_conninfo, find_conninfo, is_blank
from .errors import ConfigurationError
from .event import CALLER_FIELDS
from .references import resolve
from .sql import check_table

if TYPE_CHECKING:
    from .spool import Fsync


class HandlerOptions(TypedDict, total=False):
    """What :class:`pglog_audit.AuditHandler` and :class:`pglog_audit.PostgresHandler` take by keyword."""

    pool: "ConnectionPool[Any] | str | None"
    table: str
    columns: Mapping[str, str]
    capacity: int
    max_bytes: int
    batch_size: int
    flush_interval: float
    block_timeout: float | None
    connect_timeout: float
    write_timeout: float
    shutdown_timeout: float
    spool: "str | os.PathLike[str] | None"
    spool_max_bytes: int
    journal: bool
    fsync: "Fsync"
    lifecycle: bool
    request_id_from: "str | Callable[[], Any] | ContextVar[Any] | Sequence[Any]"
    mask: Iterable[str]
    unmask: Iterable[str]
    mask_with: "str | Callable[[str, Any], Any]"
    service: str | None
    store_message: bool


_FORMATTER = ("request_id_from", "mask", "unmask", "mask_with", "service", "store_message")
_LEAST_BYTES = 320 * 1024
"""What an event of 256 KiB needs: in a queue, of which calls leave the last eighth, or behind a segment's header."""
_ALONE = "enabled"
"""The option of AuditHandler that no other has."""
_NAMES = ("conninfo", "level", *HandlerOptions.__annotations__)


@dataclass(frozen=True)
class WriterOptions:
    """
    What a writer needs to know; two handlers with equal options share one writer.

    Sizes are in lines and bytes, times in seconds.
    """

    conninfo: str | Callable[[], str] | None = None
    pool: Any = None
    table: str = "audit_log"
    columns: tuple[tuple[str, str], ...] = ()
    capacity: int = 100_000
    max_bytes: int = 32 * 1024 * 1024
    batch_size: int = 1000
    flush_interval: float = 0.25
    block_timeout: float | None = 0.1
    connect_timeout: float = 5.0
    write_timeout: float = 10.0
    shutdown_timeout: float = 5.0
    spool: str | None = None
    spool_max_bytes: int = 1024**3
    journal: bool = False
    fsync: "Fsync" = "rotate"
    lifecycle: bool = True

    @property
    def configured(self) -> bool:
        """Whether there is a database to write to."""
        return self.conninfo is not None or self.pool is not None


def read_options(
    conninfo: str | Callable[[], str] | None, options: Mapping[str, Any]
) -> tuple[WriterOptions, dict[str, Any]]:
    """
    Check *options* and return those of the writer and those of the formatter.

    :raises ConfigurationError: one has no meaning or a value that can never work.
    """
    for name in options:
        _check_name(name)
    writing = {name: value for name, value in options.items() if name not in _FORMATTER}
    formatting = {name: value for name, value in options.items() if name in _FORMATTER}
    for name in ("capacity", "max_bytes", "batch_size", "spool_max_bytes"):
        _check_number(name, writing, whole=True)
    for name in ("flush_interval", "block_timeout", "connect_timeout", "write_timeout", "shutdown_timeout"):
        _check_number(name, writing, whole=False)
    _check_spool(writing)
    if "table" in writing:
        check_table(writing["table"])
    columns = check_columns(writing.get("columns", {}), CALLER_FIELDS | {"id"})
    writing["columns"] = tuple(sorted(columns.items()))
    writing["pool"] = _pool(writing.get("pool"))
    if not (conninfo is None or isinstance(conninfo, str) or callable(conninfo)):
        raise ConfigurationError(f"conninfo is of type {type(conninfo).__name__}: it must be a string or a callable")
    is_empty = isinstance(conninfo, str) and is_blank(conninfo)
    if is_empty:
        conninfo = None
    if writing["pool"] is None:
        conninfo = check_conninfo(conninfo) if isinstance(conninfo, str) else conninfo or find_conninfo()
    elif conninfo is not None:
        raise ConfigurationError("conninfo and pool exclude each other: give one of them")
    written = WriterOptions(conninfo=conninfo, **writing)
    _check_hash(conninfo)
    if not written.configured:
        scheme = os.environ.get("DATABASE_URL", "").partition(":")[0]
        diagnostics.warn(
            "not configured",
            "No database for the audit trail: events are not stored. Give conninfo%s, or set PGLOG_AUDIT_CONNINFO or "
            "DATABASE_URL%s",
            ", which is empty" if is_empty else "",
            f", which names no PostgreSQL but {scheme}" if scheme else "",
        )
    return written, formatting


def _check_name(name: str) -> None:
    if name == _ALONE:
        raise ConfigurationError(f"{name} is an option of AuditHandler alone: leave it out, or use that handler")
    if name not in HandlerOptions.__annotations__:
        near = difflib.get_close_matches(name, (*_NAMES, _ALONE), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_NAMES)}, and {_ALONE} of AuditHandler"
        raise ConfigurationError(f"unknown option {name!r}: {hint}")


def _check_number(name: str, options: Mapping[str, Any], *, whole: bool) -> None:
    value = options.get(name, _LEAST_BYTES)
    if name == "block_timeout" and (value is None or value == 0):
        return
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < float("inf"):
        raise ConfigurationError(f"{name} is {value!r}: it must be a {'whole ' if whole else ''}number above 0")
    if name.endswith("max_bytes") and value < _LEAST_BYTES:
        raise ConfigurationError(f"{name} is {value}, where the largest event never fits: give {_LEAST_BYTES} or more")


def _check_hash(conninfo: Any) -> None:
    try:
        hash(conninfo)
    except TypeError:
        raise ConfigurationError(
            f"conninfo is a {type(conninfo).__name__} that cannot be hashed: handlers with equal options share a "
            "writer, so give a function, or its class a __hash__"
        ) from None


def _check_spool(options: dict[str, Any]) -> None:
    """Check what lies on disk, and make a text of the directory."""
    for name in ("journal", "lifecycle"):
        if not isinstance(options.get(name, True), bool):
            raise ConfigurationError(f"{name} is {options[name]!r}: it must be True or False")
    spool = options.get("spool")
    if spool is None:
        idle = [name for name in ("journal", "spool_max_bytes") if options.get(name)]
        idle += ["fsync"] if "fsync" in options else []
        if idle:
            raise ConfigurationError(f"{idle[0]} has no meaning without spool: name a directory with spool='…'")
        return
    from .spool import IS_SUPPORTED, Fsync  # a dozen modules, which only who has one needs

    if options.get("fsync", "rotate") not in get_args(Fsync):
        raise ConfigurationError(f"fsync is {options['fsync']!r}: write one of {', '.join(get_args(Fsync))}")
    if not isinstance(spool, str | os.PathLike) or not os.fspath(spool) or "\0" in str(spool):
        raise ConfigurationError(f"spool is {spool!r}: it must be the path of a directory")
    if not IS_SUPPORTED:
        raise ConfigurationError("spool needs flock(2), which this system has not: leave the option out")
    options["spool"] = os.path.abspath(os.path.expanduser(os.fsdecode(spool)))


def check_columns(columns: Any, fields: Set[str]) -> dict[str, str]:
    """
    Return *columns*, which name the column that some of our *fields* have in a table.

    :raises ConfigurationError: they are no such mapping.
    """
    if not isinstance(columns, Mapping):
        raise ConfigurationError(
            f"columns is {columns!r}: it must map our fields to columns, {{'occurred_at': 'created_at'}}"
        )
    if unknown := sorted(set(map(str, columns)) - fields):
        raise ConfigurationError(
            f"columns names {', '.join(unknown)}, which is no field: write our field first, then yours; "
            f"there are {', '.join(sorted(fields))}"
        )
    named = {field: columns[field] for field in columns}  # each by its name: dictConfig's own dict resolves it then
    for field, column in named.items():
        if not isinstance(column, str) or not column:
            raise ConfigurationError(f"columns maps {field} to {column!r}: name a column of the table")
    if len({*named.values()}) < len(named):
        raise ConfigurationError(f"columns maps two fields to one column: {named}")
    return named


def _pool(pool: Any) -> Any:
    if isinstance(pool, str):
        if not re.fullmatch(r"[\w.]+:[\w.]+", pool):
            raise ConfigurationError(f"pool is {pool!r}: a text must be written 'module:attribute'")
        return pool
    return None if pool is None else check_pool(pool)


def check_pool(pool: Any) -> Any:
    """Return *pool* if it is psycopg's and can be used from a thread; a name is loaded first."""
    if isinstance(pool, str):
        pool = resolve("pool", pool)
    if isinstance(pool, AsyncConnectionPool | AsyncNullConnectionPool):
        raise ConfigurationError(
            f"pool is an {type(pool).__name__}, which lives in an event loop: the writer is a thread and needs a "
            "psycopg_pool.ConnectionPool, or leave pool out and give conninfo"
        )
    if not isinstance(pool, ConnectionPool):
        raise ConfigurationError(f"pool is a {type(pool).__name__}: it must be a psycopg_pool.ConnectionPool")
    return pool
