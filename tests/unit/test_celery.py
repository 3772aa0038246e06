"""What travels with Celery's tasks, without a worker: messages on their way, and eager tasks."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from celery import Celery, signals
from celery.app.trace import build_tracer

from pglog_audit import audit_context, bind_audit_context
from pglog_audit.context import bind_late_context, current_context, request_context
from pglog_audit.integrations.celery import carry_audit_context


@pytest.fixture
def app() -> Iterator[Celery]:
    """Return an application whose messages stay in memory."""
    carry_audit_context()
    carry_audit_context()
    with Celery("test", broker="memory://", set_as_current=False) as app:
        yield app
    for signal in (signals.before_task_publish, signals.task_prerun, signals.task_postrun):
        signal.disconnect(dispatch_uid="pglog_audit")


@pytest.fixture
def task(app: Celery) -> Any:
    """Return a task that returns the fields in force, and leaves some of its own behind."""

    @app.task(name="see", shared=False)
    def see(**bound: Any) -> dict[str, Any]:
        found = dict(current_context())
        bind_audit_context(**bound)
        return found

    return see


def work(app: Celery) -> list[dict[str, Any]]:
    """Return what the sent tasks see, one after the other in one process, as a worker runs them."""
    seen: list[dict[str, Any]] = []

    def note(result: dict[str, Any], **_: object) -> None:
        seen.append(result)

    signals.task_success.connect(note)
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        while queue.qsize():
            message = queue.get()
            message.ack()
            arguments, named, more = message.decode()
            request = {**message.headers, **more, "delivery_info": message.delivery_info}
            task = app.tasks[request["task"]]
            build_tracer(task.name, task, app=app)(request["id"], arguments, named, request)
    return seen


def test_who_acts_travels_with_the_task(app, task) -> None:
    """Request, user and tenant arrive, a UUID as its text; the client's address stays behind."""
    with audit_context(request_id="r-1", user_id=7, user_label="alice", tenant_id=UUID(int=1), source_ip="192.0.2.1"):
        task.delay()
    assert work(app) == [{"request_id": "r-1", "user_id": 7, "user_label": "alice", "tenant_id": str(UUID(int=1))}]


def test_nothing_is_left_to_the_next_task(app, task) -> None:
    """Neither what came with a task nor what it bound is in force in the next one, or in the worker."""
    with audit_context(request_id="r-1", user_id=7):
        task.delay(user_label="alice")
    after = task.delay()
    assert work(app)[1] == {"request_id": after.id}
    assert current_context() == {}


def test_who_acts_is_found_out_where_a_task_is_sent(app, task) -> None:
    """What a middleware finds out late travels, too: the worker could not ask for it."""
    with request_context(request_id="r-1"):
        bind_late_context(lambda: {"user_id": 7})
        task.delay()
    assert work(app) == [{"request_id": "r-1", "user_id": 7}]


def test_a_task_sent_by_a_task_has_its_request(app, task) -> None:
    """Nested tasks belong to whoever asked for the first; without that, to the first."""

    @app.task(name="send", shared=False)
    def send() -> dict[str, Any]:
        task.delay()
        return dict(current_context())

    first = send.delay()
    assert work(app) == [{"request_id": first.id}] * 2


def test_an_eager_task_is_a_part_of_its_request(app, task) -> None:
    """It sees what its caller sees, also one inside of another, and leaves nothing behind."""

    @app.task(name="outer", shared=False)
    def outer() -> list[Any]:
        return [dict(current_context()), task.apply(kwargs={"user_label": "bob"}).result, dict(current_context())]

    app.conf.task_always_eager = True
    with request_context(request_id="r-1", user_id=7, source_ip="192.0.2.1"):
        here = dict(current_context())
        assert outer.delay().result == [here] * 3
        assert current_context() == here
    alone = outer.delay()
    assert alone.result == [{"request_id": alone.id}] * 3
    assert current_context() == {}


def test_a_task_that_fails_leaves_nothing(app) -> None:
    """The end of its context is that of the task, however it ends."""

    @app.task(name="fail", shared=False)
    def fail() -> None:
        bind_audit_context(user_id=7)
        raise LookupError("no such ticket")

    assert fail.apply().failed()
    assert current_context() == {}


def test_what_follows_a_task_has_its_request(app, task) -> None:
    """A further attempt and the next of a chain are of the same request."""

    @app.task(name="try", bind=True, shared=False)
    def attempt(self) -> dict[str, Any]:
        if self.request.retries == 0:
            raise self.retry(countdown=0)
        return dict(current_context())

    with audit_context(request_id="r-1", user_id=7):
        (attempt.s() | task.si()).apply_async()
    assert work(app) == [{"request_id": "r-1", "user_id": 7}] * 2
