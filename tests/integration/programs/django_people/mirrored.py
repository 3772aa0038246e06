"""Tests whose handler writes by another alias of the same database, for several processes."""

import logging

from django.db import connection
from django.test import TestCase

import pglog_audit
from pglog_audit import audit


class First(TestCase):
    """Uses both aliases: Django gives a process a copy of the databases that its tests name."""

    databases = frozenset({"default", "audit"})

    def test_an_event_is_a_row_of_the_copy(self):
        """It is where the test looks."""
        action = f"ticket.{type(self).__name__.lower()}"
        logging.getLogger("audit").info("Sold", extra=audit(action))
        assert pglog_audit.flush(30) == 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_log WHERE action = %s", [action])
            assert cursor.fetchone() == (1,)


class Second(First):
    """The same in the other process."""
