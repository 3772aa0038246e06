"""Events as rows of the transaction that they tell of, on every kind of connection."""

import asyncio
import logging
from contextlib import closing, contextmanager, suppress
from uuid import uuid4

import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pglog_audit import AuditHandler, AuditLog, audit, audit_context, insert_event
from pglog_audit.errors import AuditError, ConfigurationError, SchemaError, TransactionError
from pglog_audit.testing import capture_audit
from tests.support import configure, warnings
from tests.their_connections import async_engine, atomic, connection_of_django, engine

INSERT = "INSERT INTO orders VALUES (1)"


@pytest.fixture
def orders(database):
    """Return the database with a table of the application's own beside the audit table."""
    database.execute("CREATE TABLE orders (number int)")
    database.execute("GRANT ALL ON orders TO PUBLIC")
    return database


@contextmanager
def by_psycopg(database):
    with psycopg.connect(database.writer) as connection:
        yield connection, connection.execute


@contextmanager
def by_psycopg_pipeline(database):
    with psycopg.connect(database.writer) as connection, connection.pipeline():
        yield connection, connection.execute


@contextmanager
def by_autocommit_in_a_block(database):
    with psycopg.connect(database.writer, autocommit=True) as connection, connection.transaction():
        yield connection, connection.execute


@contextmanager
def by_session(database):
    with engine(database) as made, Session(made) as session, session.begin():
        yield session, lambda statement: session.execute(sqlalchemy.text(statement))


@contextmanager
def by_scoped_session(database):
    with engine(database) as made:
        session = scoped_session(sessionmaker(made))
        try:
            with session.begin():
                yield session, lambda statement: session.execute(sqlalchemy.text(statement))
        finally:
            session.remove()


@contextmanager
def by_connection(database):
    with engine(database) as made, made.begin() as connection:
        yield connection, lambda statement: connection.execute(sqlalchemy.text(statement))


@contextmanager
def by_django(database):
    connection = connection_of_django(database)
    try:
        with atomic(connection):
            yield connection, lambda statement: connection.cursor().execute(statement)
    finally:
        connection.close()


KINDS = [
    by_psycopg,
    by_psycopg_pipeline,
    by_autocommit_in_a_block,
    by_session,
    by_scoped_session,
    by_connection,
    by_django,
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.removeprefix("by_"))


@kinds
def test_the_row_commits_with_the_action(orders, kind):
    """It has what the call and the context say, an id, and neither a writer nor a number."""
    target = uuid4()
    with audit_context(user_label="alice"), kind(orders) as (connection, execute):
        execute(INSERT)
        for _ in range(2):
            insert_event(connection, audit("order.place", target_id=target, metadata={"token": "x"}), "100 % placed")
        assert orders.rows() == []
    rows = orders.rows()
    assert len({row["id"] for row in rows}) == 2
    for row in rows:
        assert (row["action"], row["target_id"], row["message"]) == ("order.place", target, "100 % placed")
        assert (row["user_label"], row["metadata"], row["outcome"]) == ("alice", {"token": "***"}, "success")
        assert (row["writer_id"], row["writer_seq"]) == (None, None)
        assert 0 <= (row["recorded_at"] - row["occurred_at"]).total_seconds() < 60
    assert len(orders.rows("TABLE orders")) == 1


@kinds
def test_the_row_goes_with_the_action(orders, kind):
    """What rolls back leaves neither."""
    with suppress(KeyError), kind(orders) as (connection, execute):
        execute(INSERT)
        insert_event(connection, audit("order.place"))
        raise KeyError
    assert orders.rows() == orders.rows("TABLE orders") == []


def place_order(kind, database):
    with kind(database) as (connection, execute):
        execute(INSERT)
        insert_event(connection, audit("order.place"))


@kinds
def test_the_action_does_not_commit_without_its_row(orders, kind):
    """Where the server refuses the row it raises, and the transaction is over."""
    orders.execute("ALTER TABLE audit_log ADD CHECK (action <> 'order.place')")
    with pytest.raises(Exception, match="audit_log_action_check"):
        place_order(kind, orders)
    assert orders.rows() == orders.rows("TABLE orders") == []


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("is_session", [True, False], ids=["session", "connection"])
def test_sqlalchemy_for_asyncio(orders, driver, is_session):
    """The event is taken at the call, the row made when it is awaited; asyncpg's placeholders are others."""

    async def main():
        async with async_engine(orders, driver) as made:
            for fails in (False, True):
                opened = AsyncSession(made) if is_session else made.connect()
                async with opened as connection:
                    with audit_context(user_label="alice"):
                        inserting = insert_event(connection, audit("order.place", metadata={"by": ":x % 'y'"}))
                    await inserting
                    await insert_event(connection, audit("order.place"))
                    await (connection.rollback() if fails else connection.commit())

    asyncio.run(main())
    assert [(row["user_label"], row["metadata"]) for row in orders.rows()] == [
        ("alice", {"by": ":x % 'y'"}),
        (None, {}),
    ]


@pytest.mark.parametrize("pipelined", [False, True])
def test_psycopg_for_asyncio(orders, pipelined):
    """As with the synchronous one, in a pipeline too; a refused row takes all with it."""

    async def main():
        async with await psycopg.AsyncConnection.connect(orders.writer) as connection:
            if pipelined:
                async with connection.pipeline():
                    await insert_event(connection, audit("order.place"))
                    await insert_event(connection, audit("order.place"))
            else:
                await insert_event(connection, audit("order.place"))
                await insert_event(connection, audit("order.place"))
            await connection.commit()
            orders.execute("ALTER TABLE audit_log ADD CHECK (action <> 'order.lose')")
            await connection.execute(INSERT)
            with pytest.raises(psycopg.errors.CheckViolation):
                await insert_event(connection, audit("order.lose"))
            await connection.rollback()

    asyncio.run(main())
    assert [row["action"] for row in orders.rows()] == ["order.place"] * 2
    assert orders.rows("TABLE orders") == []


def test_a_pool_for_asyncio(orders):
    """The pool itself is refused; a connection of it does."""

    async def main():
        async with psycopg_pool.AsyncConnectionPool(orders.writer, min_size=1, open=False) as pool:
            with pytest.raises(TransactionError, match="AsyncConnectionPool: take a connection from it"):
                insert_event(pool, audit("order.place"))
            async with pool.connection() as connection:
                await insert_event(connection, audit("order.place"))

    asyncio.run(main())
    assert len(orders.rows()) == 1


def test_without_a_transaction_it_is_refused(orders):
    """A connection that commits each statement by itself would keep the row of an action that fails."""

    def check(connection, advice):
        with connection as refused, pytest.raises(TransactionError, match=advice):
            insert_event(refused, audit("order.place"))

    check(psycopg.connect(orders.writer, autocommit=True), r"write 'with connection\.transaction\(\):'")
    check(closing(connection_of_django(orders)), r"write 'with transaction\.atomic\(\):'")
    with engine(orders, isolation_level="AUTOCOMMIT") as made:
        check(made.connect(), "AUTOCOMMIT")

    async def main():
        async with await psycopg.AsyncConnection.connect(orders.writer, autocommit=True) as connection:
            await insert_event(connection, audit("order.place"))

    with pytest.raises(TransactionError, match="no transaction is open"):
        asyncio.run(main())
    assert orders.rows() == []


def test_what_is_no_connection_is_refused():
    """By name, and so is another database."""
    with pytest.raises(TransactionError, match=r"not a builtins\.int"):
        insert_event(1, audit("order.place"))
    made = sqlalchemy.create_engine("sqlite://")
    with made.connect() as connection, pytest.raises(TransactionError, match="a connection to sqlite"):
        insert_event(connection, audit("order.place"))
    with pytest.raises(TransactionError, match="Engine: take a connection from it"):
        insert_event(made, audit("order.place"))
    made.dispose()


def test_it_is_masked_and_placed_as_the_handler_says(orders):
    """Mask, service and columns are the handler's; so is a request id that its filters find."""
    orders.execute("ALTER TABLE audit_log RENAME COLUMN occurred_at TO created_at")
    options = {"mask": ["iban"], "service": "shop", "columns": {"occurred_at": "created_at"}}
    logger = configure(orders.writer, **options)

    def add_id(record):
        record.request_id = "req-17"
        return False

    logger.handlers[0].addFilter(add_id)
    logger.setLevel("CRITICAL")
    with psycopg.connect(orders.writer) as connection:
        insert_event(connection, audit("order.place", metadata={"iban": "DE02"}))
        insert_event(connection, audit("order.place"), logger=logger)
    first, second = orders.rows()
    assert (first["metadata"], first["service"], first["request_id"]) == ({"iban": "***"}, "shop", "req-17")
    assert second["created_at"] >= first["created_at"]


def test_which_handler_is_meant(orders):
    """Of handlers of several tables one must be named; a logger without any is an error."""
    configure(orders.writer)
    other = logging.getLogger("other")
    other.addHandler(AuditHandler(orders.writer, table="elsewhere"))
    with psycopg.connect(orders.writer) as connection:
        with pytest.raises(ConfigurationError, match="several tables"):
            insert_event(connection, audit("order.place"))
        with pytest.raises(ConfigurationError, match="'shop' leads to no audit handler"):
            insert_event(connection, audit("order.place"), logger="shop")
        with pytest.raises(SchemaError, match="there is no table elsewhere"):
            insert_event(connection, audit("order.place"), logger=logging.LoggerAdapter(other, {}))
        insert_event(connection, audit("order.place"), logger="audit")
        insert_event(connection, audit("order.place"), table="public.audit_log", logger="other")
    assert len(orders.rows()) == 2


def test_a_handler_that_is_off_inserts_nothing(orders):
    """Who switches the trail off means all of it, whatever is awaited."""
    configure(orders.writer, enabled=False)
    with psycopg.connect(orders.writer) as connection:
        insert_event(connection, audit("order.place"))

    async def main():
        async with await psycopg.AsyncConnection.connect(orders.writer) as connection:
            await insert_event(connection, audit("order.place"))

    asyncio.run(main())
    assert orders.rows() == []


def test_captured_it_inserts_nothing(orders):
    """Under a test the event is captured, as it would have been a row."""
    with capture_audit() as events, psycopg.connect(orders.writer) as connection:
        insert_event(connection, audit("order.place", target_id=uuid4()), "Placed")
    events.one(action="order.place", message="Placed")
    assert orders.rows() == []


@pytest.mark.parametrize(("given", "stored"), [(None, "Cleared"), ("Placed", "Placed")])
def test_the_message_of_the_context_is_for_an_event_without_one(orders, given, stored):
    """The sentence of the call wins."""
    with psycopg.connect(orders.writer) as connection, audit_context(message="Cleared"):
        insert_event(connection, audit("order.place"), given)
    assert [row["message"] for row in orders.rows()] == [stored]


def test_a_value_that_its_column_refuses_does_not_cost_the_action(orders, caplog):
    """It is looked at before it is sent: a refusal would end the transaction."""
    with psycopg.connect(orders.writer) as connection:
        connection.execute(INSERT)
        insert_event(connection, audit("order.place", user_id="me"))
    [row] = orders.rows()
    assert (row["user_id"], row["metadata"]) == (None, {"_refused": {"user_id": "me"}})
    assert "is stored in their metadata" in warnings(caplog)[0]
    assert len(orders.rows("TABLE orders")) == 1


def test_names_are_looked_up_again_under_another_search_path(orders):
    """A connection that goes from tenant to tenant writes each one's table; its own path is as it was."""
    for schema in ("one", "two"):
        orders.execute(f"CREATE SCHEMA {schema}")
        orders.execute(f"CREATE TABLE {schema}.audit_log (action text)")
        orders.execute(f"GRANT ALL ON SCHEMA {schema} TO PUBLIC")
        orders.execute(f"GRANT ALL ON {schema}.audit_log TO PUBLIC")
    with psycopg.connect(orders.writer) as connection:
        for schema in ("one", "two", "one"):
            connection.execute(f"SET LOCAL search_path = {schema}, public")
            insert_event(connection, audit(f"in.{schema}"))
            assert connection.execute("SHOW search_path").fetchone() == (f"{schema}, public",)
            connection.execute(INSERT)
    assert [row["action"] for row in orders.rows("TABLE one.audit_log")] == ["in.one", "in.one"]
    assert [row["action"] for row in orders.rows("TABLE two.audit_log")] == ["in.two"]


def test_a_table_that_changes_is_described_again(orders):
    """After a failure the next transaction knows the column that is there by then."""
    with psycopg.connect(orders.writer) as connection:
        insert_event(connection, audit("order.place"))
        connection.commit()
        orders.execute("ALTER TABLE audit_log DROP COLUMN user_label CASCADE")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            insert_event(connection, audit("order.place"))
        connection.rollback()
        insert_event(connection, audit("order.place", user_label="alice"))
    assert [row["metadata"] for row in orders.rows()] == [{}, {"user_label": "alice"}]


def test_a_row_that_a_trigger_keeps_out_is_an_error(orders):
    """Nothing is as bad as an action that commits without its row."""
    orders.execute("CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    orders.execute("CREATE TABLE quiet (action text)")
    orders.execute("GRANT INSERT ON quiet TO PUBLIC")
    orders.execute("CREATE TRIGGER quiet BEFORE INSERT ON quiet FOR EACH ROW EXECUTE FUNCTION keep_out()")
    with psycopg.connect(orders.writer) as connection, pytest.raises(AuditError, match="a trigger of its own"):
        insert_event(connection, audit("order.place"), table="quiet")


def test_a_role_that_may_not_insert_is_told_what_to_run(orders):
    """The error names the role and the command."""
    orders.execute("CREATE TABLE closed (action text)")
    with psycopg.connect(orders.writer) as connection, pytest.raises(SchemaError, match="--writer pglog_writer"):
        insert_event(connection, audit("order.place"), table="closed")


def test_no_gap_is_told_of_rows_without_a_writer(orders):
    """They count neither as a writer nor as missing."""
    with psycopg.connect(orders.writer) as connection:
        for _ in range(3):
            insert_event(connection, audit("order.place"))
    gaps = AuditLog(orders.owner).gaps()
    assert list(gaps) == []
    assert len(orders.rows()) == 3


@pytest.mark.parametrize("extra", [None, {}, {"a": 1}, audit("a.b")["audit"], "a.b", {"audit": None}])
def test_what_is_no_event_is_refused(database, extra):
    """The error says what to pass, and nothing is committed."""
    with (
        psycopg.connect(database.writer) as connection,
        pytest.raises(TypeError, match=r"insert_event takes what audit\(\) returns: pass audit\('entity\.verb'"),
    ):
        insert_event(connection, extra, "Placed")
    assert database.rows() == []


def test_what_is_no_logger_is_refused(database):
    """The error says what it may be, and nothing is committed."""
    with psycopg.connect(database.writer) as connection, pytest.raises(TypeError, match="insert_event takes a logging"):
        insert_event(connection, audit("order.place"), logger=5)
    assert database.rows() == []


def test_a_test_that_captures_sees_the_errors_of_production(database):
    """A connection of no kind, or without a transaction, is refused there as well, and no event is captured."""
    django = connection_of_django(database)
    with capture_audit() as events, engine(database) as made:
        core = made.connect().execution_options(isolation_level="AUTOCOMMIT")
        for connection in (5, made, psycopg.connect(database.writer, autocommit=True), core, django):
            with pytest.raises(TransactionError):
                insert_event(connection, audit("order.place"))
            if connection not in (5, made):
                connection.close()
        events.none()
        with Session(made) as session:
            insert_event(session, audit("order.place"))
        events.one()


def test_a_test_that_captures_sees_the_errors_of_asyncio(database):
    """What is awaited raises."""

    async def main():
        async with await psycopg.AsyncConnection.connect(database.writer, autocommit=True) as connection:
            with pytest.raises(TransactionError):
                await insert_event(connection, audit("order.place"))
        async with async_engine(database) as made, made.connect() as connection:
            core = await connection.execution_options(isolation_level="AUTOCOMMIT")
            with pytest.raises(TransactionError):
                await insert_event(core, audit("order.place"))
        async with async_engine(database) as made, AsyncSession(made) as session:
            await insert_event(session, audit("order.place"))

    with capture_audit() as events:
        asyncio.run(main())
    events.one()
