"""A test whose database has no audit table."""

import logging

from django.test import TestCase

import pglog_audit
from pglog_audit import audit


class Untold(TestCase):
    """Leaves an event on disk."""

    def test_an_event_is_put_aside(self):
        """The end of the run would be too late to be sure."""
        logging.getLogger("audit").info("Sold", extra=audit("ticket.untold"))
        pglog_audit.flush(30)
        assert pglog_audit.stats()["spooled"] >= 1
