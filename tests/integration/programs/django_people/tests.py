"""Tests of the project, for its own test runner."""

import logging

from django.db import connection
from django.test import TestCase

import pglog_audit
from pglog_audit import audit


class Selling(TestCase):
    """What a test logs."""

    def test_an_event_is_a_row_of_the_test_database(self):
        """The row is there, and the database is the test's own."""
        assert connection.settings_dict["NAME"].startswith("test_")
        logging.getLogger("audit").info("Sold", extra=audit("ticket.sell"))
        assert pglog_audit.flush(30) == 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_log WHERE action = 'ticket.sell'")
            assert cursor.fetchone() == (1,)
