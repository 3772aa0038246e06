"""How a process ends: every way of it, with the database there, away or hanging."""

import logging
import os
import re
import signal

import psycopg
import pytest

from pglog_audit.spool import read_statuses
from tests.support import assert_exact, counts, run_program, start_program, wait_until

LOST = re.compile(r"pglog_audit: (\d+) audit events? lost at exit(?: \(and \d+ before\))?: .+\n")


@pytest.mark.parametrize(
    ("way", "code", "expected"),
    [
        ("normally", 0, 500),
        ("sys.exit", 3, 500),
        ("exception", 1, 500),
        ("thread", 0, 510),
        ("hooks", 0, 520),
        ("shutdown", 0, 510),
        ("late", 0, 510),
    ],
)
def test_a_script_that_ends_at_once_loses_nothing(database, way, code, expected):
    """Whatever way Python ends, and whatever other exit hooks log, all events are rows and stderr stays clean."""
    result = run_program("end.py", database.writer, way, "500")
    assert result.returncode == code
    errors = result.stderr
    if way == "exception":
        assert errors.startswith("Traceback")
        errors = errors.partition("LookupError: nobody caught this\n")[2]
    assert errors == ""
    assert_exact(database, expected)


def test_threads_that_go_on_logging_lose_nothing_at_exit(database):
    """What daemon threads log while the program ends is a row as soon as the call has returned."""
    result = run_program("terminated.py", database.writer, "daemons")
    assert (result.returncode, result.stderr) == (0, "")
    returned, logged = result.stdout.split(), {str(row["metadata"]["n"]) for row in database.rows()}
    assert set(returned) <= logged
    assert len(logged) <= len(returned) + 3
    assert_exact(database, len(logged))


def test_ctrl_c_loses_nothing(database):
    """A real SIGINT ends the program with KeyboardInterrupt, after its events are rows."""
    with start_program("end.py", database.writer, "sigint", "500") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1
    assert_exact(database, 500)


PAST_ALL_HOOKS = pytest.mark.parametrize(("way", "code"), [("os._exit", 5), ("sigterm", -signal.SIGTERM)])


@PAST_ALL_HOOKS
def test_row_19_an_end_past_all_hooks_costs_what_is_in_memory(database, way, code):
    """Neither os._exit nor SIGTERM lets anybody write the queue, or say what is lost."""
    result = run_program("end.py", database.writer, way, "500", FLUSH_INTERVAL="600")
    assert (result.returncode, result.stderr) == (code, "")
    assert counts(database) == (0, 0)


@PAST_ALL_HOOKS
def test_row_19_an_end_past_all_hooks_costs_nothing_with_a_journal(database, tmp_path, way, code):
    """The next program stores what the one that ended had written to its journal."""
    options = {"SPOOL": str(tmp_path / "spool"), "JOURNAL": "1"}
    result = run_program("end.py", database.writer, way, "500", FLUSH_INTERVAL="600", **options)
    assert (result.returncode, result.stderr) == (code, "")
    result = run_program("end.py", database.writer, "normally", "1", **options)
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, 501)


@pytest.mark.parametrize("way", ["normally", "sys.exit", "hooks", "shutdown"])
def test_with_the_database_away_the_loss_is_told_in_one_line(way):
    """The program ends within shutdown_timeout, and one line on stderr says how many events are lost, and why."""
    away = "host=/nowhere dbname=none password=hunter2"
    result = run_program("end.py", away, way, "500", timeout=30, QUIET="1", SHUTDOWN_TIMEOUT="1")
    told = [int(lost) for lost in LOST.findall(result.stderr)]
    assert LOST.sub("", result.stderr) == ""
    assert "/nowhere" in result.stderr
    assert "hunter2" not in result.stderr
    assert sum(told) == {"hooks": 520, "shutdown": 510}.get(way, 500)
    assert len(told) == 1 or way == "hooks"


def test_with_the_database_away_threads_that_go_on_logging_tell_each_loss_once():
    """However many threads give up at once what waits, the lines on stderr add up to what was logged."""
    result = run_program("end.py", "host=/nowhere dbname=none", "daemons", "0", QUIET="1", SHUTDOWN_TIMEOUT="0.3")
    assert sum(map(int, LOST.findall(result.stderr))) == int(result.stdout)


def test_without_logging_set_up_the_warning_stands_there_too():
    """Python shows warnings that nobody handles on stderr: the first failure, then the loss."""
    result = run_program("end.py", "host=/nowhere dbname=none", "normally", "5", SHUTDOWN_TIMEOUT="0.5")
    warning, loss = result.stderr.splitlines()
    assert warning.startswith("Audit events wait")
    assert "5 audit events lost at exit" in loss


def test_nothing_to_write_is_nothing_to_say():
    """A program that logs no audit event needs no database, and ends at once and in silence."""
    result = run_program("end.py", "host=/nowhere dbname=none", "normally", "0")
    assert (result.returncode, result.stderr) == (0, "")


def test_with_a_hanging_database_the_program_ends(server, database):
    """A backend that is stopped in the middle of a batch holds the exit for shutdown_timeout, not for ever."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program("end.py", database.writer, "wait", "500", QUIET="1", SHUTDOWN_TIMEOUT="1") as process:
            (backend,) = wait_until(
                lambda: database.rows(
                    "SELECT pid FROM pg_stat_activity WHERE usename = 'pglog_writer' AND wait_event_type = 'Lock'"
                )
            )
            os.kill(backend["pid"], signal.SIGSTOP)
            try:
                _, errors = process.communicate("", timeout=30)
            finally:
                os.kill(backend["pid"], signal.SIGCONT)
    assert process.returncode == 0
    assert [int(lost) for lost in LOST.findall(errors)] == [500]
    assert LOST.sub("", errors) == ""


def test_a_locked_table_holds_the_exit_no_longer_than_told(database):
    """A lock that somebody else holds is a database that does not answer in time."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        result = run_program("end.py", database.writer, "normally", "500", QUIET="1", SHUTDOWN_TIMEOUT="0.5")
    assert result.returncode == 0
    assert [int(lost) for lost in LOST.findall(result.stderr)] == [500]
    assert LOST.sub("", result.stderr) == ""


def test_a_slow_end_is_waited_for(database):
    """What the database takes within shutdown_timeout is no loss: the lock goes away while the program ends."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program("end.py", database.writer, "normally", "500", SHUTDOWN_TIMEOUT="60") as process:
            wait_until(
                lambda: database.rows(
                    "SELECT FROM pg_stat_activity WHERE usename = 'pglog_writer' AND wait_event_type = 'Lock'"
                )
            )
            owner.rollback()
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert_exact(database, 500)


def test_the_server_sees_an_orderly_goodbye(server, database):
    """The connection is closed at exit: the server's log has no word about a client that went away."""
    before = len(server._log.read_text())
    run_program("end.py", database.writer, "normally", "100")
    wait_until(lambda: not database.rows("SELECT FROM pg_stat_activity WHERE usename = 'pglog_writer'"))
    log = server._log.read_text()[before:]
    assert "unexpected EOF" not in log
    assert "ERROR" not in log
    assert counts(database) == (100, 100)
    assert logging.getLogger("audit").handlers == []


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
def test_a_signal_during_the_exit_loses_nothing_in_silence(database, tmp_path, spool):
    """Whoever cuts the drain short finds the rest on disk, or hears what is lost."""
    options = {"SPOOL": str(tmp_path / "spool")} if spool else {}
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program("end.py", database.writer, "normally", "500", QUIET="1", **options) as process:
            wait_until(lambda: database.rows("SELECT FROM pg_locks WHERE NOT granted"))
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    if spool:
        assert f"pglog_audit: audit events wait in {tmp_path / 'spool'}: " in errors
        assert sum(status.lines for status in read_statuses(tmp_path / "spool", count_lines=True)) == 502
    else:
        assert [int(lost) for lost in LOST.findall(errors)] == [500]


def test_a_drain_that_is_cut_short_is_not_begun_again(database):
    """After Ctrl-C, or a shutdown_timeout that is over, the hook of multiprocessing does not wait once more."""
    patience = {"SHUTDOWN_TIMEOUT": "600", "WRITE_TIMEOUT": "600"}
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program("end.py", database.writer, "normally", "5", MULTIPROCESSING="1", **patience) as process:
            wait_until(lambda: database.rows("SELECT FROM pg_locks WHERE NOT granted"))
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert [int(lost) for lost in LOST.findall(errors)] == [5]


def test_the_exit_replays_what_is_on_disk(database, tmp_path):
    """While the database takes lines, a program does not end before all is a row."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        result = run_program("end.py", database.writer, "normally", "5000", QUIET="1", SPOOL=str(tmp_path / "spool"))
        assert "audit events wait in" in result.stderr
    result = run_program("end.py", database.writer, "normally", "1", SPOOL=str(tmp_path / "spool"))
    assert (result.returncode, result.stderr) == (0, "")
    assert_exact(database, 5_001)
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []


def test_where_events_wait_is_told_once(tmp_path):
    """Exit hooks that log after the drain find the same directory."""
    result = run_program("end.py", "host=/nowhere", "hooks", "5", QUIET="1", SPOOL=str(tmp_path / "spool"))
    assert result.stderr.startswith(f"pglog_audit: audit events wait in {tmp_path / 'spool'}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("journal", [{}, {"JOURNAL": "1"}], ids=["spool", "journal"])
def test_threads_that_go_on_logging_lose_nothing_to_disk_at_exit(database, tmp_path, journal):
    """What several threads put to disk at once, while the program ends, nobody takes for lost."""
    options = {"SPOOL": str(tmp_path / "spool"), **journal}
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    result = run_program("end.py", database.writer, "daemons", "0", QUIET="1", SHUTDOWN_TIMEOUT="0.3", **options)
    assert LOST.findall(result.stderr) == []
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
    run_program("end.py", database.writer, "normally", "1", **options)
    assert_exact(database, int(result.stdout) + 1)
    assert database.rows("SELECT FROM audit_log WHERE action = 'audit.gap'") == []


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
def test_the_exit_wakes_a_writer_that_waits_for_the_database(database, tmp_path, spool):
    """If the database is back, a writer that sleeps after a failure tries once more: all events are rows."""
    options = {"SPOOL": str(tmp_path / "spool")} if spool else {}
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    with start_program("end.py", database.writer, "wait", "5", LONG_PAUSES="1", **options) as process:
        assert process.stderr.readline().startswith("Audit events wait")
        database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
        _, errors = process.communicate("", timeout=60)
    assert process.returncode == 0
    assert re.fullmatch("Audit events are written again, after: .+\n", errors)
    assert_exact(database, 5)
    assert len(database.rows("SELECT FROM audit_log WHERE action = 'audit.stop'")) == 1
