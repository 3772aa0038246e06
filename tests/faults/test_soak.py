"""The soak program: a short run of it, and that its proof finds what it looks for."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from tests.faults.exact import settle
from tests.faults.spools import leave
from tests.soak import proof, returned
from tests.soak.crew import Member
from tests.soak.logging_process import KINDS, Task, log
from tests.support import configure

ROOT = Path(__file__).parents[2]


def soak(*arguments):
    """Run the program to its end."""
    command = [sys.executable, "-m", "tests.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.faults
def test_a_short_run():
    """Of processes that are killed while their database is, each event whose call returned is a row."""
    done = soak("--minutes", "0.12", "--kill-every", "2", "--seed", "379")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    seed, *_, run, replay, events, ids, numbers, gaps, spool, ends, words = done.stdout.splitlines()
    assert seed == "seed 379"
    assert re.search(r" [1-9]\d* kills, [1-9]\d* restarts; ", run)
    assert [line.split()[:2] for line in (replay, events, ids, numbers, gaps, spool, ends, words)] == [
        ["ok", name] for name in ("replay", "events", "ids", "numbers", "gaps", "spool", "ends", "words")
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--minutes", "0"], "Invalid value for '--minutes': 0.0 is not in the range x>0."),
        (["--minutes", "nan"], "Invalid value for '--minutes': nan is no length of time: give a number."),
        (["--kill-every", "inf"], "Invalid value for '--kill-every': inf is no length of time: give a number."),
        (["--seed", "x"], "Invalid value for '--seed': 'x' is not a valid integer."),
    ],
)
def test_arguments_that_can_never_work(arguments, error):
    """A wrong argument is told before anything starts."""
    done = soak(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert error in done.stderr


@pytest.fixture
def member(tmp_path):
    """Return process 1, which was not killed, with two threads of which no call returned."""
    task = Task(1, KINDS[1], "", {}, tmp_path / "returned", tmp_path / "words", seed=0, parent=0)
    returned.make(task.returned, 2)
    task.words.touch()
    member = Member(task, SimpleNamespace(pid=4711))
    member.exit_code = 0
    return member


def count(member, *calls):
    """Let so many calls of each thread have returned."""
    counted = returned.ReturnedCalls(member.task.returned)
    for thread, number in enumerate(calls):
        for _ in range(number):
            counted.add(thread)


def write(database, *events):
    """Make a row of each event of process 1, given by thread and number; return the writer's id."""
    logger = configure(database.writer)
    for thread, n in events:
        log(logger, 1, thread, n)
    settle(logger)
    return database.rows()[0]["writer_id"]


def test_the_proof_of_whole_trails(database, member, tmp_path):
    """Where all is well no check says anything."""
    (tmp_path / "spool").mkdir()
    write(database, (0, 0), (0, 1), (1, 0))
    count(member, 2, 1)
    checks = {check.name: check.wrong for check in proof.prove(database, [member], tmp_path / "spool")}
    # The writer, which is this process, runs on.
    assert len(checks.pop("gaps")) == 1
    assert set(checks.values()) == {()}


def test_the_proof_names_what_is_lost(database, member):
    """It says which event is no row, of which thread of which writer."""
    writer = write(database, (0, 0), (0, 2), (1, 0))
    count(member, 3, 2)
    assert proof.check_events(database, [member]).wrong == (
        f"process 1 (writer {writer}), thread 0: event 1 is no row",
        f"process 1 (writer {writer}), thread 1: event 1 is no row",
    )


def test_the_proof_names_what_is_there_twice(database, member):
    """It says which event is two rows, also where their ids differ."""
    writer = write(database, (0, 0), (0, 0))
    count(member, 1)
    (wrong,) = proof.check_events(database, [member]).wrong
    assert wrong == f"process 1 (writer {writer}), thread 0: event 0 is 2 rows"


def test_one_call_of_each_thread_may_be_under_way_in_a_kill(database, member):
    """Of a killed process a row more for each thread is right, of another none, and two never are."""
    write(database, (0, 0), (1, 0), (1, 1))
    count(member, 0, 1)
    assert len(proof.check_events(database, [member]).wrong) == 2
    member.is_killed = True
    assert proof.check_events(database, [member]).wrong == ()
    write(database, (1, 2))
    (wrong,) = proof.check_events(database, [member]).wrong
    assert wrong.endswith("thread 1: event 2 is a row, but its call did not return")


def test_the_proof_finds_ids_in_two_partitions(database):
    """An id with two times is found, though the unique index of each partition takes it."""
    one = uuid4()
    insert = "INSERT INTO audit_log (id, action, occurred_at) VALUES (%s, 'soak.log', now() + %s::interval)"
    database.execute(insert, one, "0 days")
    database.execute(insert, one, "40 days")
    assert proof.check_ids(database).wrong == (f"the id {one} is there more than once",)


def test_the_proof_finds_numbers_that_are_missing(database, member):
    """A number that is no row is wrong for numbers and gaps alike."""
    writer = write(database, (0, 0))
    insert = "INSERT INTO audit_log (action, writer_id, writer_seq) VALUES ('soak.log', %s, 3)"
    database.execute(insert, writer)
    assert proof.check_numbers(database).wrong == (f"writer {writer} has 2 rows with 2 numbers, 1 to 3",)
    assert any(sentence.startswith("unexplained gap") for sentence in proof.check_gaps(database, [member]).wrong)


def test_the_proof_finds_what_is_left_on_disk(database, tmp_path):
    """Lines in the spool are wrong, whosever they are."""
    segment, _ = leave(str(tmp_path / "spool"), database.writer, 3)
    assert proof.check_spool(tmp_path / "spool").wrong == (f"3 lines and 0 rejects in {segment.parent}",)


@pytest.mark.parametrize(
    ("is_killed", "code", "is_wrong"),
    [(False, 0, False), (True, -signal.SIGKILL, False), (False, -signal.SIGKILL, True), (False, 1, True)],
)
def test_the_proof_finds_processes_that_ended_by_themselves(member, is_killed, code, is_wrong):
    """Whoever was not killed must have ended in order."""
    member.is_killed, member.exit_code = is_killed, code
    wrong = proof.check_ends([member]).wrong
    assert wrong == ((f"process 1 ended with {code}",) if is_wrong else ())


def test_the_proof_finds_unexpected_words(member):
    """A warning that the database is away is expected, any other word is not."""
    member.task.words.write_text("Audit events wait in the spool: gone\nException ignored in: <x>\n")
    assert proof.check_words([member]).wrong == ("process 1 said: Exception ignored in: <x>",)
