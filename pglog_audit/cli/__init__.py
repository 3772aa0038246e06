"""The command line: ``pglog-audit``."""

import sys
from collections.abc import Mapping, Sequence

_EXTRAS = {"click": "cli", "rich": "cli", "starlette": "demo", "uvicorn": "demo"}


def main(
    arguments: Sequence[str] | None = None, name: str = "pglog-audit", *, handler: Mapping[str, str] | None = None
) -> None:
    """
    Run a command, and exit with its status; with 2, and the name of the extra, if a package of it is missing.

    :param arguments: by default those that the shell gave.
    :param name: what the command is called in its help.
    :param handler: how a framework's settings name the handler, which knows the database from them.
    """
    if sys.stdout is None:  # the shell's >&-
        print("Error: the output cannot be written: it is closed", file=sys.stderr)
        sys.exit(5)
    try:
        from .commands import cli

        cli(arguments, prog_name=name, obj=handler)
    except ImportError as error:
        extra = _missing_extra(error)
        if extra is None:
            raise
        print(f"pglog-audit needs more packages: pip install 'pglog-audit[{extra}]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before there was a command that could end by it
        sys.exit(130)


def _missing_extra(error: ImportError) -> str | None:
    # psycopg's error carries no name when it finds no libpq.
    if "pq wrapper" in str(error):
        return "binary"
    return _EXTRAS.get((error.name or "").partition(".")[0])
