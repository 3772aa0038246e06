"""Where the database is: from options and environment to a libpq connection string, and to words without a password."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import ConfigurationError

_LIBPQ_VARIABLES = ("PGHOST", "PGSERVICE", "PGDATABASE")
_DRIVER = re.compile(r"^(postgres(?:ql)?)(\+\w+)?://")
_SCHEME = re.compile(r"postgres(?:ql)?://")
# libpq takes the rest of a password with an @ for the host, with a / for the database, and its errors name both.
_URL = re.compile(r"\w+://(?:[^@/]*@)?[^@/?]*(?:/[^@?]*)?(?:\?.*)?", re.DOTALL)


def find_conninfo(environ: Mapping[str, str] = os.environ) -> str | None:
    """
    Return the connection string that the environment names, or None.

    ``PGLOG_AUDIT_CONNINFO``, then ``DATABASE_URL`` if its scheme is PostgreSQL's (a ``+driver`` is cut off), then an
    empty string, which means libpq's own variables, if ``PGHOST``, ``PGSERVICE`` or ``PGDATABASE`` is set.
    """
    name = find_variable(environ)
    if name is None or name in _LIBPQ_VARIABLES:
        return name and ""
    return _check_variable(name, environ[name])


def require_conninfo(how: str) -> str:
    """
    Return the connection string that the environment names.

    :param how: what to write to name it otherwise, for the error.
    :raises ConfigurationError: the environment names none.
    """
    conninfo = find_conninfo()
    if conninfo is None:
        other = "; DATABASE_URL names one that is no PostgreSQL" if os.environ.get("DATABASE_URL") else ""
        raise ConfigurationError(
            f"no database named: {how}, or set PGLOG_AUDIT_CONNINFO, DATABASE_URL (postgresql://…), or libpq's PGHOST, "
            f"PGSERVICE or PGDATABASE{other}"
        )
    return conninfo


def find_variable(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the name of the environment variable that :func:`find_conninfo` goes by, or None."""
    if not is_blank(environ.get("PGLOG_AUDIT_CONNINFO")):
        return "PGLOG_AUDIT_CONNINFO"
    if _DRIVER.match(environ.get("DATABASE_URL", "")):
        return "DATABASE_URL"
    return find_libpq_variable(environ)


def find_libpq_variable(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the name of a variable of libpq's own that says which database an empty conninfo is, or None."""
    return next((name for name in _LIBPQ_VARIABLES if environ.get(name)), None)


def is_blank(conninfo: str | None) -> bool:
    """Tell whether *conninfo* names no database: to libpq it would be whichever its defaults are."""
    return conninfo is None or not conninfo.strip()


def name_source(conninfo: str) -> str:
    """Return the environment variable that says *conninfo*, for people who search for it: `` ($DATABASE_URL)``."""
    with suppress(ConfigurationError):
        if find_conninfo() == conninfo:
            return f" (${find_variable()})"
    return ""


def _check_variable(name: str, conninfo: str) -> str:
    try:
        return check_conninfo(conninfo)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def check_conninfo(conninfo: str) -> str:
    """
    Return *conninfo* as libpq takes it.

    :raises ConfigurationError: it cannot be parsed. The text is not repeated: it may hold a password.
    """
    conninfo = _DRIVER.sub(r"\1://", conninfo.strip())
    try:
        if not _is_misread(conninfo):
            return make_conninfo(conninfo)
    except (ProgrammingError, UnicodeError, ValueError) as error:
        # Its other texts repeat what they cannot parse, which may be the end of a password.
        if parameter := re.search(r'invalid URI query parameter: "(\w+)"', str(error)):
            raise ConfigurationError(
                f"conninfo has the parameter {parameter[1]}, which is none of libpq's: leave it out, or write libpq's "
                "own, such as sslmode=disable"
            ) from None
    raise ConfigurationError(
        "conninfo cannot be parsed: write postgresql://user@host:5432/dbname or host=… dbname=… user=…; in a URL "
        "percent-encode special characters: write an @ in user or password as %40, a / as %2F, a space as %20"
    )


def _is_misread(conninfo: str) -> bool:
    """Tell whether libpq would take a part of *conninfo* for another, or not see it, without an error."""
    return "\0" in conninfo or bool(_SCHEME.match(conninfo) and not _URL.fullmatch(conninfo))


def describe_conninfo(conninfo: str) -> str:
    """Return user, host, port and database of *conninfo* for people to read: never the password."""
    try:
        parts = conninfo_to_dict(check_conninfo(conninfo))
    except ConfigurationError:
        return "an unreadable conninfo"
    shown = {name: parts[name] for name in ("service", "user", "host", "port", "dbname") if parts.get(name)}
    return " ".join(f"{name}={value}" for name, value in shown.items()) or "libpq's defaults"
