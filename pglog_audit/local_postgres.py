"""A private PostgreSQL for the demo and for tests: it starts in a second, as root too, and leaves nothing behind."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from psycopg.conninfo import make_conninfo

from .errors import AuditError
from .postgres_programs import find_binaries, reachable, server_account, spawn

# A socket's path may have 107 bytes at most (103 on macOS); $TMPDIR can be longer than that.
_TEMPORARY = Path(tempfile.gettempdir() if sys.platform == "win32" else "/tmp")  # noqa: S108 - the name inside is random
_START_TIMEOUT = 60.0
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SIGNALS = {"smart": "TERM", "fast": "INT", "immediate": "QUIT"}
SUPERUSER = "postgres"


class LocalPostgresError(AuditError, RuntimeError):
    """The private server did not start; the message ends with what PostgreSQL said."""


class LocalPostgres:
    """
    A PostgreSQL server of our own: ``with`` starts it, and at the end stops and removes it.

    :param directory: keeps the data for the next time; by default they go with the server.
    :param durable: False gives up surviving a power cut for speed, as tests like it.
    :param tcp: listen on 127.0.0.1 and ask for passwords, the superuser's being random; otherwise on a socket that only
        this user and root can reach, where every role is let in. Always true on Windows.
    :param settings: server parameters by name; they win over those chosen here.
    :param port: by default a free one; it stays the same when the server is started again.

    As root the server runs as the user ``postgres`` or else ``nobody``, since PostgreSQL refuses root. On Linux it ends
    with the thread that started it, even a killed one: start it from the main thread.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        durable: bool = True,
        tcp: bool = False,
        settings: Mapping[str, str] = {},
        port: int | None = None,
    ) -> None:
        self._durable = durable
        self._tcp = tcp or sys.platform == "win32"
        self._settings = settings
        self._port = port or (_free_port() if self._tcp else 5432)
        self._account = server_account()
        self._scratch = _TEMPORARY / f"pglog-audit-{secrets.token_hex(8)}"
        home = (directory or self._scratch).absolute()
        self._data, self._log, self._password_file = home / "data", home / "server.log", home / "password"
        self.password = _read(self._password_file) or secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def start(self) -> None:
        """
        Start the server, on the data of the last time if there are any, and return once it takes connections.

        :raises ConfigurationError: there are no PostgreSQL programs, or the server's user cannot run them.
        :raises LocalPostgresError: PostgreSQL did not start.
        """
        if self.pid is not None:
            return
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        self._give_away(self._scratch)
        self._binaries = reachable(find_binaries(), self._account, self._scratch)
        if not (self._data / "PG_VERSION").exists():
            self._initdb()
        with self._log.open("ab") as log:
            self._process = spawn(self._server_command(), self._account, log)
        self._wait_until_ready(self._process)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", *, timeout: float = 60.0) -> None:
        """
        Stop the server and keep its data for ``start``; do nothing where it does not run.

        :param mode: wait for clients to leave, end their sessions, or crash, as in ``pg_ctl stop``.
        :param timeout: seconds, after which the stop becomes an immediate one.
        """
        if self._process is None or self.pid is None:
            return
        self._signal(self._process, mode)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            # PostgreSQL then kills stuck sessions itself, after 5 s; our SIGKILL would leave its shared memory behind.
            self._signal(self._process, "immediate")
            self._process.wait()

    def close(self) -> None:
        """Stop the server and remove all that it made, except in a directory that the caller named."""
        # Data that go away need no checkpoint, and an immediate shutdown waits for no stuck session.
        self.stop("immediate" if self._scratch in self._data.parents else "fast")
        if self._scratch.exists():
            shutil.rmtree(self._scratch)

    def conninfo(self, dbname: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return how to connect, also before the start; with *tcp* only the superuser's *password* is known here."""
        if not self._tcp:
            return make_conninfo(host=str(self._scratch), port=self._port, dbname=dbname, user=user)
        if password is None and user == SUPERUSER:
            password = self.password
        return make_conninfo(host="127.0.0.1", port=self._port, dbname=dbname, user=user, password=password)

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def version(self) -> int:
        """The major version, for example 18."""
        return int((self._data / "PG_VERSION").read_text())

    def _initdb(self) -> None:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(self.password)
        self._give_away(self._data)
        self._give_away(self._password_file)
        options = [f"--pgdata={self._data}", f"--username={SUPERUSER}", f"--pwfile={self._password_file}"]
        options += ["--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"]
        self._run("initdb", *options, *([] if self._durable else ["--no-sync"]))

    def _server_command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1" if self._tcp else "",
            "unix_socket_directories": "" if self._tcp else str(self._scratch),
            "port": str(self._port),
            **({} if self._durable else _NOT_DURABLE),
            **self._settings,
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return [str(self._binaries / "postgres"), "-D", str(self._data), *options]

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._is_ready(server.pid):
            if server.poll() is not None or time.monotonic() > deadline:
                self.stop("immediate")
                raise LocalPostgresError(f"PostgreSQL did not start; its log ends with:\n{_read(self._log)[-2000:]}")
            time.sleep(0.01)

    def _is_ready(self, pid: int) -> bool:
        lines = _read(self._data / "postmaster.pid").splitlines()
        # The file that a killed server left says "ready" as well; whose it is stands in its first line.
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _run(self, program: str, *arguments: str) -> None:
        with spawn([str(self._binaries / program), *arguments], self._account, subprocess.PIPE) as process:
            output, _ = process.communicate()
        if process.returncode:
            user = f" as the user {self._account.pw_name}" if self._account else ""
            raise LocalPostgresError(f"{program} failed{user}:\n{output.decode(errors='replace')}")

    def _signal(self, server: subprocess.Popen[bytes], mode: str) -> None:
        self._run("pg_ctl", "kill", _SIGNALS[mode], str(server.pid))
        if sys.platform != "win32":
            # A process under SIGSTOP takes the signal only when it goes on.
            server.send_signal(signal.SIGCONT)

    def _give_away(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
