"""Where the examination goes: a database, a table in it, and who told so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from psycopg.rows import tuple_row

from ..conninfo import check_conninfo, describe_conninfo, find_conninfo, find_variable
from ..errors import UnreachableError
from ..options import WriterOptions, check_pool
from ..verdict import words

_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Target:
    """A table, and how to connect to its database."""

    conninfo: str
    origin: str
    """Who named the database, for people to read."""
    table: str = "audit_log"
    columns: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What a pool of the application's adds to the conninfo."""

    @classmethod
    def of_handler(cls, options: WriterOptions) -> "Target":
        """
        Return where a handler with *options* writes to.

        :raises UnreachableError: its conninfo callable failed.
        :raises ConfigurationError: its pool or its conninfo can never work.
        """
        given = options.conninfo
        parameters: Mapping[str, Any] = {}
        if options.pool is not None:
            pool = check_pool(options.pool)
            given, parameters = pool.conninfo, (pool.kwargs() if callable(pool.kwargs) else pool.kwargs) or {}
        conninfo = check_conninfo((_ask(given) if callable(given) else given) or "")
        origin = environment_origin() if options.pool is None and conninfo == find_conninfo() else "the handler"
        return cls(conninfo, origin, options.table, dict(options.columns), parameters)

    def connect(self) -> psycopg.Connection[Any]:
        """
        Connect as the writer does.

        :raises UnreachableError: no server, or none that lets this role in.
        """
        wanted: dict[str, Any] = {"connect_timeout": 5, "application_name": "pglog-audit doctor"}
        wanted |= {**conninfo_to_dict(self.conninfo), **self.parameters}
        wanted |= {"autocommit": True, "prepare_threshold": None}
        wanted |= {"row_factory": tuple_row, "cursor_factory": psycopg.Cursor}
        try:
            return psycopg.connect(**wanted)
        except psycopg.Error as error:
            raise UnreachableError(f"{describe_conninfo(self.conninfo)}, from {self.origin}: {words(error)}") from None

    def place(self) -> tuple[str, str, str]:
        """Return host, port and database, as libpq would choose them; all names of this machine are one."""
        known = {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}
        known |= {name: str(value) for name, value in conninfo_to_dict(self.conninfo).items()}
        known |= {name: str(self.parameters[name]) for name in ("host", "port", "dbname") if name in self.parameters}
        host = known.get("host") or "localhost"
        return "localhost" if host in _HERE else host, known["port"], known.get("dbname") or known.get("user", "")


def environment_origin() -> str:
    """Return what in the environment names the database, for people to read."""
    variable = find_variable()
    return variable if variable in ("PGLOG_AUDIT_CONNINFO", "DATABASE_URL") else "libpq's variables"


def _ask(conninfo: Any) -> str:
    try:
        return str(conninfo())
    except Exception as error:  # noqa: BLE001 - the application's code
        raise UnreachableError(f"the conninfo callable of the handler failed with {type(error).__name__}") from None
