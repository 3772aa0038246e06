"""Real Celery workers, whose broker is a directory: pools of each kind, ended, renewed and killed while they work."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.conftest import Database
from tests.support import PROGRAMS, assert_exact, wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery's prefork pool needs fork")
COMMAND = ["celery", "-A", "celery_app", "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
STOPS = (
    "SELECT count(*) FILTER (WHERE action = 'audit.stop') AS stops FROM audit_log"
    " GROUP BY writer_id HAVING bool_or(NOT starts_with(action, 'audit.'))"
)


class Shop:
    """A worker, its broker, and what its tasks have logged."""

    def __init__(self, home: Path, conninfo: str, **options: Any) -> None:
        queue, control, self.logged = home / "queue", home / "control", home / "logged"
        for directory in (queue, control, self.logged):
            directory.mkdir()
        broker = {"data_folder_in": str(queue), "data_folder_out": str(queue), "control_folder": str(control)}
        self.client = Celery("client", broker="filesystem://", set_as_current=False)
        self.client.conf.broker_transport_options = broker
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
        """Send *count* tasks, and return their ids."""
        with self.client.connection_for_write() as connection:
            return [self.client.send_task("order", [n], connection=connection).id for n in range(count)]

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
    """Check that what the tasks logged are rows, no more and no fewer, and that each writer said that it ends."""
    rows = database.rows()
    assert {row["metadata"]["n"] for row in rows if row["action"] == "order.place"} == shop.numbers()
    assert_exact(database, len(rows))
    assert {writer["stops"] for writer in database.rows(STOPS)} == {1}


def actions(database: Database) -> list[str]:
    """Return what was done, apart from orders."""
    return [row["action"] for row in database.rows() if row["action"] != "order.place"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"SIGNAL": "setup_logging"}, {"SIGNAL": "after_setup_logger", "LOGGER": ""}],
    ids=["import", "setup_logging", "after_setup_logger"],
)
def test_row_19_warm_shutdown_under_load(database, shop, environ):
    """SIGTERM costs no event of a task that ended, wherever logging is configured, nor one of before the fork."""
    shop.order(500)
    with shop.work("--concurrency", "2", **environ) as worker:
        wait_until(lambda: len(shop.numbers()) > 20)
        end(worker)
    assert_stored(database, shop)
    assert actions(database) == ([] if environ else ["shop.load"])


def test_row_22_children_of_three_tasks(database, shop):
    """A child that ends because it has done enough has written it, and has the tasks' ids for request ids."""
    ids = shop.order(30)
    with shop.work("--concurrency", "2", "--max-tasks-per-child", "3") as worker:
        wait_until(lambda: len(shop.numbers()) == 30)
        end(worker)
    assert_stored(database, shop)
    assert {row["request_id"] for row in database.rows() if row["action"] == "order.place"} == set(ids)
    assert len(database.rows(STOPS)) >= 10 + 1


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_row_19_pools_of_one_process(database, shop, pool):
    """A worker whose tasks run in its own process writes what they logged at its own end."""
    shop.order(100)
    with shop.work("--concurrency", "2", "--pool", pool) as worker:
        wait_until(lambda: len(shop.numbers()) > 20)
        end(worker)
    assert_stored(database, shop)


def test_cold_shutdown_breaks_off_tasks_and_no_more(database, shop):
    """SIGQUIT ends children in the middle of a task, and each writes what its tasks have logged."""
    shop.client.send_task("hang")
    shop.order(5)
    with shop.work("--concurrency", "2") as worker:
        wait_until(lambda: shop.hanging() and len(shop.numbers()) == 5)
        end(worker, signal.SIGQUIT)
    assert_stored(database, shop)
    assert actions(database).count("order.wait") == 1


def test_row_18_killed_child_with_a_journal(database, tmp_path):
    """What a child that was killed has logged is written by another one."""
    shop = Shop(tmp_path, database.writer, spool=str(tmp_path / "spool"), journal=True)
    shop.client.send_task("hang")
    with shop.work("--concurrency", "1") as worker:
        (child,) = wait_until(shop.hanging)
        os.kill(child, signal.SIGKILL)
        shop.order(1)
        wait_until(shop.numbers)
        end(worker)
    assert sorted(row["action"] for row in database.rows()) == ["order.place", "order.wait", "shop.load"]
    assert_exact(database, 3)


def test_row_20_a_child_tells_what_it_loses(tmp_path):
    """With the database away, the worker's log says how many events of the child are lost."""
    shop = Shop(tmp_path, "host=/nowhere", shutdown_timeout=0.5)
    shop.order(3)
    with shop.work("--concurrency", "1", SIGNAL="setup_logging") as worker:
        wait_until(lambda: len(shop.numbers()) == 3)
        end(worker)
    assert "pglog_audit: 3 audit events lost at exit: " in shop.output.read_text()
