"""The examples, run as their reader runs them: with the environment alone, as the role that may only insert."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict

import pglog_audit
from tests.support import configure, flush, handler_of, log, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, database, returncode=0):
    """Run an example to its end, and return what it printed on stderr."""
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": database.writer}
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (returncode, ""), done.stderr
    return done.stderr


def init(name, database):
    """Run the ``pglog-audit init`` that an example asks for, for the tests' writer."""
    [command] = re.findall(r"pglog-audit init --[^`\n]+", (EXAMPLES / name).read_text("utf-8"))
    program, *arguments = shlex.split(command.removesuffix(" --writer app"))
    writer = conninfo_to_dict(database.writer)["user"]
    subprocess.run(
        [Path(sys.executable).parent / program, *arguments, "--conninfo", database.owner, "--writer", writer],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def served(database, *command: str) -> Iterator[str]:
    """Serve an application with the module that *command* begins with, until SIGTERM, and give its address."""
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": database.writer}
    program = [sys.executable, "-W", "error", "-m", *command]
    with subprocess.Popen(program, cwd=EXAMPLES, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            found = (re.search(r"http://[\d.:]+", line) for line in server.stderr)
            url = next(filter(None, found), None)
            assert url, "the server did not start"
            yield url[0]
        finally:
            server.send_signal(signal.SIGTERM)


def sell_tickets(url: str) -> list[httpx.Response]:
    """Buy tickets as alice, as nobody, and as bob with a request id."""
    headers = ({"X-User": "alice"}, {}, {"X-User": "bob", "X-Request-ID": "order-17"})
    return [httpx.post(f"{url}/tickets", headers=each) for each in headers]


def assert_sold(replies: list[httpx.Response], rows: list[dict[str, Any]]) -> None:
    """Each reply leads to its row: two sales, one refusal."""
    assert [reply.status_code for reply in replies] == [201, 401, 201]
    assert [row["request_id"] for row in rows] == [reply.headers["X-Request-ID"] for reply in replies]
    assert rows[2]["request_id"] == "order-17"
    assert [(row["user_label"], row["outcome"]) for row in rows] == [
        ("alice", "success"),
        (None, "denied"),
        ("bob", "success"),
    ]
    assert {(str(row["source_ip"]), row["service"]) for row in rows} == {("127.0.0.1", "tickets")}


def test_every_example_is_run_here() -> None:
    """No example stands there that nobody has tried, and each fits on a screen."""
    tested = Path(__file__).read_text("utf-8")
    for example in EXAMPLES.iterdir():
        assert example.suffix == ".py" or example.name == "__pycache__"
        assert example.stem in tested or example.name == "__pycache__"
        assert example.is_dir() or len(example.read_text("utf-8").splitlines()) < 80


def test_script(database) -> None:
    """The script leaves two successes and a failure."""
    run("script.py", database)
    rows = database.rows()
    assert [(row["action"], row["outcome"], row["target_label"]) for row in rows] == [
        ("guest.import", "success", "Ada"),
        ("guest.import", "success", "Grace"),
        ("guest.import", "failure", None),
    ]
    assert {(row["user_label"], row["service"]) for row in rows} == {("nightly job", "guest-import")}
    assert rows[2]["metadata"] == {"exception": "ValueError"}


def test_dictconfig(database) -> None:
    """The event is a row, its secret is masked, and other lines go where they always went."""
    assert run("dictconfig.py", database) == "This line is no event and goes to stderr\n"
    [row] = database.rows()
    assert (row["message"], row["metadata"]) == ("Invoice paid", {"amount": "12.50", "iban": "***"})


def test_standard_pair(database) -> None:
    """The pair that dictConfig made wrote its row by the end of the program; before Python 3.12 it makes none."""
    if sys.version_info < (3, 12):
        assert "Unable to configure handler 'audit'" in run("standard_pair.py", database, returncode=1)
        return
    run("standard_pair.py", database)
    assert [(row["action"], row["service"]) for row in database.rows()] == [("ticket.sell", "booking")]


def test_stock_pair(database) -> None:
    """Logging's own pair wrote the row, with the context of the thread that logged."""
    run("stock_pair.py", database)
    assert [(row["action"], row["user_label"]) for row in database.rows()] == [("ticket.sell", "alice")]


def test_asgi_app(database) -> None:
    """Each response's request id leads to a row, which SIGTERM right afterwards did not cost."""
    with served(database, "uvicorn", "--port", "0", "asgi_app:app") as url:
        replies = sell_tickets(url)
    assert_sold(replies, database.rows())


GUNICORN = ("gunicorn", "--bind", "127.0.0.1:0", "--threads", "2", "--no-control-socket")


@pytest.mark.parametrize(
    "command",
    [
        ("uvicorn", "--port", "0", "fastapi_app:app"),
        (*GUNICORN, "flask_app:app"),
        ("flask", "--app", "flask_app", "run", "--port", "0"),
        (*GUNICORN, "django_app:application"),
    ],
    ids=["fastapi_app", "flask_app", "flask_app of flask run", "django_app"],
)
def test_web_frameworks(database, command) -> None:
    """Requests that end well, that raise and whose client leaves have their rows, under the ids of their responses."""
    with served(database, *command) as url:
        replies = sell_tickets(url)
        refused = httpx.post(f"{url}/refunds", headers={"X-User": "alice"})
        with httpx.stream("GET", f"{url}/tickets", headers={"X-User": "bob"}) as left:
            next(left.iter_text())
        # SIGTERM ends Flask's development server past all hooks; and the server may not know yet that the client left.
        rows = wait_until(lambda: len(found := database.rows()) == 5 and found)
    assert_sold(replies, rows[:3])
    assert refused.status_code == 500
    assert [(row["action"], row["request_id"]) for row in rows[3:]] == [
        ("ticket.refund", refused.headers["X-Request-ID"]),
        ("ticket.export", left.headers["X-Request-ID"]),
    ]
    assert 1 <= rows[4]["metadata"]["tickets"] < 9_999


def test_django_app_as_it_says(empty_database) -> None:
    """Its commands make the table in an empty database, and read it."""
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": empty_database.owner}
    for arguments in ("migrate", "pglog_audit init --writer pglog_writer", "pglog_audit timeline"):
        program = [sys.executable, "-W", "error", EXAMPLES / "django_app.py", *arguments.split()]
        done = subprocess.run(program, env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == "No events in audit_log match.\n"


def test_celery_app(database, tmp_path) -> None:
    """Who asked for a task stands on its events, and on those of the task that it sent; on nobody else's."""
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": database.writer, "BROKER": str(tmp_path)}
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--concurrency", "1"]
    # First: a worker that takes a file of this broker before it is written dies of it.
    subprocess.run([sys.executable, EXAMPLES / "celery_app.py"], env=environ, check=True)
    with subprocess.Popen(
        command, cwd=EXAMPLES, env=environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as worker:
        try:
            rows = wait_until(lambda: len(found := database.rows()) == 4 and found)
        finally:
            worker.send_signal(signal.SIGTERM)
    who = {(row["action"], row["request_id"] == "order-17", row["user_label"], row["tenant_id"]) for row in rows}
    assert who == {
        (action, *whose)
        for action in ("ticket.send", "receipt.print")
        for whose in [(True, "alice", UUID(int=1)), (False, None, None)]
    }
    assert len({row["request_id"] for row in rows}) == 2


def scraped(url: str) -> dict[str, float]:
    """Return what stands at *url*, by name and label."""
    text = httpx.get(url).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def test_prometheus_metrics(database) -> None:
    """Prometheus finds the row that the program made."""
    with served(database, "prometheus_metrics", "0") as url:
        wait_until(lambda: scraped(f"{url}/metrics")["audit_stored_total"] == 1)
        assert scraped(f"{url}/metrics")["audit_last_stored_timestamp_seconds"] > 1e9
    assert [row["action"] for row in database.rows()] == ["ticket.sell"]


@pytest.mark.parametrize(("options", "lost"), [({}, {"refused": 1}), ({"spool": "spool"}, {})], ids=["memory", "spool"])
def test_prometheus_metrics_are_all_numbers_of_stats(database, monkeypatch, tmp_path, options, lost) -> None:
    """Each number of stats(), of losses by reason, is the one that Prometheus gets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    from prometheus_metrics import COUNTERS, GAUGES, REASONS, AuditCollector

    database.execute("ALTER TABLE audit_log ADD CHECK (action <> 'ticket.lose')")
    logger = configure(database.writer, **options)
    log(logger, 3)
    log(logger, 1, "ticket.lose")
    flush(logger)
    registry = CollectorRegistry()
    registry.register(AuditCollector())
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        found = scraped(f"http://127.0.0.1:{server.server_port}/metrics")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    stats = pglog_audit.stats()
    texts = {"lost", "problem", "last_error"}
    assert {*COUNTERS, *GAUGES} == stats.keys() - texts
    expected = {f"audit_{key}_total": stats[key] for key in COUNTERS}
    expected |= {f"audit_lost_total {reason}": stats["lost"].get(reason, 0) for reason in {*REASONS, *stats["lost"]}}
    expected |= {f"audit_{name}": stats[key] or 0 for key, (name, _) in GAUGES.items()}
    assert found == expected
    own = handler_of(logger).stats()
    assert (own["stored"], own["lost"], own["rejected"]) == (3, lost, not lost)


def test_narrow_table(empty_database) -> None:
    """The service's own columns are filled, and what has no column is in the metadata or left out."""
    [statement] = re.findall(r"CREATE TABLE .*?;", (EXAMPLES / "narrow_table.py").read_text("utf-8"), re.DOTALL)
    empty_database.execute(statement)
    init("narrow_table.py", empty_database)
    run("narrow_table.py", empty_database)
    [row] = empty_database.rows("SELECT * FROM activity")
    assert (row["id"], row["action"], row["entity_type"], row["request_id"]) == (
        1,
        "branding.update",
        "branding",
        "req-17",
    )
    assert all(row[name] for name in ("user_id", "event_id", "target_id", "created_at"))
    assert row["metadata"] == {"field": "logo", "plan": "free"}


def test_integer_ids(empty_database) -> None:
    """The ids are numbers in the table, too."""
    init("integer_ids.py", empty_database)
    run("integer_ids.py", empty_database)
    rows = empty_database.rows()
    assert [(row["user_id"], row["event_id"], row["target_id"]) for row in rows] == [(17, 2026, 501), (17, 2026, 502)]
    assert all(type(row["user_id"]) is int for row in rows)


def test_structlog_app(database) -> None:
    """An event of structlog's is a row with its request id, and a line without its secret."""
    held, sold = map(json.loads, run("structlog_app.py", database).splitlines())
    assert held == {"message": "Seats held", "seats": 2, "request_id": "req-17"}
    [row] = database.rows()
    assert (row["message"], row["request_id"], row["metadata"]) == (
        "Ticket sold",
        "req-17",
        {"amount": "12.50", "card_number": "***"},
    )
    assert sold["audit"].items() >= {name: row[name] for name in ("message", "request_id", "metadata")}.items()


def test_loguru_app(database) -> None:
    """An event of loguru's is a row with its request id, level and exception, and is printed nowhere."""
    assert run("loguru_app.py", database) == "INFO Seats held\n"
    sold, failed = database.rows()
    assert (sold["message"], sold["request_id"], sold["outcome"], sold["metadata"]) == (
        "Ticket sold",
        "req-17",
        "success",
        {"amount": "12.50", "card_number": "***"},
    )
    assert (failed["message"], failed["outcome"], failed["metadata"]) == (
        "Not printed",
        "failure",
        {"exception": "ConnectionError"},
    )
