"""The extension of Flask, in real applications."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, request, stream_with_context

from pglog_audit import bind_audit_context
from pglog_audit.context import current_context
from pglog_audit.errors import ConfigurationError
from pglog_audit.integrations.flask import AuditTrail
from pglog_audit.integrations.wsgi import AuditMiddleware


@pytest.fixture
def trail() -> AuditTrail:
    """Return an extension without an application, as a factory of applications has one."""
    return AuditTrail(header="X-Trail")


@pytest.fixture
def app(trail: AuditTrail) -> Flask:
    """Return an application that answers with the fields in force."""
    app = Flask("tickets")
    trail.init_app(app)
    app.get("/")(lambda: dict(current_context()))
    app.get("/quiet")(dict)
    return app


def seen(app: Flask, path: str = "/", **headers: str) -> dict[str, Any]:
    """Return the fields that a view sees, but for the client's program."""
    return {
        name: value for name, value in app.test_client().get(path, headers=headers).json.items() if name != "user_agent"
    }


def test_an_event_has_user_and_origin(app, trail) -> None:
    """The function is asked inside the request that logs, and by no other."""
    asked = []

    @trail.user_fields
    def user_fields() -> dict[str, Any]:
        asked.append(request.path)
        return {"user_label": request.headers.get("X-User")}

    assert seen(app, "/quiet") == {}
    fields = seen(app, **{"X-User": "alice", "X-Trail": "r-1"})
    assert fields == {"request_id": "r-1", "source_ip": "127.0.0.1", "user_label": "alice"}
    assert asked == ["/"]


def test_what_is_bound_wins(app, trail) -> None:
    """A view that knows better says so."""
    trail.user_fields(lambda: {"user_label": "alice"})
    app.before_request(lambda: bind_audit_context(user_label="bob"))
    assert seen(app)["user_label"] == "bob"


def test_a_function_that_fails_fails_no_request(app, trail, caplog) -> None:
    """The event is without a user, and a warning tells."""
    trail.user_fields(lambda: 1 / 0)
    assert "user_label" not in seen(app)
    assert "Who is acting could not be found out: ZeroDivisionError" in caplog.text


def test_a_function_that_returns_nothing_costs_the_user_alone(app, trail, caplog) -> None:
    """The event has the rest, and a warning names the function."""

    @trail.user_fields
    def who() -> None:
        return None

    assert seen(app)["source_ip"] == "127.0.0.1"
    assert "who returned NoneType, not a dict" in caplog.text


def test_the_configuration_of_the_application_wins(trail) -> None:
    """One extension serves applications of different settings."""
    app = Flask("tickets")
    app.config.update(PGLOG_AUDIT_HEADER="X-Id", PGLOG_AUDIT_TRUSTED_PROXIES=["127.0.0.0/8"])
    trail.init_app(app)
    app.get("/")(lambda: dict(current_context()))
    fields = seen(app, **{"X-Id": "r-1", "X-Forwarded-For": "192.0.2.7"})
    assert (fields["request_id"], fields["source_ip"]) == ("r-1", "192.0.2.7")


def test_a_stream_has_the_user_where_flask_has_the_request(app, trail) -> None:
    """A piece that is made inside stream_with_context() knows the user, another one the request id alone."""
    trail.user_fields(lambda: {"user_label": request.headers["X-User"]})

    def pieces() -> Iterator[str]:
        yield current_context().get("user_label", "nobody")

    app.get("/with", endpoint="with")(lambda: Response(stream_with_context(pieces())))
    app.get("/without", endpoint="without")(lambda: Response(pieces()))
    texts = [app.test_client().get(path, headers={"X-User": "alice"}).text for path in ("/with", "/without")]
    assert texts == ["alice", "nobody"]


def test_a_second_trail_is_refused(app, trail) -> None:
    """Two would make two ids for a request."""
    with pytest.raises(ConfigurationError, match="tickets has an AuditTrail already"):
        trail.init_app(app)


def test_another_middleware_around_it_agrees_on_the_id(app) -> None:
    """Where somebody put the application into the WSGI middleware as well, row and response have one id."""
    app.wsgi_app = AuditMiddleware(app.wsgi_app, header="X-Trail")
    reply = app.test_client().get("/")
    assert reply.headers.getlist("X-Trail") == [reply.json["request_id"]]
