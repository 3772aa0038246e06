"""The connection and the server: how they answer, in which versions, by which clock and settings."""

import re
import statistics
import time
from importlib.metadata import version
from typing import Any

import psycopg
from psycopg import Connection, sql

from ..connections import NO_ENCODING
from ..finding import Finding
from .subject import ask

_ROUND_TRIPS = 5
_OLDEST = 14
_MAX_SKEW = 5.0
"""Seconds by which two clocks may differ: beyond, the order of events is no longer that of what happened."""
_MIN_TIMEOUT = 1000
_EARLY = "the server may end the connection before a batch begins"
_ITS_OWN = "; the writer sets its own in each batch, and not in the application's transactions."
_TIMEOUTS = {
    "statement_timeout": (
        "reading the catalog at each connect may take longer",
        "; the writer sets its own for each batch, by the option write_timeout.",
    ),
    "transaction_timeout": (_EARLY, _ITS_OWN),
    "idle_in_transaction_session_timeout": (_EARLY, _ITS_OWN),
    "idle_session_timeout": (_EARLY, "; each time it ends one, the writer has to connect again."),
}
"""What comes of less than a second, in milliseconds, and what else to know."""
_NO_TEXT = "Events with other characters are refused and lost, and names cannot be told."
_NOT_ALL_TEXT = "Characters that it lacks are stored as escapes; in a database with the encoding UTF8 each is itself."
_MILLISECONDS = {"us": 0.001, "": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def check_connection(connection: Connection[Any], origin: str) -> Finding:
    """Tell where the connection leads, who named it, and how long an answer takes."""
    latency = statistics.median(_round_trip(connection) for _ in range(_ROUND_TRIPS)) * 1000
    info = connection.info
    where = f"user={info.user} host={info.host} port={info.port} dbname={info.dbname}"
    return Finding.ok("connection", f"{where}, from {origin}; {latency:.1f} ms a round trip")


def _round_trip(connection: Connection[Any]) -> float:
    begin = time.perf_counter()
    ask(connection, "doctor_ping")
    return time.perf_counter() - begin


def check_server(connection: Connection[Any]) -> Finding:
    """Tell whether the server's version is one that the table needs."""
    number = connection.info.server_version
    text = f"PostgreSQL {number // 10000}.{number % 10000}"
    if number // 10000 < _OLDEST:
        return Finding.wrong("server", text, f"Use PostgreSQL {_OLDEST} or newer.")
    database, encoding = f"database {connection.info.dbname}", connection.info.parameter_status("server_encoding")
    if encoding == "SQL_ASCII":
        return Finding.wrong("server", f"{text}; {database} {NO_ENCODING}", _NO_TEXT)
    if encoding != "UTF8":
        return Finding.ok("server", f"{text}; {database} has the encoding {encoding}", _NOT_ALL_TEXT)
    return Finding.ok("server", text)


def check_client() -> Finding:
    """Tell the versions on this side."""
    libpq = psycopg.pq.version()
    implementation = psycopg.pq.__impl__
    return Finding.ok(
        "client",
        f"pglog-audit {version('pglog-audit')}, psycopg {psycopg.__version__} ({implementation}), "
        f"libpq {libpq // 10000}.{libpq % 10000}",
    )


def check_clock(connection: Connection[Any]) -> Finding:
    """Compare the clocks of client and server; a round trip's half is not held against them."""
    before = time.time()
    [row] = ask(connection, "doctor_clock")
    after = time.time()
    skew = (before + after) / 2 - row["seconds"]
    if abs(skew) - (after - before) / 2 <= _MAX_SKEW:
        return Finding.ok("clock", f"this machine and the server differ by less than {_MAX_SKEW:.0f} s")
    return Finding.wrong(
        "clock",
        f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server",
        "occurred_at is the application's clock: events of several machines come in the wrong order, and lie in the "
        "wrong month at its ends. Set the clocks by NTP.",
    )


def check_settings(connection: Connection[Any], writer: str) -> Finding:
    """Tell which settings of the writer's role keep it from writing, or make what it wrote less durable."""
    values = {row["name"]: row["value"] for row in ask(connection, "doctor_settings", role=writer)}
    alter = f"ALTER ROLE {sql.Identifier(writer).as_string()} SET"
    for name, (effect, more) in _TIMEOUTS.items():
        timeout = _milliseconds(values[name])
        if 0 < timeout < _MIN_TIMEOUT:
            text = f"{name} is {timeout:g} ms for {writer}: {effect}"
            return Finding.wrong("settings", text, f"{alter} {name} = '10s'{more}")
    if values["default_transaction_read_only"].lower() in ("on", "true", "yes", "1"):
        return Finding.ok(
            "settings",
            f"default_transaction_read_only is on for {writer}",
            "The handler writes all the same, and insert_event what its transaction may. Unless it is meant: "
            f"{alter} default_transaction_read_only = off;",
        )
    if values["synchronous_commit"] == "off":
        return Finding.ok(
            "settings",
            f"synchronous_commit is off for {writer}",
            "A crash of the server may lose the last second of stored events. If that is too much: "
            f"{alter} synchronous_commit = on;",
        )
    return Finding.ok("settings", f"nothing that hinders {writer}")


def _milliseconds(value: str | None) -> float:
    match = re.fullmatch(r"'?(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|)'?", value or "")
    return float(match[1]) * _MILLISECONDS[match[2]] if match else 0.0
