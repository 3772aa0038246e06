"""The command line: ``pglog-audit``."""

import sys

_EXTRAS = {"click": "cli", "rich": "cli", "starlette": "demo", "uvicorn": "demo"}


def main() -> None:
    """Run the command that the shell asked for; exit 2 and name the extra if a package of it is missing."""
    if sys.stdout is None:  # the shell's >&-
        print("Error: the output cannot be written: it is closed", file=sys.stderr)
        sys.exit(5)
    try:
        from .commands import cli

        cli(prog_name="pglog-audit")
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
