"""The application."""

import logging
import os

from django.apps import AppConfig

from pglog_audit import audit


class PeopleConfig(AppConfig):
    """Logs, if the environment says so, before a test run has begun."""

    name = "django_people"

    def ready(self) -> None:
        """Log an event."""
        if "EARLY" in os.environ:
            logging.getLogger("audit").info("Ready", extra=audit("site.load"))
