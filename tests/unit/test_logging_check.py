"""`check` and what it is made of: each fault of a logging configuration has its sentence."""

import logging
import sys
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue

import pytest
from psycopg_pool import ConnectionPool

from pglog_audit import (
    AuditFilter,
    AuditHandler,
    AuditQueueHandler,
    AuditQueueListener,
    ConfigurationError,
    PostgresHandler,
    check,
    diagnostics,
)
from pglog_audit.logging_check import inspect
from tests.support import config, configure, writer_threads

# Nobody listens there: whoever connected would fail.
CONNINFO = "postgresql://app@127.0.0.1:1/app"


@pytest.fixture
def logger():
    """Return a logger that is configured as the README shows it."""
    return configure(CONNINFO)


def found(logger, name, **options):
    """Return the findings of one check."""
    return [finding for finding in inspect(logger, **options) if finding.name == name]


def statuses(logger, **options):
    """Return how everything stands."""
    return {finding.status for finding in inspect(logger, **options)}


def add(logger, handler):
    """Let *logger* take INFO to *handler* alone."""
    logger = logging.getLogger(logger)
    logger.setLevel("INFO")
    logger.propagate = False
    logger.addHandler(handler)
    return logger


class TestFine:
    def test_the_configuration_of_the_readme(self, logger):
        """The one entry is in order, by name and by logger."""
        assert check("audit") == check(logger) == []
        assert statuses(logger) == {"ok"}

    def test_a_logger_below(self, logger):
        """A child's records go up to the handler."""
        assert check("audit.guests") == []

    def test_our_pair(self):
        """The standard pair of ours needs nobody who starts it."""
        queue = SimpleQueue()
        listener = AuditQueueListener(queue, PostgresHandler(CONNINFO))
        assert check(add("audit", AuditQueueHandler(queue))) == []
        assert listener.queue is queue

    def test_a_postgres_handler_alone(self):
        """It is in order, and told to make every call wait."""
        logger = add("audit", PostgresHandler(CONNINFO))
        assert check(logger) == []
        assert "Each call waits for the database" in found(logger, "handler")[0].advice

    def test_a_stock_pair_by_hand(self):
        """Behind a filter of ours; the listener is known where the handler tells it (Python 3.12)."""
        logger, handler, listener = stock_pair(AuditFilter())
        listener.start()
        assert check(logger) == []
        handler.listener = None
        [hidden] = found(logger, "handler")
        assert (hidden.status, hidden.text) == ("hidden", "QueueHandler of logger audit does not tell its listener")
        assert "start() is called" in hidden.advice
        listener.stop()

    def test_nothing_is_started(self, logger):
        """No thread, and no connection: nobody answers there."""
        check(logger)
        assert writer_threads() == 0

    def test_a_handler_that_a_later_dictconfig_closed(self, logger):
        """It takes records all the same, and so it is told and not blamed."""
        logger.handlers[0].close()
        assert check(logger) == []
        assert "It was closed" in found(logger, "handler")[0].advice


def stock_pair(*filters):
    """Return a logger with a stock pair, as dictConfig wires it from Python 3.12 on."""
    handler = QueueHandler(SimpleQueue())
    handler.filters += filters
    handler.listener = QueueListener(handler.queue, PostgresHandler(CONNINFO), respect_handler_level=True)
    return add("audit", handler), handler, handler.listener


class TestLevel:
    def test_a_level_that_stops_info(self, logger):
        """The sentence says what to do."""
        logger.setLevel("WARNING")
        assert check(logger) == [
            "Level WARNING of logger audit decides for audit. Audit events are logged at INFO: set the level of audit "
            "to INFO."
        ]

    def test_the_level_of_root_decides(self, logger):
        """Without a level of its own the next one above counts, though nothing propagates."""
        logger.setLevel("NOTSET")
        logging.getLogger().setLevel("ERROR")
        assert check(logger)[0].startswith("Level ERROR of logger root decides for audit")

    def test_a_disabled_logger(self, logger):
        """What another dictConfig does to loggers that it does not name."""
        logger.disabled = True
        [sentence] = check(logger)
        assert sentence.startswith("Logger audit is disabled. ")
        assert '"disable_existing_loggers": False' in sentence

    def test_logging_disabled_altogether(self, logger):
        """A test suite may have left logging.disable behind."""
        logging.disable(logging.INFO)
        assert check(logger) == [
            "The call logging.disable(INFO) drops records of level INFO of all loggers. Call "
            "logging.disable(logging.NOTSET) where the application starts."
        ]


class TestWay:
    def test_no_handler_at_all(self):
        """A logger that leads nowhere makes no row."""
        add("audit", logging.StreamHandler())
        [sentence] = check("audit")
        assert sentence.startswith("Logger audit leads to no handler of pglog_audit. No row is made: give audit the")

    def test_a_misspelt_logger_is_told_the_right_one(self, logger):
        """The sentence names the loggers that have a handler."""
        logging.getLogger("audits").setLevel("INFO")
        assert "it is on audit; log there" in check("audits")[0]

    def test_a_logger_that_does_not_propagate(self, logger):
        """The sentence names the logger that holds the records back, and what lies beyond."""
        logging.getLogger("audit.guests").propagate = False
        [sentence] = check("audit.guests.vip")
        assert "propagate of audit.guests is False, and AuditHandler audit of logger audit lies beyond" in sentence

    def test_an_event_that_is_written_twice(self, logger):
        """Two handlers of one table on the way up make two rows."""
        logging.getLogger("audit.guests").addHandler(AuditHandler(CONNINFO))
        assert check("audit.guests") == [
            "Each event of logger audit.guests makes two rows: by AuditHandler of logger audit.guests and by "
            "AuditHandler audit of logger audit. Remove one of them, or set propagate of audit.guests to False."
        ]
        assert check(logger) == []

    def test_an_event_that_one_logger_writes_twice(self, logger):
        """Where both handlers are on one logger, to stop its records there would not help."""
        logger.addHandler(AuditHandler(CONNINFO))
        [sentence] = check(logger)
        assert sentence.endswith("and by AuditHandler of logger audit. Remove one of them.")

    def test_an_event_that_two_loggers_above_write(self, logger):
        """To stop the records below the first of them would leave no row."""
        logging.getLogger("audit.guests").addHandler(AuditHandler(CONNINFO))
        [sentence] = check("audit.guests.vip")
        assert sentence.endswith("Remove one of them, or set propagate of audit.guests to False.")

    def test_two_tables_are_no_repetition(self, logger):
        """A second handler may write elsewhere."""
        logger.addHandler(AuditHandler(CONNINFO, table="other"))
        assert check(logger) == []

    def test_events_that_go_elsewhere_too_are_told(self, logger):
        """An event on the console as well is no fault."""
        logger.addHandler(logging.StreamHandler())
        assert check(logger) == []
        [other] = found(logger, "propagation")
        assert other.text == "the events of audit also go to StreamHandler of logger audit"
        assert other.advice is None

    def test_events_that_go_further_up_can_be_stopped(self, logger):
        """The logger that has our handler is the one to stop them."""
        logging.getLogger("audit.guests").addHandler(AuditHandler(CONNINFO, table="guests"))
        logger.removeHandler(logger.handlers[0])
        logger.addHandler(logging.StreamHandler())
        [other] = found("audit.guests.vip", "propagation")
        assert other.advice == "If they shall not, set propagate of audit.guests to False."

    def test_filters_of_others_are_told(self, logger):
        """What a filter lets pass cannot be known from here."""
        logger.addFilter(lambda _record: False)
        logger.handlers[0].addFilter(logging.Filter("audit"))
        assert check(logger) == []
        assert [found(logger, name)[0].status for name in ("filters", "handler")] == ["hidden", "hidden"]


class TestHandler:
    def test_a_level_that_stops_info(self, logger):
        """The handler has a level of its own."""
        logger.handlers[0].setLevel("ERROR")
        assert check(logger)[0].startswith("Handler AuditHandler audit of logger audit has level ERROR. ")

    def test_no_database_is_named(self):
        """Without conninfo the handler writes nothing."""
        [sentence] = check(add("audit", AuditHandler()))
        assert sentence.startswith("Handler AuditHandler of logger audit writes nothing: no database is named. Give ")

    def test_not_enabled(self):
        """An option turns the handler off."""
        [sentence] = check(add("audit", AuditHandler(CONNINFO, enabled=False)))
        assert "writes nothing: enabled=False" in sentence

    def test_disabled_by_the_environment(self, monkeypatch):
        """The variable turns every handler off, one with a pool too."""
        monkeypatch.setenv("PGLOG_AUDIT_DISABLED", "1")
        logger = add("audit", AuditHandler(pool=ConnectionPool(CONNINFO, open=False)))
        assert "writes nothing: PGLOG_AUDIT_DISABLED=1" in check(logger)[0]

    def test_a_queue_without_listener(self):
        """Our queue handler alone fills a queue that nobody empties."""
        [sentence] = check(add("audit", AuditQueueHandler(SimpleQueue())))
        assert sentence.startswith("Handler AuditQueueHandler of logger audit has no listener")


class TestStockPair:
    def test_a_listener_that_was_never_started(self):
        """Nobody starts a stock listener."""
        [sentence] = check(stock_pair(AuditFilter())[0])
        assert sentence.startswith("The listener of QueueHandler of logger audit does not run. ")

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_listener_whose_thread_has_died(self):
        """An exception of a handler ends a stock listener for good, in silence."""
        logger, handler, listener = stock_pair(AuditFilter())
        listener.handle = None  # which no record survives
        listener.start()
        handler.queue.put(logging.makeLogRecord({}))
        listener._thread.join()
        assert "does not run" in check(logger)[0]

    def test_a_listener_that_is_started_later(self):
        """Where only the configuration is looked at, the start is not visible."""
        assert statuses(stock_pair(AuditFilter())[0], is_running=False) == {"ok", "hidden"}

    def test_no_filter_of_ours(self):
        """Behind the queue the context of the log call is gone."""
        logger, _, listener = stock_pair()
        listener.start()
        [sentence] = check(logger)
        assert sentence.startswith("Handler QueueHandler of logger audit has no AuditFilter")
        logger.addFilter(AuditFilter())
        assert check(logger) == []
        listener.stop()

    def test_a_level_behind_the_queue(self):
        """With respect_handler_level the level of the last handler counts too."""
        logger, _, listener = stock_pair(AuditFilter())
        listener.start()
        listener.handlers[0].setLevel("ERROR")
        assert check(logger)[0].startswith("Handler QueueHandler of logger audit has level ERROR")
        listener.stop()

    def test_a_queue_of_the_applications_own(self, logger):
        """A stock queue that leads to a file is one of the others."""
        logger.addHandler(QueueHandler(SimpleQueue()))
        assert check(logger) == []
        assert "QueueHandler of logger audit" in found(logger, "propagation")[0].text


class TestWarnings:
    @pytest.fixture(autouse=True)
    def alone(self):
        """Keep the warnings from other handlers."""
        own = logging.getLogger("pglog_audit")
        own.propagate = False
        return own

    def test_without_any_handler_they_go_to_stderr(self, logger):
        """As logging's last resort does it."""
        assert found(logger, "warnings")[0].text == "those of logger pglog_audit go to stderr"

    def test_somebody_hears_them(self, logger, alone):
        """A handler at level WARNING or below is named."""
        alone.addHandler(logging.StreamHandler())
        assert found(logger, "warnings")[0].text.endswith("reach StreamHandler of logger pglog_audit")

    @pytest.mark.parametrize("of", ["pglog_audit", "root"])
    def test_a_handler_of_ours_alone_hands_them_on(self, alone, of, capsys):
        """Where root has the audit handler and nobody another, they go to stderr, as check says."""
        alone.propagate = True
        logging.getLogger().setLevel("INFO")
        logging.getLogger(None if of == "root" else of).addHandler(AuditHandler(CONNINFO))
        assert found("audit", "warnings")[0].text == "those of logger pglog_audit go to stderr"
        diagnostics.warn("test", "An event was lost")
        assert capsys.readouterr().err == "An event was lost\n"

    def test_a_handler_of_ours_beside_a_deaf_one(self, logger, alone):
        """Where another handler might show them, nothing is handed on."""
        alone.addHandler(AuditHandler(CONNINFO))
        alone.addHandler(logging.NullHandler())
        assert "reach no handler" in check(logger)[0]

    @pytest.mark.parametrize("kind", [lambda: AuditHandler(CONNINFO), logging.StreamHandler])
    def test_a_level_is_too_high(self, logger, alone, kind):
        """What no handler is given, none hands on."""
        handler = kind()
        handler.setLevel("ERROR")
        alone.addHandler(handler)
        assert "reach no handler" in check(logger)[0]

    def test_nobody_hears_them(self, logger, alone):
        """One that drops everything shows nothing."""
        alone.addHandler(logging.NullHandler())
        [sentence] = check(logger)
        assert sentence.startswith("The warnings of logger pglog_audit reach no handler that shows them. Lost events")

    def test_a_queue_for_audit_records_hands_them_on(self, logger, alone, capsys):
        """Our filter lets no warning pass, and gives it to stderr where nobody else hears it."""
        handler = QueueHandler(SimpleQueue())
        handler.addFilter(AuditFilter())
        alone.addHandler(handler)
        assert found(logger, "warnings")[0].text == "those of logger pglog_audit go to stderr"
        diagnostics.warn("test", "An event was lost")
        assert capsys.readouterr().err == "An event was lost\n"

    def test_a_level_that_drops_them(self, logger, alone):
        """The logger's own level counts first."""
        alone.setLevel("ERROR")
        assert check(logger)[0].startswith("The level of logger pglog_audit drops its warnings")


class Contextual(logging.LoggerAdapter):
    """An adapter of an application's own, which keeps what the caller gives."""

    def process(self, msg, kwargs):
        """Add to the extra."""
        return msg, {**kwargs, "extra": {**self.extra, **kwargs["extra"]}}


class Demanding(logging.LoggerAdapter):
    """An adapter that needs an argument of its own in each call."""

    def process(self, msg, kwargs):
        """Take the argument."""
        return f"{kwargs.pop('tenant')}: {msg}", kwargs


class TestAdapter:
    def test_one_that_replaces_extra(self, logger):
        """The stock adapter throws the event away."""
        [sentence] = check(logging.LoggerAdapter(logger, {"request": 1}))
        assert sentence.startswith("Adapter LoggerAdapter of logger audit replaces extra: audit(...) never arrives. ")

    def test_one_that_keeps_it(self, logger):
        """What counts is what the adapter does, not its class."""
        assert check(Contextual(logger, {"request": 1})) == []
        assert len(check(Contextual(logging.LoggerAdapter(logger, {}), {}))) == 1

    def test_one_that_wants_more(self, logger):
        """An adapter that fails here may well work where it is used."""
        assert check(Demanding(logger, {})) == []

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="merge_extra came with Python 3.13")
    def test_one_that_merges_it(self, logger):
        """From Python 3.13 on the stock one can."""
        assert check(logging.LoggerAdapter(logger, {"request": 1}, merge_extra=True)) == []


def test_what_is_no_logger_is_refused():
    """The error says what was given and what is taken."""
    with pytest.raises(ConfigurationError, match="logger is a int: give a logging"):
        check(7)


def test_the_tests_configuration_is_that_of_the_readme():
    """What the tests call fine is what users copy."""
    assert config(CONNINFO)["loggers"] == {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}}
