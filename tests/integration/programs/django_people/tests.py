"""Tests of the project, for its own test runner."""

import logging

from django.db import connection
from django.test import TestCase, TransactionTestCase

import pglog_audit
from pglog_audit import audit

logger = logging.getLogger("audit")


def sell(action: str) -> None:
    """Log an event, and look for its row."""
    assert connection.settings_dict["NAME"].startswith("test_")
    logger.info("Sold", extra=audit(action))
    assert pglog_audit.flush(30) == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_log WHERE action = %s", [action])
        assert cursor.fetchone() == (1,)
        cursor.execute("SELECT count(*) FROM audit_log WHERE action = 'site.load'")
        assert cursor.fetchone() == (0,)


class Selling(TestCase):
    """A test that is rolled back."""

    def test_an_event_is_a_row_of_the_test_database(self):
        """The row is there, and the database is the test's own."""
        sell("ticket.sell")


class Committing(TransactionTestCase):
    """A test after which Django empties the tables."""

    def test_the_log_is_not_emptied(self):
        """The guards against TRUNCATE stand in nobody's way."""
        sell("ticket.commit")


class Last(TestCase):
    """A test after which the database may be dropped at once."""

    def test_nobody_waits_for_the_event(self):
        """It is written, or the end of the run would tell that it is lost."""
        logger.info("Sold", extra=audit("ticket.last"))
