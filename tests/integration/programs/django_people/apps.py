"""The application."""

import logging
import os

from django.apps import AppConfig

import pglog_audit
from pglog_audit import audit


class PeopleConfig(AppConfig):
    """Logs, if the environment says so, before a test run has begun."""

    name = "django_people"

    def ready(self) -> None:
        """Log an event, and give the writer the time to store it."""
        if "EARLY" in os.environ:
            logging.getLogger("audit").info("Ready", extra=audit("site.load"))
            pglog_audit.flush()
