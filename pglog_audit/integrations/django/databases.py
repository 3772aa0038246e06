"""
Where Django's databases are, as the writer's thread finds it out when it connects.

A test run puts a database of its own in the place of each one, and drops it at the end. So nothing is asked before the
first record; a database that stands in the settings is left alone as long as tests run; and while a database is made
or dropped, which a connection of ours would prevent, there is none.
"""

import os
import sys
import traceback
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from ...errors import ConfigurationError, UnreachableError

_TESTING = ("test", "testserver")
"""Commands of ``manage.py`` that make databases of their own."""
_STARTERS = {("django.core.management", "execute"), ("django.test.runner", "_init_worker")}
"""What runs these commands, whatever ``manage.py`` is called, and what begins a worker of ``test --parallel``."""

_names: dict[str, Any] = {}
"""The databases of the settings, by alias."""
_is_test_run = False
_maintenance: "weakref.ref[Any] | None" = None
"""The connection over which Django makes and drops databases."""


class Holder(Protocol):
    """Who has a connection to one of these databases."""

    def release(self) -> None:
        """Write what is queued, and close the connection."""


_holders: "weakref.WeakSet[Holder]" = weakref.WeakSet()


@dataclass(frozen=True)
class DatabaseConninfo:
    """The connection string of the database *alias*, to be called whenever somebody connects."""

    alias: str

    def __call__(self) -> str:
        """
        Return it, with what the settings say now.

        :raises UnreachableError: there is no database to write to now.
        :raises ConfigurationError: it is no PostgreSQL, or not there.
        """
        if self.alias not in connections.settings:
            raise ConfigurationError(f"no database {self.alias!r} in DATABASES: name one of {', '.join(connections)}")
        connection = connections[self.alias]
        if connection.vendor != "postgresql":
            raise ConfigurationError(f"the database {self.alias!r} of DATABASES is no PostgreSQL: name one that is")
        if _maintenance is not None and getattr(_maintenance(), "connection", None) is not None:
            raise UnreachableError("Django makes or drops a test database")
        if not is_open(self.alias):
            raise UnreachableError(f"tests are run, and {connection.settings_dict['NAME']!r} is no test database")
        return _conninfo(connection)

    def target(self) -> str:
        """Return it whether or not somebody may connect now: what a spool is for."""
        return _conninfo(connections[self.alias])


def is_postgresql(alias: str) -> bool:
    """Tell whether the database *alias* of the settings is one; true where that cannot be found out."""
    try:
        return bool(connections[alias].vendor == "postgresql")
    except Exception:  # noqa: BLE001 - inside a log call; the writer says what is wrong
        return True


def is_open(alias: str) -> bool:
    """Tell whether the database *alias* may be written to: while tests run, only one that was made for them."""
    if not is_test_run():
        return True
    name = connections.settings.get(alias, {}).get("NAME")
    return bool(name != _names.get(alias, name))


def is_test_run() -> bool:
    """Tell whether this process runs, or ran, tests."""
    global _is_test_run
    _is_test_run = (
        _is_test_run
        or ("pytest" in sys.modules and "PYTEST_VERSION" in os.environ)
        # What setup_test_environment() leaves, whoever calls it.
        or hasattr(getattr(sys.modules.get("django.test.utils"), "_TestState", None), "saved_data")
        or (sys.argv[1:2] in [[name] for name in _TESTING] and _is_started_for_tests())
    )
    return _is_test_run


def _is_started_for_tests() -> bool:
    """Tell, as long as the project is loaded, whether a command loads it; a script may have an argument ``test``."""
    callers = {(frame.f_globals.get("__name__"), frame.f_code.co_name) for frame, _ in traceback.walk_stack(None)}
    return not callers.isdisjoint(_STARTERS)


def remember_databases() -> None:
    """Note which databases the settings name, and let go of them whenever Django makes or drops one."""
    for alias, given in connections.settings.items():
        _names.setdefault(alias, given["NAME"])
    connection_created.connect(_on_connection, dispatch_uid="pglog_audit")


def holders() -> list[Any]:
    """Return who may have a connection."""
    return list(_holders)


def add_holder(holder: Holder) -> None:
    """Have *holder* let go before a database is made or dropped."""
    _holders.add(holder)


def _on_connection(connection: Any, **_: object) -> None:
    global _maintenance
    if connection.alias != NO_DB_ALIAS:
        return
    is_test_run()
    for holder in holders():
        holder.release()
    _maintenance = weakref.ref(connection)
    # A batch may have come in between.
    for holder in holders():
        holder.release()


def _conninfo(connection: Any) -> str:
    """Return what libpq needs of the parameters of *connection*, which Django's backend has for psycopg."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    given = {name: value for name, value in connection.get_connection_params().items() if name in known and value}
    if role := connection.settings_dict["OPTIONS"].get("assume_role"):
        escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
        given["options"] = " ".join(filter(None, (given.get("options"), f"-c role={escaped}")))
    return make_conninfo("", **given)
