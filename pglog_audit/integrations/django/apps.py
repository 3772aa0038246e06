"""The application, as Django's registry knows it."""

from django.apps import AppConfig

from ...setup_commands import use_commands
from .databases import remember_databases


class AuditConfig(AppConfig):
    """The audit log: its migration, its model with an admin page, and the command ``pglog_audit``."""

    name = "pglog_audit.integrations.django"
    label = "pglog_audit"
    verbose_name = "Audit log"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Note which databases are the settings' own, before a test run puts others in their place."""
        remember_databases()
        use_commands(make="manage.py migrate pglog_audit", init="manage.py pglog_audit init")
