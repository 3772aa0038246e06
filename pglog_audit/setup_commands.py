"""The commands that make the audit table and let a role write, as messages name them."""

_make, _init = "", "pglog-audit init"


def use_commands(*, make: str, init: str) -> None:
    """Name the commands of a framework's project instead: *make* for the table of the usual name, *init* for grants."""
    global _make, _init
    _make, _init = make, init


def make_command(table: str) -> str:
    """Return what makes *table*."""
    return _make if _make and table == "audit_log" else init_command(table)


def init_command(table: str) -> str:
    """Return what makes *table* unless it is there, and takes ``--writer``."""
    return _init + ("" if table == "audit_log" else f" --table {table}")
