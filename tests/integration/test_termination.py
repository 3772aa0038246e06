"""SIGTERM where nobody handles it: after flush_on_sigterm() it costs no event, and the process still dies of it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter

import psycopg
import pytest

from pglog_audit import ConfigurationError, flush_on_sigterm
from pglog_audit.spool import read_statuses
from tests.support import PROGRAMS, assert_exact, run_program, start_program, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX has signals that others send")
# From 3.12 on Python itself warns about a fork while threads run.
PYTHON = ("-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning")
LOST = re.compile(r"pglog_audit: (\d+) audit events? lost at exit: .+\n")
WAITING = "SELECT FROM pg_locks WHERE NOT granted"
STOPS = "SELECT FROM audit_log WHERE action = 'audit.stop'"


@pytest.fixture
def sigterm():
    """Give SIGTERM its default action, and what it had before back after the test."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def read_lines(process, count):
    """Return what the program has printed when it is *count* lines; nothing is left in a buffer of ours."""
    printed = ""
    while printed.count("\n") < count:
        printed += os.read(process.stdout.fileno(), 4096).decode() or pytest.fail("the program has ended")
    return printed


def terminate_busy(database, way, *signals, **options):
    """Send the *signals* in the middle of the program's work, and return the numbers of the calls that returned."""
    with start_program("terminated.py", database.writer, way, python=PYTHON, **options) as process:
        try:
            printed = read_lines(process, 50)
            for each in signals:
                process.send_signal(each)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (-signal.SIGTERM, "")
    return (printed + output).split()


@pytest.mark.parametrize("way", ["log", "flush", "catch", "asyncio"])
def test_row_19_sigterm_with_the_helper_loses_nothing(database, way):
    """Wherever SIGTERM finds the main thread, each event whose call returned is a row, and the process dies of it."""
    returned = terminate_busy(database, way, signal.SIGTERM)
    logged = Counter(str(row["metadata"]["n"]) for row in database.rows())
    # One more call was in its middle, or not at its print yet.
    assert (logged - Counter(returned)).total() <= 1
    assert Counter(returned) <= logged
    assert_exact(database, logged.total())
    assert len(database.rows(STOPS)) == 1


def test_row_19_sigterm_in_a_system_call(database):
    """A program that waits for input writes what is queued at once, however long its writer would have waited."""
    with start_program("end.py", database.writer, "wait", "500", HELPER="1", FLUSH_INTERVAL="600") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGTERM, "")
    assert_exact(database, 500)


@pytest.mark.parametrize("options", [{}, {"HELPER": "1"}], ids=["default", "helper"])
def test_a_program_that_logged_nothing_dies_of_sigterm(options):
    """Nothing is said, and no database is asked."""
    with start_program("end.py", "host=/nowhere", "wait", "0", **options) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGTERM


def test_threads_that_go_on_logging_lose_nothing_by_sigterm(database):
    """What other threads log while the main one waits for the drain is a row as soon as the call has returned."""
    returned = terminate_busy(database, "daemons for ever", signal.SIGTERM)
    logged = {str(row["metadata"]["n"]) for row in database.rows()}
    assert set(returned) <= logged
    assert len(logged) <= len(returned) + 3
    assert_exact(database, len(logged))


def test_one_sigterm_that_comes_twice_is_one(database):
    """timeout(1) sends it to its child, and again to the child's group: the drain goes on."""
    returned = terminate_busy(database, "log", signal.SIGTERM, signal.SIGTERM, signal.SIGTERM)
    assert len(returned) <= len(database.rows()) <= len(returned) + 1


def test_row_20_a_later_sigterm_ends_the_drain(database):
    """Who sends it again while the database hangs does not wait for shutdown_timeout."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program(
            "end.py", database.writer, "wait", "5", HELPER="1", SHUTDOWN_TIMEOUT="600", QUIET="1"
        ) as process:
            wait_until(lambda: database.rows(WAITING))

            def is_dead():
                process.send_signal(signal.SIGTERM)
                return process.poll() is not None

            wait_until(is_dead)
            assert process.communicate()[1] == ""
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
def test_row_20_sigterm_while_the_database_hangs(database, tmp_path, spool):
    """After shutdown_timeout the rest is on disk, or lost, and one line says so; the process dies of the signal."""
    options = {"SPOOL": str(tmp_path / "spool")} if spool else {}
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program(
            "end.py", database.writer, "wait", "500", HELPER="1", SHUTDOWN_TIMEOUT="1", QUIET="1", **options
        ) as process:
            (backend,) = wait_until(lambda: database.rows("SELECT pid FROM pg_locks WHERE NOT granted"))
            os.kill(backend["pid"], signal.SIGSTOP)
            try:
                process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=5 * (1 + 1))
            finally:
                os.kill(backend["pid"], signal.SIGCONT)
    assert process.returncode == -signal.SIGTERM
    if spool:
        assert errors.startswith(f"pglog_audit: audit events wait in {tmp_path / 'spool'}: ")
        assert errors.count("\n") == 1
        assert sum(status.lines for status in read_statuses(tmp_path / "spool", count_lines=True)) == 502
    else:
        assert [int(lost) for lost in LOST.findall(errors)] == [500]
        assert LOST.sub("", errors) == ""


def test_sigterm_during_the_exit_changes_nothing(database):
    """The drain at exit goes on, and what it does not write in time is told."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program("end.py", database.writer, "normally", "500", HELPER="1", SHUTDOWN_TIMEOUT="60") as process:
            wait_until(lambda: database.rows(WAITING))
            process.send_signal(signal.SIGTERM)
            owner.rollback()
            _, errors = process.communicate(timeout=60)
    assert (process.returncode in (0, -signal.SIGTERM), errors) == (True, "")
    assert_exact(database, 500)


def test_forked_children_write_their_own(database):
    """Each child inherits the handler, which acts on the child's events alone."""
    with start_program("terminated.py", database.writer, "children", python=PYTHON) as process:
        printed = read_lines(process, 200)
        output, errors = process.communicate("\n", timeout=60)
    assert (process.returncode, errors) == (-signal.SIGTERM, repr([-signal.SIGTERM] * 3))
    returned, rows = (printed + output).count("\n"), len(database.rows())
    assert returned <= rows <= returned + 3
    assert_exact(database, rows)
    assert len(database.rows(STOPS)) == len(database.rows("SELECT DISTINCT writer_id FROM audit_log"))


def test_a_pool_that_terminates_its_workers_loses_nothing(database):
    """The end of a ``with multiprocessing.Pool()`` block is SIGTERM for the workers."""
    done = run_program("terminated.py", database.writer, "pool", python=PYTHON)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert_exact(database, 100)


def test_a_main_thread_that_is_stuck_in_c_is_not_waited_for(database):
    """The process ends with the status of a shell for SIGTERM, after its events are rows."""
    done = run_program("terminated.py", database.writer, "stuck", SHUTDOWN_TIMEOUT="1")
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
    assert_exact(database, 1)


def test_a_main_thread_that_comes_back_late_from_c_ends_nothing_early(database):
    """What asks it to wait for the drain is no second SIGTERM, however late the main thread hears it."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        with start_program("terminated.py", database.writer, "slow", python=PYTHON) as process:
            assert read_lines(process, 2) == "0\nback\n"
            owner.rollback()
            assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGTERM
    assert_exact(database, 1)


def test_the_first_process_of_a_container_ends_too(database):
    """No default action ends it, and it ends with the status of a shell for SIGTERM."""
    command = [shutil.which("unshare") or "unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process may be the first one of its own here")
    program = [sys.executable, str(PROGRAMS / "end.py"), "sigterm", "500"]
    environ = {**os.environ, "PGLOG_AUDIT_CONNINFO": database.writer, "HELPER": "1"}
    done = subprocess.run([*command, *program], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
    assert_exact(database, 500)


def test_the_helper_takes_the_default_action_alone(sigterm):
    """It says that it is in place, also when it was before."""
    assert flush_on_sigterm()
    ours = signal.getsignal(signal.SIGTERM)
    assert callable(ours)
    assert flush_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is ours


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
def test_who_handles_or_ignores_sigterm_goes_on_to(sigterm, handler):
    """Where SIGTERM means something already, the helper changes nothing and says so."""
    signal.signal(signal.SIGTERM, handler)
    assert not flush_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_who_handles_sigterm_later_replaces_the_helper(sigterm):
    """Its handler alone is called, and nobody dies."""
    seen = []
    assert flush_on_sigterm()
    signal.signal(signal.SIGTERM, lambda *_: seen.append("handled"))
    signal.raise_signal(signal.SIGTERM)
    assert seen == ["handled"]


def test_another_thread_is_told_to_call_it_in_the_main_one(sigterm):
    """Python sets no handler elsewhere, and the error says what to do."""
    seen = []

    def call():
        with pytest.raises(ConfigurationError, match=r"in the thread 'worker'.*: call it there") as caught:
            flush_on_sigterm()
        seen.append(caught.value)

    thread = threading.Thread(target=call, name="worker")
    thread.start()
    thread.join()
    assert len(seen) == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
