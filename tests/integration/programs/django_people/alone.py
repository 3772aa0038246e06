"""A test that uses no database, as the only one of a run."""

import logging

from django.test import SimpleTestCase

from pglog_audit import audit


class Alone(SimpleTestCase):
    """Logs all the same."""

    def test_an_event_is_no_row(self):
        """Nothing waits for a database that never comes."""
        logging.getLogger("audit").info("Sold", extra=audit("ticket.alone"))
