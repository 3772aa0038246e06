"""The pages of the Django project."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth import get_user_model, login
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from pglog_audit import audit
from pglog_audit.integrations.django import AuditMiddleware

logger = logging.getLogger("audit")


class TenantMiddleware(AuditMiddleware):
    """Knows the tenant, too."""

    def user_fields(self, request):
        """Take the tenant from the host's name."""
        return {**super().user_fields(request), "tenant_id": UUID(int=len(request.get_host()))}


def seen(request):
    """Audit, unless asked not to, and leave it to the log call to find the user."""
    if "quiet" not in request.GET:
        logger.info("Seen", extra=audit("page.view"))
    return HttpResponse("seen")


async def seen_async(request):
    """Audit from a coroutine, which may have asked for the user."""
    if "ask" in request.GET:
        await (request.auser() if hasattr(request, "auser") else sync_to_async(bool)(request.user))  # Django 4.2
    return seen(request)


async def seen_in_threads(request):
    """Audit from threads that Django knows nothing of, and wait until none has a connection."""
    before = await sync_to_async(_count_sessions)()
    await asyncio.gather(*[asyncio.to_thread(seen, request) for _ in range(3)])
    left = before + 1
    for _ in range(100):
        if (left := await sync_to_async(_count_sessions)()) == before:
            break
        await asyncio.sleep(0.05)  # the server ends a session after its client
    return HttpResponse(left - before)


def _count_sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ''"
        )
        return cursor.fetchone()[0]


def enter(request):
    """Audit before and after somebody signs in."""
    logger.info("Asked", extra=audit("user.ask"))
    login(request, get_user_model().objects.get())
    logger.info("Entered", extra=audit("user.enter"))
    return HttpResponse("entered")


async def enter_async(request):
    """Do so from a coroutine, with the user of before known."""
    await request.auser()
    logger.info("Asked", extra=audit("user.ask"))
    await sync_to_async(login)(request, await get_user_model().objects.aget())
    logger.info("Entered", extra=audit("user.enter"))
    return HttpResponse("entered")


def fail(_):
    """Audit, and raise."""
    logger.info("Failed", extra=audit("page.fail"))
    raise LookupError("no such page")


def stream(_):
    """Audit from a response that is made piece by piece."""

    def pieces() -> Iterator[bytes]:
        try:
            yield b"a"
            logger.info("Seen", extra=audit("page.view"))
            yield b"b"
        finally:
            logger.info("Left", extra=audit("page.leave"))

    return StreamingHttpResponse(pieces())


async def stream_async(_):
    """Do so from a coroutine."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        logger.info("Seen", extra=audit("page.view"))
        yield b"b"

    return StreamingHttpResponse(pieces())


urlpatterns = [
    path("admin/", admin.site.urls),
    path("seen", seen),
    path("seen-async", seen_async),
    path("seen-in-threads", seen_in_threads),
    path("enter", enter),
    path("enter-async", enter_async),
    path("fail", fail),
    path("stream", stream),
    path("stream-async", stream_async),
]
