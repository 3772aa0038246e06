"""What the end of a command means to a shell: its exit status, and one harmless line on stderr."""

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import psycopg

from ..errors import AuditError, ConfigurationError, SchemaError, UnreachableError
from .terminal import discard_stdout, printable

_INTERRUPTED, _PIPE_CLOSED = 130, 141  # as a shell reports SIGINT and SIGPIPE
# psycopg and libpq say so before they try to connect.
_UNUSABLE = re.compile(r"connection is bad: (invalid |definition of service )|could not match \d+ port|bad value for ")
# The server or the way to it failed, or is too busy: the same command may work later, or with another conninfo.
_LATER = ("08", "28", "3D", "40", "53", "55006", "55P03", "57", "58")
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_PRIVILEGES = "; connect as a role that may, or act as one of yours by PGOPTIONS='-c role=ROLE'"


def _printable(message: str) -> str:
    return printable(message, getattr(sys.stderr, "encoding", None) or "utf-8")


class Failed(click.ClickException):
    """What was looked for is not there, or a check failed."""

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))


class _Unwritable(Failed):
    exit_code = 5


class _WrongUsage(Failed):
    exit_code = 2


class _NoDatabase(Failed):
    exit_code = 3


class _Unfit(Failed):
    exit_code = 4


_OURS = {ConfigurationError: _WrongUsage, SchemaError: _Unfit, UnreachableError: _NoDatabase}


@contextmanager
def exit_statuses() -> Iterator[None]:
    """End the process as the documented exit statuses say, whatever the command raises on purpose."""
    try:
        yield
    except click.UsageError as error:
        if error.ctx is not None and error.message == error.ctx.get_help():
            raise  # no command was given: that is no line of an error
        raise click.UsageError(_printable(error.format_message()), error.ctx) from error
    except AuditError as error:
        raise _OURS.get(type(error), Failed)(str(error)) from error
    except psycopg.Error as error:
        raise _database_failure(error) from error
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        discard_stdout()
        sys.exit(_PIPE_CLOSED)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        discard_stdout()
        raise _Unwritable(f"the output cannot be written: {error.strerror}") from error


def _database_failure(error: psycopg.Error) -> click.ClickException:
    text = _plain(error)
    if error.sqlstate is None and _UNUSABLE.match(text):
        return _WrongUsage(f"the conninfo cannot be used: {text}")
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(_LATER):
        return _NoDatabase(f"the database cannot be used: {text}")
    advice = _PRIVILEGES if isinstance(error, psycopg.errors.InsufficientPrivilege) else ""
    return _Unfit(f"the database refused: {text}{advice}")


def _plain(error: psycopg.Error) -> str:
    # Never str() of what a server says: its DETAIL holds the values of rows.
    return error.diag.message_primary or str(error).partition("\n")[0]
