"""Events that are logged once their transaction has committed, and not at all if it has not."""

import asyncio
import inspect
import logging
from contextlib import suppress

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import pglog_audit
from pglog_audit import AuditHandler, audit, audit_context, audit_on_commit
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


def test_logging_that_fails_does_not_fail_the_commit(session, caplog):
    """The transaction has committed: a filter that raises is warned of."""
    logging.getLogger("shop").addFilter(lambda record: 1 / 0)
    with capture_audit("shop"):
        audit_on_commit(session, "shop", "Yes", extra=audit("a.b"))
        session.commit()
    assert "An event could not be logged after its commit: ZeroDivisionError" in warnings(caplog)
