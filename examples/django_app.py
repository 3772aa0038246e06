"""
A Django project whose events carry user, request id and origin, with the log in the admin.

Needs PGLOG_AUDIT_CONNINFO, of the role that shall own Django's tables and this one, and ``pip install django``. Then::

    python django_app.py migrate
    gunicorn django_app:application
    curl -i -X POST -H 'X-User: alice' http://127.0.0.1:8000/tickets
    python django_app.py pglog_audit timeline
"""

import logging
import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from psycopg.conninfo import conninfo_to_dict

from pglog_audit import audit, bind_audit_context

database = conninfo_to_dict(os.environ["PGLOG_AUDIT_CONNINFO"])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database["dbname"],
            **{name: database.get(name.lower(), "") for name in ("USER", "PASSWORD", "HOST", "PORT")},
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "pglog_audit.integrations.django"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"audit": {"class": "pglog_audit.integrations.django.AuditHandler", "service": "tickets"}},
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
    },
    MIDDLEWARE=["pglog_audit.integrations.django.AuditMiddleware"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
logger = logging.getLogger("audit")


def sell_ticket(request: HttpRequest) -> JsonResponse:
    """Believe a header; yours has the session and its middleware, and need not bind anything."""
    if not (name := request.headers.get("X-User")):
        logger.warning("Not signed in", extra=audit("ticket.sell", outcome="denied"))
        return JsonResponse({"error": "sign in first"}, status=401)
    bind_audit_context(user_label=name)
    logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))
    return JsonResponse({"seats": 2}, status=201)


urlpatterns = [path("tickets", sell_ticket)]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    application = get_wsgi_application()
