"""The fields that a block, a request or a task shares."""

import asyncio
import contextvars
import gc
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio.to_thread
import pytest

from pglog_audit import AuditFormatter, audit, audit_context, audit_many, bind_audit_context
from pglog_audit.context import (
    RequestContext,
    bind_late_context,
    current_context,
    current_field,
    request_context,
)
from pglog_audit.testing import capture_audit
from tests.support import warnings


def in_copied_context(function, *args, **fields):
    """Run *function* as a framework runs a dependency: in a thread, in a copy of the context."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(lambda: function(*args, **fields),))
    thread.start()
    thread.join()


def test_there_is_nothing_at_first():
    """Outside of every block nothing is added to an event."""
    assert current_context() == {}


def test_a_block_adds_its_fields():
    """Fields are in force inside the block and gone after it."""
    with audit_context(user_id=1):
        assert current_context() == {"user_id": 1}
    assert current_context() == {}


def test_blocks_nest():
    """An inner block adds to the outer one, wins over it, and gives it back."""
    with audit_context(user_id=1, tenant_id=2):
        with audit_context(user_id=3, event_id=4):
            assert current_context() == {"user_id": 3, "tenant_id": 2, "event_id": 4}
        assert current_context() == {"user_id": 1, "tenant_id": 2}


def test_one_object_is_good_for_one_block():
    """The error says what to write, and the block that is open goes on."""
    shared = audit_context(user_id=1, tenant_id=2)
    words = r"this audit_context of user_id, tenant_id has had its block: make one for each, by audit_context"
    with shared:
        with pytest.raises(RuntimeError, match=words), shared:
            pass
        assert current_context() == {"user_id": 1, "tenant_id": 2}
    with pytest.raises(RuntimeError, match=words), shared:
        pass
    assert current_context() == {}


def test_a_block_ends_once():
    """Whoever closes it again, or before it began, changes nothing."""
    with audit_context(user_id=1):
        block = audit_context(user_id=2)
        block.__exit__(None, None, None)
        block.__enter__()
        block.__exit__(None, None, None)
        block.__exit__(None, None, None)
        assert current_context() == {"user_id": 1}


def test_each_call_of_a_decorated_function_is_a_block():
    """Calls within one another have their own, and what the function is called and returns is its own."""

    @audit_context(user_id=1)
    def count(n):
        bind_audit_context(event_id=n)
        return [dict(current_context()), *(count(n - 1) if n else []), dict(current_context())]

    one, zero = {"user_id": 1, "event_id": 1}, {"user_id": 1, "event_id": 0}
    assert count(1) == [one, zero, zero, one]
    assert count.__name__ == "count"
    assert current_context() == {}


@pytest.mark.parametrize("context", [audit_context, request_context])
def test_the_sentence_of_a_log_call_wins(context):
    """The context's message stands where there is no sentence, and what an event says of its own over both."""
    with capture_audit("shop") as events, context(message="Cleared"):
        logging.getLogger("shop").info("%d sold", 5, extra=audit("seat.sell"))
        logging.getLogger("shop").error("5 lost", extra=audit("seat.lose"))
        logging.getLogger("shop").info("", extra=audit("seat.clean"))
        audit_many("shop", "Released", [audit("seat.release"), audit("seat.keep", message="Kept")])
        audit_many("shop", None, [audit("seat.free")])
    assert [event.message for event in events] == ["5 sold", "5 lost", "Cleared", "Released", "Kept", "Cleared"]


def test_the_message_of_the_context_stands_where_no_sentence_is_stored():
    """It is no part of the log call, whose arguments may be secret."""
    record = logging.makeLogRecord({"msg": "hunter2", "levelno": logging.INFO, "audit": {"action": "a.b"}})
    with audit_context(message="Cleared"):
        assert json.loads(AuditFormatter(store_message=False).format(record))["message"] == "Cleared"


def test_a_block_ends_with_an_exception():
    """An exception passes through the block, and its fields are gone."""
    with pytest.raises(KeyError), audit_context(user_id=1):
        raise KeyError
    assert current_context() == {}


def test_a_bound_field_ends_with_its_block():
    """What is bound inside a block does not outlive it."""
    with audit_context(user_id=1):
        bind_audit_context(tenant_id=2)
        assert current_context() == {"user_id": 1, "tenant_id": 2}
    assert current_context() == {}


def test_a_bound_field_stays_for_the_rest_of_the_task():
    """Without a block or a request a bound field stays in force."""
    bind_audit_context(user_id=1)
    bind_audit_context(tenant_id=2)
    assert current_context() == {"user_id": 1, "tenant_id": 2}


@pytest.mark.parametrize("pool", ["an executor's", "anyio's"])
def test_binding_in_a_thread_of_a_pool_is_told(pool, caplog):
    """A pooled thread works for others next, or loses what is bound: the first call says what to do."""
    if pool == "anyio's":
        anyio.run(anyio.to_thread.run_sync, lambda: bind_audit_context(user_id=1))
    else:
        with ThreadPoolExecutor(1) as executor:
            executor.submit(bind_audit_context, user_id=1).result()
    [warning] = warnings(caplog)
    assert "put AuditMiddleware around the application, or use audit_context" in warning


def test_binding_in_a_request_or_a_thread_of_ones_own_is_no_mistake(caplog):
    """What ends with its request, its task or its thread needs no word."""

    def bind():
        bind_audit_context(user_id=1)

    with ThreadPoolExecutor(1) as executor, request_context():
        executor.submit(contextvars.copy_context().run, bind).result()
    thread = threading.Thread(target=contextvars.copy_context().run, args=(bind,))
    thread.start()
    thread.join()

    async def task():
        bind()

    asyncio.run(task())
    assert warnings(caplog) == []


def test_a_thread_of_its_own_has_no_context():
    """A thread that copies no context inherits nobody's name."""
    seen = []
    with audit_context(user_id=1):
        thread = threading.Thread(target=lambda: seen.append(contextvars.Context().run(current_context)))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_a_copied_context_reaches_a_thread():
    """A thread that copies the context has its fields."""
    seen = []
    with audit_context(user_id=1):
        in_copied_context(lambda: seen.append(dict(current_context())))
    assert seen == [{"user_id": 1}]


def test_binding_in_a_copy_changes_no_other_copy():
    """Tasks that copied the same context bind without naming each other's user."""
    bind_audit_context(tenant_id=1)
    first, second = contextvars.copy_context(), contextvars.copy_context()
    first.run(bind_audit_context, user_id="alice")
    assert second.run(current_context) == {"tenant_id": 1}
    assert current_context() == {"tenant_id": 1}


def test_tasks_do_not_share_what_they_bind():
    """A hundred interleaved tasks each see their own user and no other."""

    async def task(user):
        bind_audit_context(user_id=user)
        await asyncio.sleep(0)
        with audit_context(event_id=user):
            await asyncio.sleep(0)
            return dict(current_context())

    async def main():
        bind_audit_context(tenant_id=0)
        return await asyncio.gather(*map(task, range(100)))

    assert asyncio.run(main()) == [{"tenant_id": 0, "user_id": n, "event_id": n} for n in range(100)]


def test_to_thread_sees_the_task():
    """asyncio.to_thread copies the context, so its thread knows the user."""

    async def main():
        bind_audit_context(user_id=1)
        return await asyncio.to_thread(lambda: dict(current_context()))

    assert asyncio.run(main()) == {"user_id": 1}


def test_binding_in_a_request_reaches_all_of_it():
    """A dependency that runs in a copy of the context, in another thread, tells the endpoint who is acting."""
    with request_context(request_id="r"):
        in_copied_context(bind_audit_context, user_id=1)
        assert current_context() == {"request_id": "r", "user_id": 1}
    assert current_context() == {}


def test_binding_in_a_request_reaches_tasks_that_it_started():
    """A background task that copied the context before the user was known learns it too."""
    with request_context():
        task = contextvars.copy_context()
        bind_audit_context(user_id=1)
        assert task.run(current_context) == {"user_id": 1}


def test_requests_do_not_share_what_they_bind():
    """Two requests at once, in tasks of one loop, keep their users apart."""

    async def request(user):
        with request_context(request_id=user):
            await asyncio.sleep(0)
            await asyncio.to_thread(bind_audit_context, user_id=user)
            await asyncio.sleep(0)
            return dict(current_context())

    async def main():
        return await asyncio.gather(*map(request, range(20)))

    assert asyncio.run(main()) == [{"request_id": n, "user_id": n} for n in range(20)]


def test_a_request_takes_over_the_fields_around_it():
    """What was in force before the request is in force in it, and unchanged after it."""
    with audit_context(service="shop", user_id=0):
        with request_context(request_id="r"):
            bind_audit_context(user_id=1)
            assert current_context() == {"service": "shop", "request_id": "r", "user_id": 1}
        assert current_context() == {"service": "shop", "user_id": 0}


def test_a_block_inside_a_request_wins():
    """A block lays its fields over the request's, for itself alone."""
    with request_context(user_id=1):
        with audit_context(user_id=2):
            bind_audit_context(user_id=3, tenant_id=4)
            assert current_context() == {"user_id": 2, "tenant_id": 4}
        assert current_context() == {"user_id": 3, "tenant_id": 4}


def test_a_request_inside_a_request_keeps_its_own():
    """A mounted application that opens a request again binds for itself."""
    with request_context(user_id=1):
        with request_context():
            bind_audit_context(user_id=2)
            assert current_context() == {"user_id": 2}
        assert current_context() == {"user_id": 1}


@pytest.mark.parametrize("block", [audit_context, request_context])
def test_a_block_may_end_in_another_copy_of_the_context(block):
    """A generator that a framework enters in one thread and leaves in another fails no request."""
    entered = block(user_id=1)
    contextvars.copy_context().run(entered.__enter__)
    contextvars.copy_context().run(entered.__exit__, None, None, None)
    assert current_context() == {}


@pytest.mark.parametrize("block", [audit_context, request_context])
def test_a_block_that_ends_elsewhere_takes_nothing_from_there(block):
    """Where the block was never entered, the fields of whoever runs there stay."""
    entered = block(user_id=1)
    contextvars.copy_context().run(entered.__enter__)
    with audit_context(user_id=2):
        copy = contextvars.copy_context()
    copy.run(entered.__exit__, None, None, None)
    assert copy.run(current_context) == {"user_id": 2}


@pytest.mark.parametrize("block", [audit_context, request_context])
def test_a_block_ends_in_a_copy_that_was_made_inside_it(block):
    """A generator that goes on in a copy of its context takes its fields back there."""
    entered = block(user_id=1)
    entered.__enter__()
    copy = contextvars.copy_context()
    copy.run(entered.__exit__, None, None, None)
    assert copy.run(current_context) == {}


def test_a_request_in_pieces_holds_in_each_of_them():
    """Its fields, and those that it binds, are in force in all its pieces, and between two of them in none."""
    request = RequestContext(request_id="r")
    request.run(bind_audit_context, user_id=1)
    assert current_context() == {}
    assert request.run(current_context) == {"request_id": "r", "user_id": 1}


def test_a_request_in_pieces_gives_back_what_was_in_force():
    """Pieces of two requests, and a block around one, do not touch each other."""
    first, second = RequestContext(request_id="1"), RequestContext(request_id="2")
    first.run(second.run, bind_audit_context, user_id=2)
    with audit_context(user_id=3):
        assert first.run(current_context) == {"request_id": "1"}
        assert current_context() == {"user_id": 3}
    assert second.run(current_context) == {"request_id": "2", "user_id": 2}


def test_a_request_in_pieces_ends_a_piece_with_an_exception():
    """The exception passes, and nothing remains in force."""
    with pytest.raises(ZeroDivisionError):
        RequestContext(request_id="r").run(lambda: 1 / 0)
    assert current_context() == {}


def pieces():
    """Yield the fields in force before, twice inside and after a block."""
    yield dict(current_context())
    with audit_context(user_id=1):
        yield dict(current_context())
        yield dict(current_context())
    yield dict(current_context())


@pytest.mark.parametrize("run", [lambda function: function(), lambda function: contextvars.Context().run(function)])
def test_a_block_goes_on_in_the_next_piece(run):
    """A generator's block holds until the generator leaves it, though each piece may run in a context of its own."""
    request, generator, seen = RequestContext(), pieces(), []
    for _ in range(4):
        seen.append(run(lambda: request.run(next, generator)))
        assert current_context() == {}
    assert seen == [{}, {"user_id": 1}, {"user_id": 1}, {}]


# Who is found out late


def test_late_fields_are_asked_for_each_time() -> None:
    """Each event asks anew, so that a user who signs in meanwhile counts; outside of the request nobody asks."""
    users = iter(["alice", "bob"])
    with request_context(request_id="r"):
        bind_late_context(lambda: {"user_label": next(users)})
        assert [current_context()["user_label"] for _ in range(2)] == ["alice", "bob"]
    assert current_context() == {}


def test_what_is_bound_wins_over_late_fields() -> None:
    """Who knows better says so, for the request or for a block."""
    with request_context():
        bind_late_context(lambda: {"user_label": "alice", "tenant_id": 1, "user_id": 1})
        bind_audit_context(user_label="bob")
        with audit_context(tenant_id=2):
            assert current_context() == {"user_label": "bob", "tenant_id": 2, "user_id": 1}


def test_what_is_logged_while_it_is_found_out_does_not_ask_again() -> None:
    """A look-up that logs an event ends, and what it binds remains."""

    def look_up() -> dict[str, Any]:
        bind_audit_context(tenant_id=len(current_context()))
        return {"user_label": "alice"}

    with request_context():
        bind_late_context(look_up)
        assert current_context() == {"user_label": "alice", "tenant_id": 0}


def test_a_late_look_up_that_fails_leaves_the_rest(caplog) -> None:
    """The event has its other fields, and a warning says what failed, without the text, which may hold a secret."""
    with request_context(request_id="r"):
        bind_late_context(lambda: {}["the user's password"])
        assert current_context() == {"request_id": "r"}
    assert "Who is acting could not be found out: KeyError" in caplog.text
    assert "password" not in caplog.text


async def user_fields() -> dict[str, Any]:
    return {"user_label": "alice"}


@pytest.mark.parametrize("found", [None, [("user_label", "alice")], "alice", 5, user_fields])
def test_a_late_look_up_of_another_type_leaves_the_rest(found, caplog, recwarn) -> None:
    """The event has its other fields, and a warning names the function and what it returned."""

    def who(_: object) -> Any:
        return found() if callable(found) else found

    with request_context(request_id="r"), capture_audit("shop") as events:
        bind_late_context(partial(who, None))
        logging.getLogger("shop").info("Paid", extra=audit("invoice.pay"))
    events.one(action="invoice.pay", request_id="r", user_label=None)
    kind = "coroutine" if callable(found) else type(found).__name__
    assert [f".who returned {kind}, not a dict" in text for text in warnings(caplog)] == [True]
    gc.collect()
    assert len(recwarn) == 0  # a coroutine that nobody awaits would be told here


def test_a_late_look_up_may_return_a_broken_mapping(caplog) -> None:
    """What it raises while it is read costs no more than what it says."""

    class Broken(dict[str, Any]):
        def keys(self) -> Any:
            raise ValueError

    with request_context(request_id="r"):
        bind_late_context(lambda: Broken(user_label="alice"))
        assert current_context()["request_id"] == "r"


def test_a_single_field_asks_nobody() -> None:
    """The request's id is known without its user."""
    with request_context(request_id="r"):
        bind_late_context(lambda: 1 / 0)
        assert (current_field("request_id"), current_field("user_id")) == ("r", None)
