"""What doctor tells of a handler's spool."""

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pglog_audit import file_locks
from pglog_audit.backlog import describe_target
from pglog_audit.cli.commands import cli
from pglog_audit.doctor import check_spool
from pglog_audit.options import WriterOptions, read_options
from pglog_audit.spool import Spool
from tests.spools import event, events, segments
from tests.support import config

CONNINFO = "host=db.example dbname=app"


@pytest.fixture
def directory(tmp_path):
    """Return a directory for spools that is not there yet."""
    return tmp_path / "spool"


def options(directory: Path, **others) -> WriterOptions:
    """Return the options of a handler with a spool in *directory*."""
    return read_options(CONNINFO, {"spool": directory, **others})[0]


def made(directory: Path, conninfo: str = CONNINFO) -> Spool:
    """Return the spool of a handler."""
    target = describe_target(read_options(conninfo, {})[0])
    return Spool(directory, target, f"w{len(segments(directory))}", fsync="never")


def leave(directory: Path, conninfo: str = CONNINFO, *, age: float = 0) -> None:
    """Leave a segment that has not grown for *age* seconds."""
    spool = made(directory, conninfo)
    spool.append(events(3))
    spool.close()
    for path in segments(directory):
        os.utime(path, (path.stat().st_mtime - age,) * 2)


def checks(directory: Path, **others):
    """Return the findings by name; of several with one name the last."""
    return {finding.name: finding for finding in check_spool(options(directory, **others))}


def test_a_handler_without_spool() -> None:
    """Nothing is said of what was not asked for."""
    assert list(check_spool(WriterOptions(conninfo=CONNINFO))) == []


def test_all_is_well(directory) -> None:
    """An empty spool is ok in every respect, and is looked at without making anything."""
    assert {finding.status for finding in check_spool(options(directory))} == {"ok"}
    assert not directory.exists()
    made(directory).prepare()
    found = checks(directory)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert list(found) == ["spool", "spool room", "backlog", "rejects"]
    assert found["backlog"].text == "no lines wait on disk"


class TestDirectory:
    def test_others_may_write_into_it(self, directory) -> None:
        """What the handler would refuse, doctor tells beforehand."""
        made(directory).prepare()
        [path] = directory.iterdir()
        path.chmod(0o777)
        finding = checks(directory)["spool"]
        assert (finding.status, "chmod go-w" in finding.text) == ("wrong", True)

    def test_it_cannot_be_made(self, directory) -> None:
        """Only the last part of the path is ever made."""
        finding = checks(directory / "deeper")["spool"]
        assert (finding.status, finding.text) == ("wrong", f"{directory / 'deeper'} is not there, nor is {directory}")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
    def test_another_users(self, directory) -> None:
        """Doctor runs as somebody else: that is no fault of the spool, and root sees the rest all the same."""
        leave(directory)
        for path in (directory, *directory.iterdir()):
            os.chown(path, 12345, 12345)
        found = checks(directory)
        assert (found["spool"].status, found["backlog"].text[:9]) == ("hidden", "1 segment")


class TestRoom:
    def test_nearly_full(self, directory) -> None:
        """What will soon lose events is wrong already."""
        spool = made(directory)
        spool.append(events(1) * 10_000)
        spool.close()
        size = sum(path.stat().st_size for path in segments(directory))
        assert checks(directory, spool_max_bytes=size * 2)["spool room"].status == "ok"
        assert checks(directory, spool_max_bytes=size + 1)["spool room"].status == "wrong"

    def test_a_disk_that_is_smaller_than_the_limit(self, directory) -> None:
        """The limit is of no use where the disk ends before."""
        assert "The disk has only" in checks(directory, spool_max_bytes=2**62)["spool room"].advice


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who lives")
class TestBacklog:
    def test_nobody_replays(self, directory) -> None:
        """What a dead writer left is wrong after a minute, with the command that replays it."""
        leave(directory, age=50)
        assert checks(directory)["backlog"].status == "ok"
        leave(directory, age=70)
        finding = checks(directory)["backlog"]
        assert (finding.status, finding.text.startswith("2 segments (")) == ("wrong", True)
        assert finding.advice.endswith(f"pglog-audit spool replay {directory}")

    def test_a_living_process(self, directory) -> None:
        """As long as somebody holds a segment, somebody replays."""
        leave(directory, age=70)
        spool = made(directory)
        spool.append(events(1))
        finding = checks(directory)["backlog"]
        assert (finding.status, f"process {os.getpid()} has them" in finding.text) == ("ok", True)
        spool.close()

    def test_lines_for_a_database_of_before(self, directory) -> None:
        """Orphans of another table are told with the option that replays them here."""
        leave(directory, "host=db.example dbname=before", age=70)
        [path] = directory.iterdir()
        finding = checks(directory)["backlog"]
        assert (finding.status, "dbname=before" in finding.text) == ("wrong", True)
        assert finding.advice.endswith(f"--from {path.name}")

    def test_a_living_writer_of_another_table(self, directory) -> None:
        """What another writer looks after is not told."""
        spool = made(directory, "host=db.example dbname=other")
        spool.append(events(1))
        assert checks(directory)["backlog"].text == "no lines wait on disk"
        spool.close()


def test_a_system_that_does_not_tell_who_lives(directory, tmp_path, monkeypatch) -> None:
    """Lines are told with the command, and nobody is accused."""
    monkeypatch.setattr(file_locks, "_LOCKS", tmp_path / "none")
    leave(directory, age=70)
    leave(directory, "host=db.example dbname=other", age=70)
    finding = checks(directory)["backlog"]
    assert (finding.status, "pglog-audit spool replay" in finding.advice) == ("ok", True)


def test_what_cannot_be_read(directory) -> None:
    """A file that is no segment is told."""
    leave(directory)
    [path] = segments(directory)
    path.write_text("?\n")
    finding = checks(directory)["backlog"]
    assert (finding.status, "does not begin like a segment" in finding.text) == ("wrong", True)


def test_rejects(directory) -> None:
    """They are counted, with the command that shows them."""
    spool = made(directory)
    spool.reject(event(1), "22003", "too large")
    finding = checks(directory)["rejects"]
    assert (finding.status, finding.text[0]) == ("wrong", "1")
    assert f"pglog-audit spool rejects {directory} --from " in finding.advice


@pytest.mark.parametrize(("fsync", "cost"), [("never", "kernel"), ("rotate", "last segment"), ("always", None)])
def test_what_the_journal_survives(directory, fsync, cost) -> None:
    """Only fsync="always" costs nothing when the machine ends."""
    finding = checks(directory, journal=True, fsync=fsync)["journal"]
    assert finding.status == "ok"
    assert (cost in finding.advice) if cost else finding.advice is None


def test_doctor_looks_at_the_handlers_of_the_configuration(directory, tmp_path, monkeypatch) -> None:
    """The command has the spool's lines also where the database is away, and exits as that demands."""
    monkeypatch.chdir(tmp_path)
    leave(directory, "host=127.0.0.1 port=1 dbname=app")
    logging_config = config("host=127.0.0.1 port=1 dbname=app", spool=str(directory))
    (tmp_path / "logging.json").write_text(json.dumps(logging_config))
    result = CliRunner().invoke(cli, ["doctor", "--config", "logging.json", "-o", "json"])
    found = {check["name"]: check["text"] for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 3
    assert found["backlog"].startswith("1 segment (")
