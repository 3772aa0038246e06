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
import time
from collections.abc import Iterator

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from psycopg.conninfo import conninfo_to_dict

from pglog_audit import audit, bind_audit_context

options = conninfo_to_dict(os.environ["PGLOG_AUDIT_CONNINFO"])
database = {"ENGINE": "django.db.backends.postgresql", "NAME": options.pop("dbname"), "OPTIONS": options}
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": database},
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


def tickets(request: HttpRequest) -> HttpResponseBase:
    if request.method == "GET":
        return StreamingHttpResponse(export_tickets())
    if not (name := request.headers.get("X-User")):  # yours has Django's own users, and need not bind anything
        logger.warning("Not signed in", extra=audit("ticket.sell", outcome="denied"))
        return JsonResponse({"error": "sign in first"}, status=401)
    bind_audit_context(user_label=name)
    logger.info("Ticket sold", extra=audit("ticket.sell", metadata={"seats": 2}))
    return JsonResponse({"seats": 2}, status=201)


def export_tickets() -> Iterator[str]:
    number = 0
    try:
        for number in range(1, 10_000):
            yield f"ticket {number}\n"
            time.sleep(0.01)
    finally:
        # Also where the client goes away before the end.
        logger.info("Tickets exported", extra=audit("ticket.export", metadata={"tickets": number}))


def refund_ticket(_: HttpRequest) -> HttpResponseBase:
    logger.info("Refund asked for", extra=audit("ticket.refund"))
    raise RuntimeError("the bank does not answer")


urlpatterns = [path("tickets", tickets), path("refunds", refund_ticket)]
application = get_wsgi_application()
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
