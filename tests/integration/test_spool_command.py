"""`pglog-audit spool replay`: what dead writers left becomes rows, whoever else writes, replays or dies meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from uuid_utils import uuid7

from pglog_audit import AuditLog, lines
from pglog_audit.backlog import describe_target
from pglog_audit.cli.commands import cli
from pglog_audit.options import read_options
from pglog_audit.spool import Spool
from tests.spools import segments
from tests.support import wait_until
from tests.terminal import Terminal

if TYPE_CHECKING:
    from tests.conftest import Database

PROGRAM = """
import logging, sys
from pglog_audit import AuditHandler, audit
logger = logging.getLogger("audit")
logger.setLevel("INFO")
logger.addHandler(AuditHandler(sys.argv[1], spool=sys.argv[2], shutdown_timeout=0.1))
for n in range(25):
    logger.info("Ticket opened", extra=audit("ticket.open", metadata={"n": n}))
"""
MAIN = [sys.executable, "-c", "from pglog_audit.cli import main; main()", "spool", "replay"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory of the option spool, with a name of its own in messages."""
    return tmp_path / "spool"


def events(count: int, **fields: Any) -> list[str]:
    """Return the lines of a writer's first *count* events."""
    head = {"writer_id": str(uuid4()), "occurred_at": time.time(), "action": "ticket.open", "outcome": "success"}
    return [
        lines.render({"id": str(uuid7()), **head, "writer_seq": seq, "metadata": {"n": seq}, **fields})
        for seq in range(1, count + 1)
    ]


def target_of(conninfo: str) -> str:
    return describe_target(read_options(conninfo, {})[0])


def leave(directory: Path, conninfo: str, left: list[str]) -> Spool:
    """Leave *left* for the table of *conninfo*, and return the spool, which is closed."""
    spool = Spool(directory, target_of(conninfo), str(uuid4()), fsync="never")
    assert spool.append(left) == len(left)
    spool.close()
    return spool


def run(directory: Path, conninfo: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["spool", "replay", str(directory), "--conninfo", conninfo, *arguments])


def start(directory: Path, conninfo: str, *arguments: str) -> subprocess.Popen[str]:
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": conninfo}
    command = [*MAIN, str(directory), *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_failure(result: Result, status: int, text: str) -> None:
    """Check status and error: one line, with nothing on stdout."""
    assert (result.exit_code, result.stdout) == (status, ""), result.output
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


class TestRows:
    def test_of_all_that_is_left(self, database: Database, directory: Path) -> None:
        """Each line is a row, and no segment is left."""
        for _ in range(3):
            leave(directory, database.writer, events(1500))
        result = run(directory, database.writer)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == "4,500 lines replayed: 4,500 new rows, 0 rows already, 0 rejected.\n"
        assert len(database.rows()) == 4500
        assert segments(directory) == []

    def test_what_is_a_row_already(self, database: Database, directory: Path) -> None:
        """A line that was stored before makes no second row."""
        left = events(10)
        leave(directory, database.writer, left)
        leave(directory, database.writer, left)
        result = run(directory, database.writer)
        assert result.stdout == "20 lines replayed: 10 new rows, 10 rows already, 0 rejected.\n"
        assert len(database.rows()) == 10

    def test_nothing_left(self, database: Database, directory: Path) -> None:
        """A second call has nothing to do, and says so."""
        leave(directory, database.writer, events(1))
        run(directory, database.writer)
        result = run(directory, database.writer)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"No lines wait in {directory} for {target_of(database.writer)}.\n"

    def test_in_another_programs_table(self, empty_database: Database, directory: Path) -> None:
        """A table and columns of other names are named as for the timeline."""
        empty_database.execute("CREATE TABLE activity (action text, created_at timestamptz)")
        empty_database.execute("GRANT INSERT ON activity TO pglog_writer")
        options, _ = read_options(empty_database.writer, {"table": "activity"})
        spool = Spool(directory, describe_target(options), "w1", fsync="never")
        spool.append(events(2))
        spool.close()
        arguments = ["--table", "activity", "--column", "occurred_at=created_at"]
        assert run(directory, empty_database.writer, *arguments).exit_code == 0
        rows = empty_database.rows("SELECT action, created_at IS NOT NULL AS is_dated FROM activity")
        assert rows == [{"action": "ticket.open", "is_dated": True}] * 2

    def test_of_a_real_handler(self, database: Database, directory: Path) -> None:
        """What a program put to disk because its database was away is replayed into the one named."""
        away = f"{database.writer} port=1"
        subprocess.run([sys.executable, "-c", PROGRAM, away, str(directory)], check=True, stderr=subprocess.DEVNULL)
        [target] = {segment.parent.name for segment in segments(directory)}
        assert run(directory, database.writer, "--from", target).exit_code == 0
        assert [row["metadata"]["n"] for row in database.rows()] == list(range(25))
        assert "unexplained" not in {gap.kind for gap in AuditLog(database.owner).gaps()}


class TestTargets:
    def test_another_database(self, database: Database, directory: Path) -> None:
        """Lines for a database of another name are told with the option that replays them anyway."""
        moved = f"{database.writer} dbname=before"
        leave(directory, moved, events(3))
        result = run(directory, database.writer)
        check_failure(result, 1, f"1 segment for {target_of(moved)}")
        [option] = re.findall(r"add (--from \S+)\n", result.stderr)
        assert run(directory, database.writer, *option.split()).exit_code == 0
        assert len(database.rows()) == 3

    def test_only_the_own_lines(self, database: Database, directory: Path) -> None:
        """Lines for another table of the directory stay where they are."""
        leave(directory, database.writer, events(3))
        leave(directory, f"{database.writer} dbname=other", events(3))
        assert run(directory, database.writer).exit_code == 0
        assert len(database.rows()) == 3
        assert len(segments(directory)) == 1

    def test_a_subdirectory_of_another_name(self, database: Database, directory: Path) -> None:
        """A subdirectory that was renamed is told with the name that it must have."""
        leave(directory, database.writer, events(1))
        [path] = directory.iterdir()
        path.rename(directory / "saved")
        check_failure(run(directory, database.writer, "--from", "saved"), 1, f"it must be {path.name}; rename it back")

    def test_a_segment_that_is_none(self, database: Database, directory: Path) -> None:
        """The good ones are replayed, and the other one is told and left."""
        leave(directory, database.writer, events(3))
        [path] = segments(directory)
        path.with_name("broken.000001.spool").write_text("?\n")
        result = run(directory, database.writer)
        assert (result.exit_code, len(database.rows())) == (1, 3)
        assert "1 segment left in" in result.stderr
        assert "broken.000001.spool does not begin like a segment" in result.stderr
        assert segments(directory) == [path.with_name("broken.000001.spool")]


class TestRefusals:
    """The table takes no action ``bad.one``, as a constraint of its own says."""

    @pytest.fixture
    def database(self, database: Database) -> Database:
        """Return a database whose table has that constraint."""
        database.execute("ALTER TABLE audit_log ADD CHECK (action <> 'bad.one')")
        return database

    def test_a_line_that_the_table_takes_in_no_form(self, database: Database, directory: Path) -> None:
        """It goes to the rejects, with a row that explains the gap in its writer's numbers."""
        good = events(3)
        bad = lines.parse(good[1]) | {"action": "bad.one"}
        leave(directory, database.writer, [good[0], lines.render(bad), good[2]])
        result = run(directory, database.writer)
        assert (result.exit_code, len(database.rows())) == (0, 2)
        assert f"2 new rows, 0 rows already, 1 rejected (pglog-audit spool rejects {directory})." in result.stdout
        shown = CliRunner().invoke(cli, ["spool", "rejects", str(directory)]).stdout
        assert "bad.one" in shown
        assert "23514)" in shown
        [gap] = database.rows("SELECT * FROM audit_log WHERE action = 'audit.gap'")
        assert (str(gap["writer_id"]), gap["writer_seq"], gap["outcome"]) == (bad["writer_id"], None, "failure")
        assert gap["metadata"] == {"reason": "rejected", "ranges": [[2, 2]], "count": 1}
        found = [(gap.kind, gap.first_seq, gap.reason) for gap in AuditLog(database.owner).gaps()]
        assert found == [("explained", 2, "rejected"), ("tail", 4, None)]

    def test_no_line_that_the_table_takes(self, database: Database, directory: Path) -> None:
        """Where nothing shows that the table takes anything, no line is blamed: all stay, unless a person decides."""
        leave(directory, database.writer, events(3, action="bad.one"))
        check_failure(run(directory, database.writer), 4, "3 lines left, because the server refuses")
        assert len(segments(directory)) == 1
        result = run(directory, database.writer, "--reject")
        assert result.exit_code == 0
        assert "3 lines replayed: 0 new rows, 0 rows already, 3 rejected" in result.stdout
        assert segments(directory) == []

    def test_an_error_that_nobody_foresaw(self, database: Database, directory: Path) -> None:
        """It is tried again some times, and then its line is found and rejected, and no other."""
        leave(directory, database.writer, events(100))
        database.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN IF NEW.writer_seq = 70 THEN RAISE 'not now'; END IF; RETURN NEW; END$$"
        )
        database.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse()")
        assert "99 new rows, 0 rows already, 1 rejected" in run(directory, database.writer).stdout

    def test_rows_of_an_attempt_that_failed(self, database: Database, directory: Path) -> None:
        """What the first attempt at a batch has stored counts as new, though the second finds it there."""
        left = events(100)
        left[9] = lines.render(lines.parse(left[9]) | {"action": "bad.one"})
        leave(directory, database.writer, left)
        database.execute("CREATE SEQUENCE attempts")
        database.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN"
            " IF NEW.writer_seq = 90 AND nextval('attempts') = 1 THEN RAISE 'once' USING ERRCODE = '40001'; END IF;"
            " RETURN NEW; END$$"
        )
        database.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse()")
        assert "100 lines replayed: 99 new rows, 0 rows already, 1 rejected" in run(directory, database.writer).stdout

    def test_rejects_that_have_no_room(self, database: Database, directory: Path) -> None:
        """A line that can neither be a row nor be put to the rejects stays in its segment."""
        good = events(3)
        leave(directory, database.writer, [*good, *events(1, action="bad.one")])
        [path] = segments(directory)
        program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))"
        program += "; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
        command = [sys.executable, "-c", f"{program}; from pglog_audit.cli import main; main()", *MAIN[3:]]
        done = subprocess.run(
            [*command, str(directory), "--conninfo", database.writer], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "4 lines left, because the spool" in done.stderr
        assert "File too large" in done.stderr
        assert segments(directory) == [path]
        assert run(directory, database.writer).exit_code == 0
        assert len(database.rows()) == 3

    def test_what_is_no_event(self, database: Database, directory: Path) -> None:
        """A damaged line goes to the rejects, and the others are rows."""
        leave(directory, database.writer, events(3))
        [path] = segments(directory)
        path.write_bytes(path.read_bytes() + b"{damaged\n")
        assert "3 new rows, 0 rows already, 1 rejected" in run(directory, database.writer).stdout

    def test_hostile_text_in_a_warning(self, database: Database, directory: Path) -> None:
        """What a rejected line says does nothing on stderr."""
        leave(directory, database.writer, [*events(1), *events(1, action="bad.one", user_id="\x1b]52;c;Z\a")])
        result = run(directory, database.writer)
        assert result.exit_code == 0
        assert not {"\x1b", "\a"} & set(result.output)


class TestFailures:
    def test_no_database(self, database: Database, directory: Path) -> None:
        """All lines stay, and neither the text nor the status hides why; the password is not told."""
        away = f"{database.writer} host=127.0.0.1 port=1 password=s3cr3t"
        leave(directory, away, events(5))
        result = run(directory, away)
        check_failure(result, 3, "5 lines left, because cannot connect to")
        assert "s3cr3t" not in result.output
        assert len(segments(directory)) == 1

    def test_a_database_that_ends_in_the_middle(self, database: Database, directory: Path) -> None:
        """What was not stored stays, and the next call stores it once."""
        leave(directory, database.writer, events(5000))
        database.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " IF NEW.writer_seq = 2500 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END$$"
        )
        database.execute("ALTER FUNCTION die() SECURITY DEFINER")
        database.execute("CREATE TRIGGER die BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION die()")
        check_failure(run(directory, database.writer), 3, "left, because")
        assert len(database.rows()) == 2000
        database.execute("DROP TRIGGER die ON audit_log")
        assert run(directory, database.writer).exit_code == 0
        assert len(database.rows()) == 5000

    def test_no_table(self, empty_database: Database, directory: Path) -> None:
        """The table must be made first, and the error says how."""
        leave(directory, empty_database.writer, events(5))
        check_failure(run(directory, empty_database.writer), 4, "run 'pglog-audit init'")

    def test_a_batch_that_takes_too_long(self, database: Database, directory: Path) -> None:
        """Where the server has a limit for each statement, smaller batches get through, and count each row once."""
        leave(directory, database.writer, events(1000))
        database.execute(
            "CREATE FUNCTION limited() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF (SELECT count(*) FROM made) > 300"
            " THEN RAISE EXCEPTION 'too many' USING ERRCODE = '57014'; END IF; RETURN NULL; END$$"
        )
        database.execute(
            "CREATE TRIGGER limited AFTER INSERT ON audit_log REFERENCING NEW TABLE AS made"
            " FOR EACH STATEMENT EXECUTE FUNCTION limited()"
        )
        result = run(directory, database.writer)
        assert result.stdout == "1,000 lines replayed: 1,000 new rows, 0 rows already, 0 rejected.\n"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
    def test_another_users_directory(self, database: Database, directory: Path) -> None:
        """Root is told whose it is, and how to run the command as that user."""
        leave(directory, database.writer, events(1))
        [path] = directory.iterdir()
        os.chown(path, 12345, 12345)
        check_failure(run(directory, database.writer), 1, f"{path} belongs to user #12345: run this command as that")
        assert len(segments(directory)) == 1

    def test_a_directory_that_others_may_write_into(self, database: Database, directory: Path) -> None:
        """What somebody else may have put there is not stored, and the warning says what to do."""
        leave(directory, database.writer, events(1))
        [path] = directory.iterdir()
        path.chmod(0o777)
        result = run(directory, database.writer)
        assert (result.exit_code, database.rows()) == (1, [])
        assert f"run chmod go-w {path}" in result.stderr
        assert "Error: 1 segment left in" in result.stderr

    def test_ctrl_c(self, database: Database, directory: Path) -> None:
        """It ends quietly, and what was not acknowledged stays."""
        leave(directory, database.writer, events(3000))
        with psycopg.connect(database.owner) as connection:
            connection.execute("LOCK TABLE audit_log")
            process = start(directory, database.writer)
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            wait_until(lambda: database.rows(waiting))
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        assert (process.returncode, output) == (130, "")
        assert "Traceback" not in errors
        assert run(directory, database.writer).exit_code == 0
        assert len(database.rows()) == 3000


class TestOthers:
    def test_a_living_writer_keeps_its_own(self, database: Database, directory: Path) -> None:
        """What a writer holds is left to it; the rest is replayed."""
        leave(directory, database.writer, events(3))
        living = Spool(directory, target_of(database.writer), str(uuid4()), fsync="never")
        living.append(events(4))
        result = run(directory, database.writer)
        assert (result.exit_code, len(database.rows())) == (0, 3)
        assert "3 new rows" in result.stdout
        if sys.platform == "linux":
            assert result.stdout.endswith(f"; 1 segment left to process {os.getpid()}, which stores them.\n")
        assert len(segments(directory)) == 1
        living.close()

    def test_several_commands_at_a_time(self, database: Database, directory: Path) -> None:
        """They share the segments, and each line is one row."""
        for _ in range(12):
            leave(directory, database.writer, events(500))
        commands = [start(directory, database.writer) for _ in range(3)]
        errors = [command.communicate(timeout=120)[1] for command in commands]
        assert [command.returncode for command in commands] == [0, 0, 0], errors
        assert len(database.rows()) == 6000
        assert segments(directory) == []

    def test_a_command_that_is_killed(self, database: Database, directory: Path) -> None:
        """The next one stores what is left, and makes no second row of what was stored."""
        for _ in range(4):
            leave(directory, database.writer, events(2000))
        command = start(directory, database.writer)
        wait_until(lambda: database.rows("SELECT 1 FROM audit_log LIMIT 1"))
        command.kill()
        command.communicate()
        assert run(directory, database.writer).exit_code == 0
        assert len(database.rows()) == 8000
        assert segments(directory) == []


def test_progress_is_shown_to_those_who_look(database: Database, directory: Path) -> None:
    """On a terminal a bar counts the lines; what stays is the sentence at the end."""
    leave(directory, database.writer, events(2000))
    command = [*MAIN, str(directory), "--conninfo", database.writer]
    with Terminal(command, columns=120) as terminal:
        status, shown = terminal.finish()
    assert status == 0
    assert re.search(r"Replaying .*/2000", shown)
    assert "2,000 lines replayed: 2,000 new rows, 0 rows already, 0 rejected.\n" in shown
