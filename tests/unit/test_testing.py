"""What tests of applications ask: capture_audit(), and the plugin of pytest in runs of its own."""

import logging
import os
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from enum import Enum
from logging.handlers import QueueHandler
from queue import SimpleQueue
from uuid import uuid4

import pytest

from pglog_audit import (
    AuditFilter,
    AuditHandler,
    AuditQueueHandler,
    ConfigurationError,
    PostgresHandler,
    audit,
    audit_context,
    bind_audit_context,
    ddl,
    stats,
)
from pglog_audit.context import current_context
from pglog_audit.testing import capture_audit
from pglog_audit.testing.capturing import writing
from pglog_audit.testing.events import ID_TYPES
from tests.support import warnings, writer_threads

NOWHERE = "postgresql://app@127.0.0.1:1/app"


@pytest.fixture
def logger():
    """Return a logger that writes to a database that is away."""
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(AuditHandler(NOWHERE, mask=["iban"], service="shop"))
    return logger


def test_events_are_as_their_rows_would_have_been(logger):
    """Cleaned, masked and completed; ids may be asked for as UUIDs, and times are aware."""
    target, begun = uuid4(), datetime.now(UTC)
    metadata = {"iban": "DE02", "ratio": float("nan")}
    with capture_audit() as events, audit_context(user_label="alice"):
        logger.info("Paid", extra=audit("invoice.pay", target_id=target, metadata=metadata, seats=3))
    [event] = events
    assert (event.action, event.message, event.outcome, event.service) == ("invoice.pay", "Paid", "success", "shop")
    assert (event.user_label, event.extra) == ("alice", {"seats": 3})
    assert begun <= event.occurred_at <= datetime.now(UTC)
    assert events.one(target_id=target, iban="***", ratio="NaN", seats=3) is event


def test_ids_and_addresses_have_the_types_of_their_columns(logger):
    """What a uuid or inet column would refuse is in the metadata, as it would be; whatever spells a UUID is one."""
    known = uuid4()
    with capture_audit() as events:
        ids = {"user_id": "me", "target_id": 17, "event_id": known.hex, "tenant_id": known, "source_ip": "nohost"}
        logger.info("Paid", extra=audit("invoice.pay", **ids, metadata={"_refused": "mine"}))
    refused = {"_value": "mine", "user_id": "me", "target_id": 17, "source_ip": "nohost"}
    event = events.one(event_id=known, tenant_id=str(known), user_id=None, target_id=None, source_ip=None)
    assert (event.event_id, event.metadata) == (known, {"_refused": refused})
    assert "target_id is None, since its column refuses 17" in repr(events.has(target_id=17))


def test_id_columns_of_other_types(logger):
    """As init makes them; a value is that of a row."""
    types = {"user_id": "bigint", "target_id": "text", "tenant_id": "integer"}
    with capture_audit(id_types=types) as events:
        logger.info("Paid", extra=audit("invoice.pay", user_id="17", target_id=17, tenant_id=2**40))
    [event] = events
    assert (event.user_id, event.target_id, event.tenant_id) == (17, "17", None)
    assert event.metadata == {"_refused": {"tenant_id": 2**40}}
    assert ID_TYPES.keys() == ddl.ID_TYPES.keys()


@pytest.mark.parametrize("types", [{"user_id": "int"}, {"id": "bigint"}])
def test_id_columns_that_cannot_be(types):
    """The error lists what can."""
    with (
        pytest.raises(ConfigurationError, match="the types uuid, bigint, integer, text"),
        capture_audit(id_types=types),
    ):
        pass


def test_what_is_bound_ends_with_the_capture(logger):
    """As if it had been a request of its own; what was bound before remains."""
    with audit_context(user_label="alice"):
        with capture_audit() as events:
            bind_audit_context(service="door")
            logger.info("Paid", extra=audit("invoice.pay"))
        assert current_context() == {"user_label": "alice"}
    events.one(user_label="alice", service="door")


def test_nothing_is_written_meanwhile(logger):
    """No thread and no connection begin; what is logged afterwards is queued as ever."""
    with capture_audit() as events:
        logger.info("Paid", extra=audit("invoice.pay"))
        assert (len(events), writer_threads(), stats()["queued"]) == (1, 0, 0)
    logger.info("Paid", extra=audit("invoice.pay"))
    assert (len(events), writer_threads(), stats()["queued"]) == (1, 1, 1)
    with capture_audit() as events:
        logger.info("Paid", extra=audit("invoice.pay"))
    assert (len(events), stats()["queued"]) == (1, 1)


def test_all_who_capture_get_the_event(logger):
    """A block in another one takes nothing away; where writing is asked for nobody captures."""
    with capture_audit() as outer:
        with capture_audit() as inner:
            logger.info("Paid", extra=audit("invoice.pay"))
        with writing():
            logger.info("Paid", extra=audit("invoice.lose"))
        logger.info("Paid", extra=audit("invoice.settle"))
    assert [event.action for event in inner] == ["invoice.pay"]
    assert [event.action for event in outer] == ["invoice.pay", "invoice.settle"]
    assert stats()["queued"] == 1


def test_handlers_that_write_nothing_are_captured_too():
    """In a test that is what they usually are: without a database, or switched off."""
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(AuditHandler())
    logging.getLogger("audit.off").addHandler(AuditHandler(enabled=False))
    with capture_audit() as events:
        logging.getLogger("audit.off").info("Paid", extra=audit("invoice.pay"))
    assert len(events) == 2


@pytest.mark.parametrize("kind", ["queue", "postgres", "filter"])
def test_the_other_handlers(kind):
    """The pair, the handler alone, and the filter before a queue."""
    stock = QueueHandler(SimpleQueue())
    stock.addFilter(AuditFilter())
    handlers = {
        "queue": lambda: AuditQueueHandler(SimpleQueue()),
        "postgres": lambda: PostgresHandler(NOWHERE),
        "filter": lambda: stock,
    }
    handler = handlers[kind]()
    logger = logging.getLogger("audit")
    logger.setLevel("INFO")
    logger.addHandler(handler)
    with capture_audit() as events:
        logger.info("Paid", extra=audit("invoice.pay"))
    events.one(action="invoice.pay")
    assert kind == "postgres" or handler.queue.empty()


def test_filters_and_levels_decide_as_ever(logger):
    """What would have made no row is not captured."""
    logger.handlers[0].addFilter(lambda record: record.audit["action"] != "a.b")
    with capture_audit() as events:
        logger.info("Done", extra=audit("a.b"))
        logger.debug("Done", extra=audit("a.c"))
        logger.info("Done")
    events.none()


def test_a_logger_without_a_configuration(caplog):
    """Named, it is heard from INFO on, and afterwards as it was; where the application listens nobody hears twice."""
    logger = logging.getLogger("shop")
    with capture_audit("shop") as events:
        logger.info("Done", extra=audit("a.b"))
        logger.info("No event")
        assert warnings(caplog) == []
        logger.addHandler(AuditHandler())
        logger.info("Done", extra=audit("a.c"))
    assert [event.action for event in events] == ["a.b", "a.c"]
    assert (logger.level, len(logger.handlers)) == (logging.NOTSET, 1)


def test_threads_are_captured(logger):
    """As in an application that is served in the test's process."""
    with capture_audit() as events:
        thread = threading.Thread(target=logger.info, args=("Done",), kwargs={"extra": audit("a.b")})
        thread.start()
        thread.join()
    events.one()


class Color(Enum):
    RED = "red"


@pytest.fixture
def events(logger):
    """Return two events."""
    with capture_audit(id_types={"target_id": "bigint"}) as events:
        metadata = {"color": Color.RED, "size": [1, 2], "deep": {"a": 1, "b": 2}}
        logger.info("Paid", extra=audit("invoice.pay", user_label="alice", target_id=7, metadata=metadata))
        logger.error("Lost", extra=audit("invoice.lose", user_label="bob"))
    return events


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"action": "invoice.pay"},
        {"metadata": {"color": Color.RED}},
        {"color": "red", "size": (1, 2)},
        {"metadata": {"deep": {"a": 1}}},
        {"changes": None, "target_id": 7},
    ],
)
def test_what_an_event_has(events, fields):
    """Any field, and a key of the metadata; a mapping may have more than is asked for."""
    assert events.has(**fields)
    assert not events.has(**fields, outcome="unknown")
    assert events.matching(**fields)[0].action == "invoice.pay"


def test_what_no_event_has_names_the_nearest(events):
    """The answer says what of the nearest one differs."""
    answer = events.has(action="invoice.pay", outcome="denied", seats=3)
    assert not answer
    assert repr(answer) == (
        "no event has action='invoice.pay', outcome='denied', seats=3; of the nearest, invoice.pay, "
        "outcome is 'success', not 'denied' seats is not there, not 3"
    )


def test_one_that_is_none(events):
    """The error lists what there is."""
    with pytest.raises(AssertionError) as raised:
        events.one(action="invoice.lose", outcome="denied")
    assert str(raised.value).splitlines() == [
        "no event has action='invoice.lose', outcome='denied'; of the nearest, invoice.lose,",
        "  outcome is 'failure', not 'denied'",
        "",
        "2 events in all:",
        "  invoice.pay user_label='alice', target_id=7, "
        "metadata={'color': 'red', 'size': [1, 2], 'deep': {'a': 1, 'b': 2}}, "
        "outcome='success', message='Paid', service='shop'",
        "  invoice.lose user_label='bob', outcome='failure', message='Lost', service='shop'",
    ]


def test_one_that_is_two_and_none_that_is_one(events):
    """The errors list what was found."""
    with pytest.raises(AssertionError, match=r"2 events have service='shop', not one:\n  invoice\.pay .*\n  invoice"):
        events.one(service="shop")
    with pytest.raises(AssertionError, match=r"there is 1 event with user_label='bob':\n  invoice\.lose"):
        events.none(user_label="bob")
    with pytest.raises(AssertionError, match=r"there is 2 events altogether:\n"):
        events.none()
    events.none(user_label="carol")
    events.clear()
    events.none()
    assert "none was logged where an audit handler hears it" in repr(events.has())


@pytest.mark.parametrize("ask", ["matching", "has", "one", "none"])
def test_a_misspelt_field_is_refused(events, ask):
    """The answer would be no, whatever happened; any other name may be a key that no event has."""
    with pytest.raises(TypeError, match=r"no field outcme: is it outcome\? .* write metadata=\{'outcme': \.\.\.\}"):
        getattr(events, ask)(outcme="success")
    events.none(amount=3)
    events.none(metadata={"outcme": "success"})


@pytest.mark.parametrize("ask", ["matching", "has", "one", "none"])
@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("failed", r"'failed' \(is it failure\?\)"),
        ("Success", r"'Success' \(is it success\?\)"),
        ("ok", "'ok'"),
        (None, "None"),
    ],
)
def test_an_outcome_that_there_is_not_is_refused(events, ask, outcome, told):
    """No event would ever have it, and one that was logged with it is stored as unknown."""
    with pytest.raises(ValueError, match=f"^no event has the outcome {told}: the outcomes are success, failure, de"):
        getattr(events, ask)(outcome=outcome)


class Ending(Enum):
    GOOD = "success"


def test_an_outcome_may_be_an_enums(events):
    """As it may in the log call."""
    assert events.has(outcome=Ending.GOOD)


def test_a_name_that_an_event_has_is_no_mistake(logger):
    """Though it is near a field's, which the log call warned of."""
    with capture_audit() as events:
        logger.info("Paid", extra=audit("invoice.pay", actions=2))
    events.one(actions=2)


APP = """
import logging, logging.config, sys
import pytest
from pglog_audit import audit
def configure():
    logging.config.dictConfig({
        "version": 1,
        "handlers": {"audit": {"class": "pglog_audit.AuditHandler", "shutdown_timeout": 0.1}},
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
    })
def pay():
    logging.getLogger("audit").info("Paid", extra=audit("invoice.pay", outcome="success"))
"""


def run_pytest(tmp_path, tests, ini=""):
    """Run *tests* in a pytest of their own, and return what it printed."""
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = --strict-markers\n{ini}")
    (tmp_path / "test_app.py").write_text(APP + textwrap.dedent(tests))
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    environ = os.environ | {"PGLOG_AUDIT_CONNINFO": NOWHERE}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_the_plugin(tmp_path):
    """Each test has its own events, those of its fixtures too; nothing is written, unless a test is marked for it."""
    shown = run_pytest(
        tmp_path,
        """
        configure()
        pay()

        @pytest.fixture
        def paid():
            pay()

        def test_fixtures(paid, audit_events):
            assert audit_events.has(action="invoice.pay", outcome="success")

        def test_nothing_is_left(audit_events):
            audit_events.none()
            assert "psycopg" in sys.modules

        @pytest.mark.audit_writes
        def test_writes():
            import pglog_audit
            pay()
            assert pglog_audit.stats()["queued"] == 1

        def test_captured_again(audit_events):
            import pglog_audit
            pay()
            audit_events.one(action="invoice.pay")
            assert pglog_audit.stats()["queued"] == 1

        @pytest.mark.audit_writes
        def test_asked_in_vain(audit_events):
            pass

        def test_not_there(audit_events):
            pay()
            assert audit_events.has(outcome="denied")
        """,
    )
    assert "1 failed, 4 passed, 1 error" in shown, shown
    assert "nothing is captured where audit handlers write" in shown
    assert "assert no event has outcome='denied'; of the nearest, invoice.pay, outcome is 'success'" in shown
    assert "Captured audit events" in shown
    assert "invoice.pay outcome='success', message='Paid'" in shown


def test_the_plugin_lets_no_context_leak(tmp_path):
    """What a test or its fixtures bind ends with it."""
    shown = run_pytest(
        tmp_path,
        """
        from pglog_audit import bind_audit_context
        configure()

        @pytest.fixture
        def signed_in():
            bind_audit_context(user_label="alice")

        def test_bind(signed_in, audit_events):
            bind_audit_context(service="door")
            pay()
            audit_events.one(user_label="alice", service="door")

        def test_nothing_is_left(audit_events):
            pay()
            audit_events.one(user_label=None, service=None)
        """,
    )
    assert "2 passed" in shown, shown


def test_the_plugin_knows_id_types(tmp_path):
    """By its setting, else by what the Django integration would make; a wrong one ends the run with its reason."""
    test = """
        configure()

        def test_ids(audit_events):
            logging.getLogger("audit").info("Paid", extra=audit("invoice.pay", user_id=7))
            audit_events.one(user_id=7)
    """
    assert "1 failed" in run_pytest(tmp_path, test)
    assert "1 passed" in run_pytest(tmp_path, test, ini="audit_id_types = user_id=bigint\n")
    django = """
        from django.conf import settings
        settings.configure(INSTALLED_APPS=[
            "django.contrib.contenttypes", "django.contrib.auth", "pglog_audit.integrations.django"
        ])
        import django
        django.setup()
        import pglog_audit.integrations.django.audit_settings
    """
    assert "1 passed" in run_pytest(tmp_path, django + test)
    assert "id type 'int' for user_id" in run_pytest(tmp_path, test, ini="audit_id_types = user_id=int\n")


def test_the_plugin_hears_loggers_without_a_configuration(tmp_path):
    """Those of audit_loggers, also after a configuration that disables them."""
    shown = run_pytest(
        tmp_path,
        """
        def test_before(audit_events):
            pay()
            audit_events.one()

        def test_disable():
            logging.config.dictConfig({"version": 1})

        def test_after(audit_events):
            pay()
            audit_events.one()
        """,
        ini="audit_loggers = audit\n",
    )
    assert "3 passed" in shown, shown


def test_the_plugin_switched_off(tmp_path):
    """With audit_capture=false handlers write, and the fixture says why there is nothing to ask."""
    shown = run_pytest(
        tmp_path,
        """
        def test_write():
            import pglog_audit
            configure()
            pay()
            assert pglog_audit.stats()["queued"] == 1

        def test_ask(audit_events):
            pass
        """,
        ini="audit_capture = false\n",
    )
    assert "1 passed, 1 error" in shown, shown


def test_the_plugin_is_found_by_its_entry_point(tmp_path):
    """Who installs the package has it; it loads neither driver nor encoder, and takes no noticeable time."""
    shown = run_pytest(
        tmp_path,
        """
        def test_light():
            heavy = {"psycopg", "psycopg_pool", "orjson", "uuid_utils", "pglog_audit.handlers"}
            assert heavy.isdisjoint(sys.modules) and "pglog_audit.testing.pytest_plugin" in sys.modules
        """,
    )
    assert "1 passed" in shown, shown
