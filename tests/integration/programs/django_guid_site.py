"""Ask a Django site with django-guid for the paths that the arguments name, and print the ids of the responses."""

import logging
import sys

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from pglog_audit import AuditHandler, audit

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["django_guid"],
    MIDDLEWARE=["django_guid.middleware.guid_middleware"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()
logger = logging.getLogger("audit")
logger.setLevel(logging.INFO)
logger.addHandler(AuditHandler())


def view(_: HttpRequest) -> HttpResponse:
    """Audit from a thread."""
    logger.info("Seen", extra=audit("page.view"))
    return HttpResponse()


async def async_view(_: HttpRequest) -> HttpResponse:
    """Audit from a coroutine."""
    logger.info("Seen", extra=audit("page.view"))
    return HttpResponse()


urlpatterns = [path("view", view), path("async-view", async_view)]

for asked in sys.argv[1:]:
    print(Client().get(asked).headers["Correlation-ID"])
