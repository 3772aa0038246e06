"""What README.md says under "Where you run it", in the processes that it is about."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
from celery import Celery

from tests.faults.web import assert_answered_is_stored, assert_each_writer_ended, serve
from tests.support import assert_exact

from .reader import read_sections

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these servers fork")
CONFIGURED = """
import logging, logging.config, os, signal
from pglog_audit import audit
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"audit": {"class": "pglog_audit.AuditHandler", "flush_interval": 600}},
    "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
}
logging.config.dictConfig(LOGGING)
logger = logging.getLogger("audit")
"""
APPS = {
    "wsgi": """
def app(environ, start_response):
    logger.info("Seen", extra=audit("page.view"))
    start_response("200 OK", [("Content-Length", "4")])
    return [b"seen"]
""",
    "asgi": """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    logger.info("Seen", extra=audit("page.view"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"seen"})
""",
}
MODULES = {"waitress-serve": "waitress"}
ADDRESSES = {
    "gunicorn": "--bind=127.0.0.1:{port} --log-level=error",
    "uvicorn": "--port={port} --log-level=error",
    "waitress-serve": "--listen=127.0.0.1:{port}",
}


def code_of(title: str) -> str:
    """Return the Python under *title*."""
    return "\n".join(block.text for block in read_sections()[title] if block.language == "python")


def commands_of(title: str) -> list[str]:
    """Return the commands under *title*."""
    return [command for block in read_sections()[title] for command, _ in block.commands]


def serving(title: str, interface: str) -> list:
    """Return each command under *title*, with the application it serves."""
    return [pytest.param(title, interface, command, id=command) for command in commands_of(title)]


@pytest.mark.parametrize(
    ("title", "interface", "command"),
    [*serving("gunicorn", "wsgi"), *serving("uvicorn", "asgi"), *serving("waitress", "wsgi")],
)
def test_a_server_stopped_by_sigterm(database, tmp_path, title, interface, command) -> None:
    """With README.md's lines each answered request is a row when the server has ended, and each process says so."""
    (tmp_path / "shop.py").write_text(CONFIGURED + APPS[interface] + code_of(title))
    program, *arguments = shlex.split(command)
    arguments = [*shlex.split(ADDRESSES[program]), *arguments]
    with serve(database, MODULES.get(program, program), *arguments, cwd=tmp_path) as site:
        for number in range(8):
            site.ask("/", [f"request-{number}"])
        site.end(signal.SIGTERM)
    assert len(site.answered) == 8
    assert_answered_is_stored(database, site)
    assert_each_writer_ended(database)


def test_a_script_stopped_by_sigterm(database) -> None:
    """With README.md's lines the events are rows before the program dies of the signal."""
    ending = "logger.info('Begun', extra=audit('job.begin'))\nsignal.raise_signal(signal.SIGTERM)\nsignal.pause()\n"
    assert run(database, CONFIGURED + code_of("Scripts") + ending).returncode == -signal.SIGTERM
    assert_exact(database, 1)


def test_celery(database, tmp_path) -> None:
    """With README.md's lines what a task has logged is a row when its worker has ended, and has the task's id."""
    (tmp_path / "broker").mkdir()
    broker = {name: str(tmp_path / "broker") for name in ("data_folder_in", "data_folder_out", "control_folder")}
    settings = f"app.conf.update(broker_transport_options={json.dumps(broker)}, worker_enable_remote_control=False)\n"
    task = "@app.task(name='sell')\ndef sell():\n    logger.info('Sold', extra=audit('ticket.sell'))\n"
    begin = "from celery import Celery\napp = Celery('shop', broker='filesystem://')\n"
    (tmp_path / "shop.py").write_text(CONFIGURED + code_of("Celery") + begin + settings + task)
    [command] = commands_of("Celery")
    client = Celery("client", broker="filesystem://", set_as_current=False)
    client.conf.broker_transport_options = broker
    with client.connection_for_write() as connection:
        sold = {client.send_task("sell", connection=connection).id for _ in range(10)}
    with subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command), "--concurrency=2", "--loglevel=INFO"],
        cwd=tmp_path,
        env={**os.environ, "PGLOG_AUDIT_CONNINFO": database.writer},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        # Each says when it is done.
        done = 0
        for line in worker.stderr:
            done += "succeeded" in line
            if done == len(sold):
                break
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert {row["request_id"] for row in database.rows()} == sold
    assert_exact(database, len(sold))


def test_multiprocessing(database) -> None:
    """The pool of README.md ends with its events written, and with the sum that is shown."""
    work = "def work(n):\n    logger.info('Done', extra=audit('job.do'))\n    return n\n"
    done = run(database, CONFIGURED + "import multiprocessing\n" + work + code_of("multiprocessing"))
    [shown] = [block.text for block in read_sections()["multiprocessing"] if block.language == "text"]
    assert (done.returncode, done.stdout) == (0, shown)
    assert_exact(database, 10)


def test_gevent(database) -> None:
    """Patched first, as README.md shows it, greenlets log, and no warning is given."""
    greenlets = """
import gevent
gevent.joinall([gevent.spawn(logger.info, "Done", extra=audit("job.do")) for _ in range(5)], raise_error=True)
"""
    done = run(database, code_of("gevent") + CONFIGURED + greenlets)
    assert (done.returncode, done.stderr) == (0, "")
    assert_exact(database, 5)


def run(database, program: str) -> "subprocess.CompletedProcess[str]":
    """Run *program*, and return what it said."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PGLOG_AUDIT_CONNINFO": database.writer},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
