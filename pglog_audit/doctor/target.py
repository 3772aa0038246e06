"""Where the examination goes: a database, a table in it, and who told so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from ..connections import connect, find_target
from ..conninfo import find_conninfo, find_variable
from ..options import WriterOptions

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
    is_handlers: bool = False
    """Whether a handler connects so, and writes as that role."""

    @classmethod
    def of_handler(cls, options: WriterOptions) -> "Target":
        """
        Return where a handler with *options* writes to.

        :raises UnreachableError: its conninfo callable failed.
        :raises ConfigurationError: its pool or its conninfo can never work.
        """
        conninfo, parameters = find_target(options)
        origin = environment_origin() if options.pool is None and conninfo == find_conninfo() else "the handler"
        return cls(conninfo, origin, options.table, dict(options.columns), parameters, is_handlers=True)

    def connect(self) -> psycopg.Connection[Any]:
        """
        Connect as the writer does.

        :raises UnreachableError: no server, or none that lets this role in.
        """
        origin = f", from {self.origin}"
        return connect(self.conninfo, self.parameters, timeout=5, name="pglog-audit doctor", origin=origin)

    def place(self) -> tuple[str, str, str]:
        """Return what tells two databases apart: all names of this machine are one."""
        host, port, dbname = self.address()
        return "localhost" if host in _HERE else host, port, dbname

    def address(self) -> tuple[str, str, str]:
        """Return host, port and database, as libpq would choose them."""
        known = {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}
        known |= {name: str(value) for name, value in conninfo_to_dict(self.conninfo).items()}
        known |= {name: str(self.parameters[name]) for name in ("host", "port", "dbname") if name in self.parameters}
        return known.get("host") or "localhost", known["port"], known.get("dbname") or known.get("user", "")


def environment_origin() -> str:
    """Return what in the environment names the database, for people to read."""
    variable = find_variable()
    return variable if variable in ("PGLOG_AUDIT_CONNINFO", "DATABASE_URL") else "libpq's variables"
