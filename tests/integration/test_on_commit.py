"""Events that are logged once their transaction has committed, and not at all if it has not."""

import asyncio
import dataclasses
import inspect
import logging
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import pglog_audit
from pglog_audit import AuditHandler, audit, audit_context, audit_on_commit, bind_audit_context
from pglog_audit.context import bind_late_context, request_context
from pglog_audit.errors import TransactionError
from pglog_audit.testing import capture_audit
from tests.support import LATEST, configure, warnings
from tests.their_connections import async_engine, atomic, connection_of_django, engine


@pytest.fixture
def logger(database):
    """Return a logger whose events become rows."""
    return configure(database.writer)


@pytest.fixture
def session(database):
    """Return a Session of SQLAlchemy."""
    with engine(database) as made, Session(made) as session:
        yield session


@pytest.fixture
def connection(database):
    """Return a connection of Django."""
    connection = connection_of_django(database)
    yield connection
    connection.close()


def actions(database):
    """Return what was done, by the rows."""
    assert pglog_audit.flush(LATEST) == 0
    return [row["action"] for row in database.rows()]


def test_a_session_that_commits(database, logger, session):
    """The event is that of the call: fields, sentence, context and time."""
    metadata = {"n": 1}
    with session.begin(), audit_context(user_label="alice"):
        audit_on_commit(session, logger, "Order %d", 7, extra=audit("order.place", metadata=metadata))
        metadata["n"] = 2
        (called,) = session.execute(sqlalchemy.text("SELECT clock_timestamp()")).one()
        session.execute(sqlalchemy.text("SELECT pg_sleep(0.05)"))
        assert actions(database) == []
    assert actions(database) == ["order.place"]
    [row] = database.rows()
    assert (row["message"], row["user_label"], row["metadata"]) == ("Order 7", "alice", {"n": 1})
    assert row["occurred_at"] <= called


def test_a_session_that_rolls_back(database, logger, session, caplog):
    """Nothing is logged, then or with the next transaction; and nothing is warned of."""
    audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
    session.rollback()
    audit_on_commit(session, logger, "Placed", extra=audit("order.place"))
    session.commit()
    session.commit()
    assert actions(database) == ["order.place"]
    assert warnings(caplog) == []


def test_a_session_that_is_closed(database, logger, session):
    """What was not committed did not happen."""
    audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
    session.close()
    session.commit()
    assert actions(database) == []


def test_savepoints_of_a_session(database, logger, session):
    """One that is rolled back takes its events along, those of savepoints in it too; the others wait for the end."""
    with session.begin():
        audit_on_commit(session, logger, "Placed", extra=audit("order.one"))
        with suppress(KeyError), session.begin_nested():
            audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
            with session.begin_nested():
                audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
            raise KeyError
        with session.begin_nested():
            with session.begin_nested():
                audit_on_commit(session, logger, "Placed", extra=audit("order.two"))
            audit_on_commit(session, logger, "Placed", extra=audit("order.three"))
        assert actions(database) == []
    assert actions(database) == ["order.one", "order.two", "order.three"]


def test_a_commit_that_fails(database, logger, session):
    """A constraint that is deferred to the commit undoes all of it."""
    database.execute("CREATE TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    database.execute("GRANT ALL ON once TO PUBLIC")
    session.execute(sqlalchemy.text("INSERT INTO once VALUES (1), (1)"))
    audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        session.commit()
    session.rollback()
    assert actions(database) == []


def test_other_sessions_of_sqlalchemy(database, logger):
    """A scoped one, and one for asyncio, where the call needs no await."""
    with engine(database) as made:
        scoped = scoped_session(sessionmaker(made))
        audit_on_commit(scoped, logger, "Placed", extra=audit("order.one"))
        scoped.commit()
        scoped.remove()

    async def main():
        async with async_engine(database) as made, AsyncSession(made) as session:
            audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
            await session.rollback()
            async with session.begin():
                audit_on_commit(session, logger, "Placed", extra=audit("order.two"))
            scoped = async_scoped_session(async_sessionmaker(made), asyncio.current_task)
            audit_on_commit(scoped, logger, "Placed", extra=audit("order.three"))
            await scoped.commit()
            await scoped.remove()

    asyncio.run(main())
    assert actions(database) == ["order.one", "order.two", "order.three"]


def test_django(database, logger, connection):
    """Transactions and savepoints decide, as for transaction.on_commit."""
    with atomic(connection):
        audit_on_commit(connection, logger, "Placed", extra=audit("order.one"))
        with suppress(KeyError), atomic(connection):
            audit_on_commit(connection, logger, "Placed", extra=audit("order.lose"))
            raise KeyError
        with atomic(connection):
            audit_on_commit(connection, logger, "Placed", extra=audit("order.two"))
        assert actions(database) == []
    assert actions(database) == ["order.one", "order.two"]
    with suppress(KeyError), atomic(connection):
        audit_on_commit(connection, logger, "Placed", extra=audit("order.lose"))
        raise KeyError
    audit_on_commit(connection, logger, "Placed", extra=audit("order.three"))
    assert actions(database) == ["order.one", "order.two", "order.three"]


@pytest.mark.parametrize(("robust", "left"), [(False, []), (True, ["order.place"])])
def test_what_django_runs_before(database, logger, connection, robust, left):
    """An earlier function that raises costs the event of what has committed, as README.md says, unless it is robust."""
    with suppress(ZeroDivisionError), atomic(connection):
        connection.on_commit(lambda: 1 / 0, robust=robust)
        audit_on_commit(connection, logger, "Placed", extra=audit("order.place"))
    assert actions(database) == left


def test_what_tells_nobody_of_its_commit_is_refused(database, logger):
    """A connection of psycopg, and one of SQLAlchemy's core: the error says what to do instead."""
    with engine(database) as made, made.connect() as core, psycopg.connect(database.writer) as connection:
        with pytest.raises(TransactionError, match="log after the block of the transaction"):
            audit_on_commit(connection, logger, "Placed", extra=audit("order.place"))
        with pytest.raises(TransactionError, match=r"sqlalchemy\.engine\.base\.Connection tells nobody"):
            audit_on_commit(core, logger, "Placed", extra=audit("order.place"))


def test_handlers_with_masks_of_their_own(database, logger, session):
    """Each handler masks by its own names what was taken at the call."""
    other = AuditHandler(database.writer, mask=["iban"], batch_size=7)
    logger.addHandler(other)
    with session.begin():
        audit_on_commit(session, logger, "Paid", extra=audit("invoice.pay", metadata={"iban": "DE02"}))
    assert other.flush(30) == logger.handlers[0].flush(30) == 0
    assert sorted(row["metadata"]["iban"] for row in database.rows()) == ["***", "DE02"]


def test_levels_filters_and_place(session):
    """The level counts at the call, the filters at the commit; other handlers see the caller's line."""
    seen = []
    logger = logging.getLogger("shop")
    logger.addFilter(lambda record: seen.append((record.pathname, record.lineno)) or "no" not in record.msg)
    with capture_audit("shop") as events:
        audit_on_commit(session, "shop", "Yes", extra=audit("a.b"))
        line = inspect.currentframe().f_lineno - 1
        audit_on_commit(session, "shop", "no", extra=audit("a.c"))
        audit_on_commit(session, "shop", "No", extra=audit("a.d"), level=logging.DEBUG)
        assert seen == []
        session.commit()
    assert [event.action for event in events] == ["a.b"]
    assert seen[0] == (__file__, line)
    assert len(seen) == 2


def test_filters_see_the_record_after_the_commit(database, logger, session):
    """What those of logger and handler make of event and sentence is stored, and the record has what extra holds."""

    def complete(record):
        record.audit = {**record.audit, "tenant_id": record.tenant}
        return True

    def shorten(record):
        record.msg = record.msg.replace("Order", "No.")
        record.audit["metadata"]["n"] += 1
        return True

    tenant = uuid4()
    logger.addFilter(complete)
    logger.handlers[0].addFilter(shorten)
    extra = {**audit("order.place", metadata={"n": 1}), "request_id": "R1", "tenant": tenant}
    with session.begin():
        audit_on_commit(session, logger, "Order %d", 7, extra=extra)
    assert actions(database) == ["order.place"]
    [row] = database.rows()
    assert (row["tenant_id"], row["request_id"], row["message"]) == (tenant, "R1", "No. 7")
    assert row["metadata"] == {"n": 2}


@dataclasses.dataclass
class Order:
    number: int


def test_the_event_is_that_of_the_call(database, logger, session):
    """Whatever becomes of values, arguments, request and look-ups until the commit."""
    order, tags, users = Order(1), [["x"]], iter(["alice", "bob"])
    own = {"user_agent": "curl"}
    with session.begin(), request_context(request_id="R1"):
        bind_late_context(lambda: {"user_label": next(users)})
        extra = audit("order.place", metadata={"order": order, "tags": tags}, **own)
        audit_on_commit(session, logger, "Placed %s", order, extra=extra)
        order.number = 2
        tags[0].append("y")
        extra["audit"]["user_agent"] = "wget"
        bind_audit_context(tenant_id=uuid4())
    assert actions(database) == ["order.place"]
    [row] = database.rows()
    assert (row["message"], row["metadata"]) == ("Placed Order(number=1)", {"order": {"number": 1}, "tags": [["x"]]})
    assert (row["request_id"], row["user_label"], row["user_agent"]) == ("R1", "alice", "curl")
    assert row["tenant_id"] is None


def test_bytes_are_those_of_any_log_call(database, logger, session):
    """Text in them is masked, and the row says where there was none."""
    with session.begin():
        metadata = {"body": b"password=hunter2", "picture": bytearray(b"a\xffb")}
        audit_on_commit(session, logger, "Placed", extra=audit("order.place", metadata=metadata))
    assert actions(database) == ["order.place"]
    [row] = database.rows()
    assert row["metadata"] == {"body": "password=***", "picture": "Yf9i", "_cleaned": ["metadata: bytes as base64"]}


def test_values_that_cannot_be_copied_harm_nobody(database, logger, session, caplog):
    """A list that holds itself is cut, as with any log call."""
    cycle = []
    cycle.append(cycle)
    with session.begin():
        audit_on_commit(session, logger, "Placed", extra=audit("order.place", metadata={"cycle": cycle}))
    assert actions(database) == ["order.place"]
    assert any("could not be copied: RecursionError" in text for text in warnings(caplog))


@pytest.mark.parametrize("extra", [None, {}, {"a": 1}, audit("a.b")["audit"], "a.b", {"audit": 5}])
def test_what_is_no_event_is_refused(session, extra):
    """The error says what to pass."""
    with pytest.raises(TypeError, match=r"audit_on_commit takes what audit\(\) returns: pass audit\('entity\.verb'"):
        audit_on_commit(session, "shop", "Placed", extra=extra)


def test_a_logger_in_the_place_of_the_message_is_refused(session, logger):
    """The error says which two to swap."""
    with pytest.raises(TypeError, match="audit_on_commit takes the logger before 'Placed': swap the two"):
        audit_on_commit(session, "Placed", logger, extra=audit("order.place"))


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only", "create_savepoint"])
def test_a_session_inside_of_another_transaction(database, logger, mode, has_begun):
    """Its commit says nothing of what is around it: refused, and captured in a test, where nothing ever commits."""
    with engine(database) as made, made.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode=mode) as session:
            if has_begun:
                session.execute(sqlalchemy.text("SELECT 1"))
            with pytest.raises(TransactionError, match="inside the transaction of its Connection"):
                audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
            with capture_audit() as events:
                audit_on_commit(session, logger, "Placed", extra=audit("order.place"))
                session.commit()
            events.one()
        transaction.rollback()
    assert actions(database) == []


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_session_that_commits_its_connection(database, logger, has_begun):
    """One whose transaction it is, and one that controls it fully."""
    with engine(database) as made, made.connect() as connection:
        with Session(connection) as session:
            if has_begun:
                session.execute(sqlalchemy.text("SELECT 1"))
            audit_on_commit(session, logger, "Placed", extra=audit("order.one"))
            session.commit()
        connection.begin()
        with Session(connection, join_transaction_mode="control_fully") as session:
            audit_on_commit(session, logger, "Placed", extra=audit("order.two"))
            session.commit()
    assert actions(database) == ["order.one", "order.two"]


def test_sessions_that_share_their_info(database, logger, session):
    """Each has its own events, though one was made with the info of the other."""
    audit_on_commit(session, logger, "Placed", extra=audit("order.lose"))
    with Session(session.bind, info=session.info) as other:
        audit_on_commit(other, logger, "Placed", extra=audit("order.place"))
        other.commit()
    session.rollback()
    assert actions(database) == ["order.place"]


def test_logging_that_fails_does_not_fail_the_commit(session, caplog):
    """The transaction has committed: a filter that raises is warned of."""
    logging.getLogger("shop").addFilter(lambda record: 1 / 0)
    with capture_audit("shop"):
        audit_on_commit(session, "shop", "Yes", extra=audit("a.b"))
        session.commit()
    assert "An event could not be logged after its commit: ZeroDivisionError" in warnings(caplog)
