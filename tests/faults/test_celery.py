"""Real Celery workers, whose broker is a directory: pools of each kind, ended, renewed and killed while they work."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.conftest import Database
from tests.faults.children import PROGRAMS
from tests.support import assert_exact, configure, flush, log, wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery's prefork pool needs fork"),
]
COMMAND = ["celery", "-A", "celery_app", "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
LAST = "SELECT DISTINCT ON (writer_id) action FROM audit_log ORDER BY writer_id, writer_seq DESC"


class Shop:
    """A worker, its broker, and what its tasks have logged."""

    def __init__(self, home: Path, conninfo: str, **options: Any) -> None:
        self.queue, self.outbox, control, self.logged = (home / name for name in ("queue", "out", "control", "logged"))
        for directory in (self.queue, self.outbox, control, self.logged):
            directory.mkdir()
        folders = {
            "data_folder_in": str(self.queue),
            "data_folder_out": str(self.queue),
            "control_folder": str(control),
        }
        broker = {**folders, "polling_interval": 0.05}
        self.client = Celery("client", broker="filesystem://", set_as_current=False)
        self.client.conf.broker_transport_options = {**broker, "data_folder_out": str(self.outbox)}
        self.output = home / "output"
        self.environ = {
            **os.environ,
            "PGLOG_AUDIT_CONNINFO": conninfo,
            "BROKER": json.dumps(broker),
            "LOGGED": str(self.logged),
            "OPTIONS": json.dumps({"shutdown_timeout": 60, **options}),
        }

    @contextmanager
    def work(self, *arguments: str, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the worker with *arguments*."""
        with (
            self.output.open("wb") as output,
            subprocess.Popen(
                [sys.executable, "-m", *COMMAND, *arguments],
                cwd=PROGRAMS,
                env={**self.environ, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as worker,
        ):
            try:
                yield worker
            finally:
                with suppress(ProcessLookupError):  # its children too
                    os.killpg(worker.pid, signal.SIGKILL)

    def order(self, count: int) -> list[str]:
        """Send *count* tasks, and return their ids: a worker that still has some to fetch ends two seconds sooner."""
        return self.send("order", *([n] for n in range(count)))

    def send(self, task: str, *arguments: list[Any]) -> list[str]:
        """Send *task* with each of *arguments*, and return the ids."""
        with self.client.connection_for_write() as connection:
            ids = [self.client.send_task(task, each, connection=connection).id for each in arguments]
        # A worker that takes a file before it is written dies of it.
        for message in self.outbox.iterdir():
            message.rename(self.queue / message.name)
        return ids

    def numbers(self) -> set[int]:
        """Return the numbers of the tasks that have logged."""
        return {int(each.name) for each in self.logged.iterdir() if each.name.isdecimal()}

    def hanging(self) -> list[int]:
        """Return the processes that run a task that never ends."""
        return [int(each.name.removeprefix("pid-")) for each in self.logged.iterdir() if not each.name.isdecimal()]


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """Return a worker that is not started yet."""
    return Shop(tmp_path, database.writer)


def end(worker: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> None:
    """Send the worker a signal, and wait until it has ended as it should."""
    worker.send_signal(number)
    assert worker.wait(60) == 0


def assert_stored(database: Database, shop: Shop) -> None:
    """Check that what the tasks logged are rows, no more and no fewer, and that each writer says last that it ends."""
    rows = database.rows()
    assert numbers(database) == shop.numbers()
    assert_exact(database, len(rows))
    assert {writer["action"] for writer in database.rows(LAST)} == {"audit.stop"}


def numbers(database: Database) -> set[int]:
    """Return the numbers of the tasks that have a row."""
    return {row["metadata"]["n"] for row in database.rows() if row["action"] == "order.place"}


def actions(database: Database) -> Counter[str]:
    """Return how often each thing was done."""
    return Counter(row["action"] for row in database.rows())


@pytest.mark.parametrize("environ", [{}, {"LOGGER": "", "KEEP_ROOT": "1"}], ids=["own logger", "root"])
def test_row_19_warm_shutdown_under_load(database, shop, environ):
    """SIGTERM costs no event: of a task that ended, of before the fork, or of another receiver of the child's end."""
    shop.order(200)
    with shop.work("--concurrency", "2", **environ) as worker:
        wait_until(lambda: len(shop.numbers()) > 20)
        end(worker)
    assert_stored(database, shop)
    done = actions(database)
    assert (done["shop.load"], done["shop.leave"]) == (1, 2)


def test_row_22_children_of_three_tasks(database, shop):
    """A child that ends because it has done enough has written it, and has the tasks' ids for request ids."""
    ids = shop.order(9)
    with shop.work("--concurrency", "1", "--max-tasks-per-child", "3", SIGNAL="setup_logging"):
        wait_until(lambda: [writer["action"] for writer in database.rows(LAST)] == 3 * ["audit.stop"])
    assert_stored(database, shop)
    assert actions(database) == {"order.place": 9, "shop.leave": 3}
    orders = [row for row in database.rows() if row["action"] == "order.place"]
    assert [row["request_id"] for row in orders] == [ids[row["metadata"]["n"]] for row in orders]


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_row_19_pools_of_one_process(database, shop, pool):
    """A worker whose tasks run in its own process writes what they logged at its own end."""
    shop.order(100)
    with shop.work("--concurrency", "2", "--pool", pool) as worker:
        wait_until(lambda: len(shop.numbers()) > 20)
        end(worker)
    assert_stored(database, shop)


def test_cold_shutdown_breaks_off_tasks_and_no_more(database, shop):
    """SIGQUIT ends children in the middle of a task, each writes what its tasks have logged, and the worker ends."""
    shop.send("hang", [])
    shop.order(5)
    with shop.work("--concurrency", "2") as worker:
        wait_until(lambda: shop.hanging() and len(shop.numbers()) == 5)
        end(worker, signal.SIGQUIT)
    assert_stored(database, shop)
    assert actions(database)["order.wait"] == 1


def test_row_18_killed_child_with_a_journal(database, tmp_path):
    """What a child that was killed has logged is written by another one."""
    shop = Shop(tmp_path, database.writer, spool=str(tmp_path / "spool"), journal=True)
    shop.send("hang", [])
    with shop.work("--concurrency", "1") as worker:
        (child,) = wait_until(shop.hanging)
        os.kill(child, signal.SIGKILL)
        shop.order(100)
        wait_until(shop.numbers)
        end(worker)
    # With this broker Celery forks on a thread, and lets Linux kill such a child when its parent's thread ends: also
    # between a log call and what the task does next, and with nobody left who looks for what it leaves.
    log(successor := configure(database.writer, spool=str(tmp_path / "spool")), 1)
    flush(successor)
    wait_until(lambda: shop.numbers() <= numbers(database) and actions(database)["order.wait"])
    done = actions(database)
    assert (done["order.wait"], done["shop.load"]) == (1, 1)
    assert len(numbers(database)) == done["order.place"] <= len(shop.numbers()) + 1
    assert_exact(database, len(database.rows()))


def test_row_20_a_child_tells_what_it_loses(tmp_path):
    """With the database away the worker's log says what is lost, also of a child that logs after its drain."""
    shop = Shop(tmp_path, "host=/nowhere", shutdown_timeout=0.5)
    shop.order(100)
    with shop.work("--concurrency", "1") as worker:
        wait_until(lambda: len(shop.numbers()) > 2)
        end(worker)
    assert lost_at_exit(shop) == len(["shop.load", *shop.numbers(), "shop.leave"])


def lost_at_exit(shop: Shop) -> int:
    """Return how many events the worker said it lost, in all its processes."""
    return sum(map(int, re.findall(r"pglog_audit: (\d+) audit events? lost at exit", shop.output.read_text())))


def test_a_handler_that_celery_takes_off_root_is_missed(tmp_path):
    """What a task logs after Celery emptied the root logger is told in the log, with the line and what to do."""
    shop = Shop(tmp_path, "host=/nowhere", shutdown_timeout=0.5)
    shop.order(100)
    with shop.work("--pool", "solo", LOGGER="") as worker:
        wait_until(shop.numbers)
        end(worker)
    said = shop.output.read_text()
    assert "The event 'order.place' of " in said
    assert "reached no audit handler: no logger has one any more" in said
