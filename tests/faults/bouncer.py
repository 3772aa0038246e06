"""A PgBouncer in transaction mode, with one session of the server's for all clients."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pglog_audit.postgres_programs import server_account, spawn
from tests.support import wait_until

_PORT = 6432
_CONFIGURATION = """
[databases]
{dbname} = host={host} port={port} dbname={dbname} user={user}
[pgbouncer]
listen_addr =
listen_port = {own_port}
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
default_pool_size = 1
"""


class Bouncer:
    """
    Stand between clients and the server of *conninfo*; skip the test where PgBouncer is not installed.

    :param directory: that the server's user may reach; it gets the configuration and the socket.
    """

    def __init__(self, directory: Path, conninfo: str) -> None:
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None:
            pytest.skip("PgBouncer is not installed")
        self._program = program
        self._directory = directory
        self._server = conninfo_to_dict(conninfo)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory.mkdir()
        text = _CONFIGURATION.format(directory=self._directory, own_port=_PORT, **self._server)
        self._configuration.write_text(text)
        account = server_account()
        if account is not None:
            shutil.chown(self._directory, account.pw_uid, account.pw_gid)
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        shutil.rmtree(self._directory)

    @property
    def _configuration(self) -> Path:
        return self._directory / "pgbouncer.ini"

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    @property
    def conninfo(self) -> str:
        """How to connect through it."""
        parts = {"dbname": self._server["dbname"], "user": self._server["user"]}
        return make_conninfo(host=str(self._directory), port=_PORT, **parts)

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        with self._log.open("ab") as log:
            self._process = spawn([self._program, str(self._configuration)], server_account(), log)
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._directory / f".s.PGSQL.{_PORT}")) == 0

    def kill(self) -> None:
        """End it by SIGKILL, with its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            # It is no server that would take a stale socket over.
            (self._directory / f".s.PGSQL.{_PORT}").unlink(missing_ok=True)

    def pause(self) -> None:
        """Let no query reach the server, as the command PAUSE does; return when it has heard of it."""
        told = self._log.read_text().count("SIGUSR1")
        self._signal(signal.SIGUSR1)
        wait_until(lambda: self._log.read_text().count("SIGUSR1") > told)

    def resume(self) -> None:
        """Let queries through again."""
        self._signal(signal.SIGUSR2)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
