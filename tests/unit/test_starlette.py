"""The middleware around whole applications of FastAPI and Starlette."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pglog_audit.context import current_context
from pglog_audit.errors import ConfigurationError
from pglog_audit.integrations.asgi import AuditMiddleware
from pglog_audit.integrations.starlette import add_audit_middleware


def raise_error(_=None) -> None:
    """Raise what nobody handles."""
    raise LookupError("no such ticket")


def make(framework):
    """Return an application of *framework* whose page raises."""
    if framework is Starlette:
        return Starlette(routes=[Route("/", raise_error)])
    app = FastAPI()
    app.get("/")(lambda: raise_error())
    return app


def get(app, **headers: str) -> httpx.Response:
    """Ask for the page, as a client of a server."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            return await client.get("/", headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
def test_the_answer_to_an_unhandled_exception_has_the_request_id(framework) -> None:
    """So has what its handler sees, also if that is the application's own; and the application is its old self."""
    app = make(framework)
    seen = []

    def apologize(request, error):
        seen.append(current_context()["request_id"])
        return PlainTextResponse("sorry", 500)

    app.add_exception_handler(Exception, apologize)
    add_audit_middleware(app, header="X-Trail")
    reply = get(app, **{"X-Trail": "r-1"})
    assert (reply.status_code, reply.text, reply.headers["X-Trail"], seen) == (500, "sorry", "r-1", ["r-1"])
    assert type(app) is framework


def test_another_application_is_refused() -> None:
    """What is no object of Starlette's can stand in the middleware itself."""
    with pytest.raises(ConfigurationError, match=r"this is a AuditMiddleware: write\s+app = AuditMiddleware\(app\)"):
        add_audit_middleware(AuditMiddleware(FastAPI()))


def test_an_application_that_serves_is_refused() -> None:
    """Its middlewares are put together at the first request."""
    app = make(Starlette)
    get(app)
    with pytest.raises(ConfigurationError, match="serves requests already"):
        add_audit_middleware(app)


def test_a_wrong_option_is_refused_at_once() -> None:
    """The mistake shows where it is made, and not at the first request."""
    with pytest.raises(ConfigurationError, match="no HTTP header name"):
        add_audit_middleware(FastAPI(), header="X Request")
