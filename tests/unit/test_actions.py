"""One event at the end of an action, with what came of it."""

import asyncio
import contextvars
import dataclasses
import functools
import gc
import inspect
import logging
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from types import SimpleNamespace
from typing import NamedTuple

import pydantic
import pytest

from pglog_audit import AuditHandler, audit_action, audit_context, bind_audit_context, current_action
from pglog_audit.testing import capture_audit
from tests.support import warnings


class ShopError(Exception):
    status = 403


@pytest.fixture
def events():
    """Return what is captured of the logger ``shop``."""
    with capture_audit("shop", id_types={"target_id": "bigint"}) as events:
        yield events


@pytest.fixture
def logger():
    return logging.getLogger("shop")


def fail(logger, error, **options):
    """Raise *error* inside of an action, and check that it comes out as it went in."""
    with pytest.raises(type(error)) as raised, audit_action(logger, "invoice.delete", **options):
        raise error
    assert raised.value is error
    assert error.__context__ is None


def test_a_block_that_ends_is_a_success(events, logger):
    """The event is logged at the end, with its fields, its sentence and how long it took."""
    with audit_action(logger, "invoice.delete", "Invoice deleted", target_id=17, metadata={"by": "hand"}):
        events.none()
    event = events.one(action="invoice.delete", outcome="success", target_id=17, message="Invoice deleted")
    assert event.metadata.keys() == {"by", "duration_ms"}
    assert 0 <= event.metadata["duration_ms"] < 60_000


def test_without_a_sentence_there_is_no_message(events, logger, caplog):
    """The row has action and outcome; other handlers print both."""
    with audit_action(logger, "invoice.delete"):
        pass
    assert events.one().message is None
    assert [record.getMessage() for record in caplog.records] == ["invoice.delete: success"]


def test_a_sentence_is_no_format(events, logger):
    """A percent sign in it stays one."""
    with audit_action(logger, "price.cut", "Cut by 20 %s"):
        pass
    events.one(message="Cut by 20 %s")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("token=s3cr3t"), "failure"),
        (PermissionError(), "denied"),
        (asyncio.CancelledError(), "failure"),
        (KeyboardInterrupt(), "failure"),
        (SystemExit(2), "failure"),
        (ExceptionGroup("all", [PermissionError(), ExceptionGroup("in", [PermissionError()])]), "denied"),
        (ExceptionGroup("one of two", [PermissionError(), ValueError()]), "failure"),
    ],
    ids=repr,
)
def test_an_exception_goes_on(events, logger, error, outcome):
    """Its type is in the metadata, its text nowhere."""
    fail(logger, error)
    event = events.one(outcome=outcome, exception=type(error).__name__)
    assert "s3cr3t" not in str(event)


def test_an_exit_with_status_0_is_a_success(events, logger):
    """A script that ends well inside of the block has not failed."""
    fail(logger, SystemExit())
    assert "exception" not in events.one(outcome="success").metadata


@pytest.mark.parametrize("denied", [ShopError, (OSError, ShopError), lambda error: error.status == 403])
def test_what_is_denied_can_be_named(events, logger, denied):
    """By classes, or by a callable; PermissionError is always."""
    fail(logger, ShopError(), denied=denied)
    fail(logger, PermissionError(), denied=denied)
    fail(logger, ValueError(), denied=denied)
    assert [event.outcome for event in events] == ["denied", "denied", "failure"]


@pytest.mark.parametrize(
    ("logger", "action", "denied", "problem"),
    [
        (None, "a.b", (), "takes a logging.Logger"),
        ("shop", "a.b", 403, "403"),
        ("a.b", logging.getLogger("shop"), (), "audit_action takes the logger before 'a.b': swap the two"),
    ],
)
def test_what_can_never_work_is_refused_at_once(logger, action, denied, problem):
    """What is no logger, or not in its place, and what tells of no exception, is a TypeError where it stands."""
    with pytest.raises(TypeError, match=problem):
        audit_action(logger, action, denied=denied)


def test_fields_can_be_set_meanwhile(events, logger):
    """What is set last counts, metadata are added, and an outcome that is set stays."""
    with suppress(ValueError), audit_action(logger, "order.place", metadata={"a": 1}) as action:
        action.set(target_id=7, outcome="denied", metadata={"b": 2}, message="No", seats=3)
        action.set(target_id=8)
        raise ValueError
    event = events.one(target_id=8, outcome="denied", message="No", seats=3, metadata={"a": 1, "b": 2})
    assert event.metadata["exception"] == "ValueError"


class Broken(Mapping):
    """A mapping that fails while it is read."""

    def __getitem__(self, name):
        raise RuntimeError(name)

    def __iter__(self):
        return iter("ab")

    def __len__(self):
        return 2


class Endless(Broken, dict):
    """A dict that fails before its first name."""

    def __iter__(self):
        raise RuntimeError


@pytest.mark.parametrize("broken", [Broken(), Endless()], ids=["items", "names"])
@pytest.mark.parametrize("name", ["metadata", "changes"])
def test_what_cannot_be_read_costs_no_event(events, logger, caplog, name, broken):
    """It is marked in the row, as in that of a log call."""
    with audit_action(logger, "order.place", **{name: broken}) as action:
        action.change({"a": 1}, {"a": 2})
    with audit_action(logger, "order.pay", metadata={"a": 1}) as action:
        action.change({"a": 1}, {"a": 2})
        action.set(**{name: broken})
    unreadable = "__could_not_encode__"
    marked = {"_value": unreadable} if name == "metadata" else {"_refused": {"changes": unreadable}}
    for action in ("order.place", "order.pay"):
        assert events.one(action=action, metadata=marked).metadata["duration_ms"] >= 0
    assert "could not be read (RuntimeError)" in str(warnings(caplog))


@dataclasses.dataclass
class Guest:
    name: str
    tags: list


class Seat(pydantic.BaseModel):
    row: int
    _cache: int = 0


class Pair(NamedTuple):
    a: int


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": [2, 3]}),
        ({"a": 1}, {"b": 1}, {"a": [1, None], "b": [None, 1]}),
        (None, {"a": 1, "b": None}, {"a": [None, 1]}),
        ({"a": 1}, None, {"a": [1, None]}),
        (Guest("Ada", ["x"]), Guest("Ada", ["x", "y"]), {"tags": [["x"], ["x", "y"]]}),
        (Seat(row=1), Seat(row=2), {"row": [1, 2]}),
        (Pair(1), Pair(2), {"a": [1, 2]}),
        (SimpleNamespace(_state=1, a=1), SimpleNamespace(_state=2, a=2), {"a": [1, 2]}),
        ({"a": 1, "not_loaded": 1}, SimpleNamespace(a=2), {"a": [1, 2]}),
        (None, SimpleNamespace(a=2), {"a": [None, 2]}),
        ({"password": "old"}, {"password": "new"}, {"password": ["***", "***"]}),
        ({"a": 1}, {"a": 1}, None),
    ],
)
def test_changes_are_what_differs(events, logger, before, after, changes):
    """Of mappings, dataclasses and other objects; secrets are masked as ever."""
    with audit_action(logger, "guest.update") as action:
        action.change(before, after)
    assert events.one().changes == changes


def test_values_are_taken_at_once(events, logger):
    """What is done to a list afterwards changes nothing, and the first old value stays beside the last new one."""
    tags = ["x"]
    with audit_action(logger, "guest.update", changes={"by": [1, 2]}) as action:
        action.change({"tags": []}, {"tags": tags})
        tags.append("y")
        action.change({"tags": ["x"]}, {"tags": tags})
        tags.append("z")
    assert events.one().changes == {"tags": [[], ["x", "y"]], "by": [1, 2]}


class Hostile:
    def __eq__(self, other):
        raise RuntimeError

    __hash__ = None


class Slotted:
    __slots__ = ("_own", "a", "unset")

    def __init__(self, a):
        self.a = a
        self._own = object()


class SlottedToo(Slotted):
    __slots__ = "b"

    def __init__(self, a, b):
        super().__init__(a)
        self.b = b


def test_slots_are_attributes(events, logger):
    """Those of base classes, too; what frameworks keep there, and what is not set, counts for nothing."""
    with audit_action(logger, "seat.move") as action:
        action.change(Slotted(1), Slotted(2))
        action.change(SlottedToo(2, 1), SlottedToo(2, 2))
    assert events.one().changes == {"a": [1, 2], "b": [1, 2]}


SAME = SimpleNamespace(a=1)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (SAME, SAME, "they are the same SimpleNamespace; give before as a dict of what it was"),
        ("open", "paid", "str has no fields; give dicts, dataclasses or objects with attributes"),
        ([1], [2], "list has no fields"),
        ({"a": 1}, SimpleNamespace(_state=1), "dict and SimpleNamespace share no loaded attribute"),
    ],
)
def test_what_has_no_changes_is_told_why(events, logger, caplog, before, after, reason):
    """A change that cannot be seen is a warning, with the types and what to pass, and never a value."""
    with audit_action(logger, "guest.update") as action:
        action.change(before, after)
    assert events.one().changes is None
    [warning] = warnings(caplog)
    assert f"cannot compare what guest.update had before and after: {reason}" in warning


def test_what_cannot_be_compared_harms_nobody(events, logger, caplog):
    """A value that raises counts as changed; a thing without attributes is warned of."""
    with audit_action(logger, "guest.update") as action:
        action.change({"a": Hostile()}, {"a": 1})
        action.change(1, 2)
    assert events.one().changes["a"][1] == 1
    assert "cannot compare" in warnings(caplog)[0]


def test_logging_that_fails_harms_nobody(events, logger, caplog):
    """A filter that raises costs the event, with a warning, and neither the action nor its exception."""
    logger.addFilter(lambda record: 1 / 0)
    with audit_action(logger, "guest.update"):
        pass
    fail(logger, ValueError())
    assert "The event guest.update could not be logged: ZeroDivisionError" in warnings(caplog)
    events.none()


def test_the_record_has_the_place_of_the_action(events, logger, caplog):
    """File, line and function are those of the with statement, or of the decorator."""
    with audit_action(logger, "a.b"):
        line = inspect.currentframe().f_lineno - 1
    [record] = caplog.records
    assert (record.pathname, record.lineno, record.funcName) == (
        __file__,
        line,
        "test_the_record_has_the_place_of_the_action",
    )


def test_a_level_of_its_own(logger, caplog):
    """Levels decide as with any log call."""
    with capture_audit() as events:
        logger.setLevel("WARNING")
        logger.addHandler(logging.NullHandler())
        with audit_action(logger, "a.b"), audit_action(logger, "a.c", level=logging.WARNING):
            pass
    assert [record.getMessage() for record in caplog.records if record.name == "shop"] == ["a.c: success"]
    events.none()


@pytest.mark.parametrize("make", [lambda logger: "shop", lambda logger: logging.LoggerAdapter(logger, {"seat": 1})])
def test_a_name_or_an_adapter_will_do(events, logger, caplog, make):
    """An adapter adds its extra, and does not take the event away."""
    with audit_action(make(logger), "a.b"):
        pass
    events.one(action="a.b")


def test_the_context_is_that_of_the_end(events, logger):
    """Who is bound inside of the block stands on its event."""
    with audit_action(logger, "user.sign_in"):
        bind_audit_context(user_label="alice")
    events.one(user_label="alice")


def test_a_generator_that_another_context_closes(events, logger):
    """Who closes it did not act, and what he has of a context is not taken; the end is unknown."""

    def export():
        with audit_action(logger, "list.export"):
            yield

    def begin():
        with audit_context(user_label="alice"):
            generator = export()
            next(generator)
            return generator

    generator = contextvars.copy_context().run(begin)
    with audit_context(user_label="bob"):
        del generator
        gc.collect()
    events.one(outcome="unknown", exception="GeneratorExit", user_label="alice")


def test_functions_are_decorated(events, logger):
    """Each call is an action, which the function finds; a nested one finds its own."""

    @audit_action(logger, "order.place", user_label="alice")
    def place(number):
        """Place an order."""
        current_action().set(target_id=number)
        if number < 2:
            place(number + 1)
        return number

    assert (place.__name__, place.__doc__) == ("place", "Place an order.")
    assert place(1) == 1
    assert [(event.target_id, event.user_label) for event in events] == [(2, "alice"), (1, "alice")]


def test_coroutine_functions_are_decorated(events, logger):
    """Tasks that run at once have an action each, and one that is cancelled failed."""

    @audit_action(logger, "order.place")
    async def place(number):
        current_action().set(target_id=number)
        await asyncio.sleep(0 if number else 60)
        return number

    async def main():
        slow = asyncio.create_task(place(0))
        assert await asyncio.gather(place(1), place(2)) == [1, 2]
        slow.cancel()
        await asyncio.wait([slow])
        assert slow.cancelled()

    assert inspect.iscoroutinefunction(place)
    asyncio.run(main())
    assert {event.target_id: event.outcome for event in events} == {1: "success", 2: "success", 0: "failure"}
    events.one(target_id=0, exception="CancelledError")


def test_an_object_with_an_asynchronous_call_is_decorated(events, logger):
    """The end of the action is that of what is awaited."""

    class Place:
        async def __call__(self):
            events.none()
            return 1

    assert asyncio.run(audit_action(logger, "order.place")(Place())()) == 1
    events.one(outcome="success")


async def place(number, fails=None):
    """Place an order, and say so."""
    current_action().set(target_label=str(number))
    await asyncio.sleep(0.02)
    if fails:
        raise fails
    return number


def plain(function):
    """Wrap *function* as many decorators do, so that nobody sees that it is a coroutine function."""

    @functools.wraps(function)
    def call(*args):
        return function(*args)

    return call


class Placing:
    async def __call__(self, *args):
        """Place an order."""
        return await place(*args)


class Awaitable:
    def __init__(self, *args):
        self._args = args

    def __await__(self):
        return place(*self._args).__await__()


def marked(function):
    """Mark *function* as asgiref does on Python 3.11."""
    call = plain(function)
    call._is_coroutine = asyncio.coroutines._is_coroutine
    return call


HIDDEN = {
    "partial": functools.partial(Placing()),
    "wrapped": plain(place),
    "cached": functools.lru_cache(place),
    "static": staticmethod(place),
    "marked": marked(place),
    "awaitable": Awaitable,
    "task": lambda *args: asyncio.ensure_future(place(*args)),
}


@pytest.mark.parametrize("function", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize(("error", "outcome"), [(None, "success"), (PermissionError(), "denied")])
def test_what_is_awaited_ends_the_action(events, logger, function, error, outcome):
    """Whether or not it can be seen before the call: outcome, duration and action are those of the awaited."""
    decorated = audit_action(logger, "order.place")(function)

    async def main():
        return await getattr(decorated, "__func__", decorated)(7, error)

    if error is None:
        assert asyncio.run(main()) == 7
    else:
        with pytest.raises(PermissionError):
            asyncio.run(main())
    event = events.one(outcome=outcome, target_label="7")
    assert event.metadata["duration_ms"] >= 15


def test_a_task_that_is_returned_remains_one(events, logger):
    """Who gets it can cancel it, and that is a failure."""
    decorated = audit_action(logger, "order.place")(HIDDEN["task"])

    async def main():
        task = decorated(7)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    events.one(outcome="failure", exception="CancelledError")


def test_what_can_be_entered_as_well_stays_what_it_is(events, logger):
    """A request of aiohttp is awaited or entered: its action ends with the call."""

    class Request(Awaitable):
        async def __aenter__(self):
            return self

    assert type(audit_action(logger, "page.fetch")(Request)(1)) is Request
    events.one(outcome="success")


def test_methods_without_an_instance_are_decorated(events, logger):
    """In either order with staticmethod and classmethod."""

    class Shop:
        @audit_action(logger, "shop.open")
        @staticmethod
        async def open(number):
            return number

        @audit_action(logger, "shop.close")
        @classmethod
        def close(cls):
            return cls

    assert inspect.iscoroutinefunction(Shop.open)
    assert asyncio.run(Shop().open(1)) == 1
    assert Shop.close() is Shop
    assert [event.action for event in events] == ["shop.open", "shop.close"]


def test_generators_are_decorated(events, logger):
    """The action ends with the generator, which takes and gives what it took and gave."""

    @audit_action(logger, "list.export")
    def export():
        sent = yield 1
        return sent

    generator = export()
    assert next(generator) == 1
    events.none()
    with pytest.raises(StopIteration) as stopped:
        generator.send(2)
    assert stopped.value.value == 2
    events.one(outcome="success")


def test_a_generator_acts_only_while_it_runs(events, logger):
    """Between two steps the action is its caller's, also of two generators that end as they began; blocks go on."""

    @audit_action(logger, "row.export")
    def rows(n):
        with audit_action(logger, "row.read", user_label=str(n)) as inner:
            for _ in range(n):
                assert current_action() is inner
                yield n
        current_action().set(target_label=str(n))

    with audit_action(logger, "report.make") as outer:
        for _ in zip_longest(rows(1), rows(2)):
            assert current_action() is outer
        closed = rows(3)
        next(closed)
        closed.close()
        assert current_action() is outer
    current_action().set(target_label="nobody's")
    assert [(event.action, event.target_label, event.outcome) for event in events if event.action != "row.read"] == [
        ("row.export", "1", "success"),
        ("row.export", "2", "success"),
        ("row.export", None, "unknown"),
        ("report.make", None, "success"),
    ]


def test_an_exception_reaches_the_generator(events, logger):
    """What is thrown into it may be caught there."""

    @audit_action(logger, "row.export")
    def rows():
        with suppress(KeyError):
            yield 1
        yield 2

    generator = rows()
    next(generator)
    assert generator.throw(KeyError()) == 2
    assert list(generator) == []
    events.one(outcome="success")


def test_an_action_has_one_block(events, logger):
    """Another one would have what the first was told: it is refused, with what to write."""
    action = audit_action(logger, "a.b")
    with action:
        pass
    with pytest.raises(RuntimeError, match=r"a\.b has had its block"), action:
        pass
    events.one()


def test_an_asynchronous_generator_is_refused(logger):
    """The error says what to write instead."""

    async def export():
        yield 1

    with pytest.raises(TypeError, match="inside it"):
        audit_action(logger, "list.export")(export)


def test_outside_of_any_action_there_is_one_of_no_effect(events):
    """Code that sets fields runs also where nobody audits it."""
    current_action().set(target_id=1)
    current_action().change({"a": 1}, {"a": 2})
    events.none()


def test_an_event_that_nobody_hears_is_told_with_its_line(logger, caplog):
    """The warning names the line of the action, as for a log call."""
    logger.setLevel("ERROR")
    logger.addHandler(AuditHandler(enabled=False))
    with audit_action(logger, "a.b"):
        line = inspect.currentframe().f_lineno - 1
    [warning] = warnings(caplog)
    assert f"{__file__}:{line}" in warning
    assert "has level ERROR" in warning


def test_it_is_the_events_formatter_that_cleans(events, logger):
    """What is no JSON is cleaned as for any log call."""
    with audit_action(logger, "a.b", metadata={"x": float("nan")}) as action:
        action.change({"a": 1}, {"a": 2})
        action.set(changes="none", action=None)
    events.one(action="unknown", x="NaN", _refused={"changes": "none"})
