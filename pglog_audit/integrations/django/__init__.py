"""
Django 4.2 or newer: events that know their user and request, in the database of the settings, shown in the admin.

In ``INSTALLED_APPS`` it is ``"pglog_audit.integrations.django"``, first in ``MIDDLEWARE``
``"pglog_audit.integrations.django.AuditMiddleware"``, and in ``LOGGING``, as the class of a handler,
``"pglog_audit.integrations.django.AuditHandler"``.
"""

try:
    import django as django
except ImportError as error:
    raise ImportError("pglog_audit.integrations.django needs Django: pip install 'django>=4.2'") from error

from . import checks as checks  # also where the application is not installed
from .handler import AuditHandler as AuditHandler
from .middleware import AuditMiddleware as AuditMiddleware
