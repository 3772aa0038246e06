"""What people do on the demo's site, over real HTTP."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    """How the site answered one request."""

    user: str
    method: str
    path: str
    status: int
    request_id: str
    body: Any


class Visitor:
    """Sends requests to the site at *url* in the name of its users."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def send(self, user: str, method: str, path: str, **body: Any) -> Reply:
        """Send one request, its *body* as JSON."""
        with closing(HTTPConnection(self._address, timeout=30)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, {"Cookie": f"user={user}"})
            response = connection.getresponse()
            text = response.read()
            is_json = response.headers.get_content_type() == "application/json"
            request_id = response.headers["X-Request-ID"]
        return Reply(user, method, path, response.status, request_id, json.loads(text) if is_json else None)


def find_event(visitor: Visitor) -> str:
    """Return the id of the event that the tour is about."""
    event_id: str = visitor.send("alice", "GET", "/events").body[0]["id"]
    return event_id


def tour(visitor: Visitor, event_id: str) -> Iterator[Reply]:
    """Do everything that leaves a row, one action a request."""
    event = f"/events/{event_id}"
    yield visitor.send("alice", "PATCH", f"{event}/branding", logo="summer.svg", accent="#d97706")
    yield (invited := visitor.send("alice", "POST", f"{event}/collaborators", name="Carol"))
    yield visitor.send("alice", "DELETE", f"{event}/collaborators/{invited.body['id']}")
    yield (guests := visitor.send("alice", "POST", f"{event}/guests", names=["Ada", "Grace"], source="guests.csv"))
    yield visitor.send("bob", "POST", f"{event}/guests/{guests.body['ids'][0]}/check-in")
    yield visitor.send("bob", "POST", f"{event}/messages", channel="email")
    yield visitor.send("alice", "POST", f"{event}/messages", channel="email")
    yield visitor.send("alice", "POST", f"{event}/messages", channel="sms")
