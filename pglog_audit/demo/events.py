"""What the demo's site is about: events, their look and their people, in memory."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4


@dataclass
class HostedEvent:
    """An event that users of the site host."""

    name: str
    id: UUID = field(default_factory=uuid4)
    branding: dict[str, str] = field(default_factory=lambda: {"logo": "spring.svg", "accent": "#0a7e5c"})
    collaborators: dict[UUID, str] = field(default_factory=dict)
    guests: dict[UUID, str] = field(default_factory=dict)


USERS = {"alice": uuid4(), "bob": uuid4()}
HOSTS = {"alice"}
EVENTS = {event.id: event for event in [HostedEvent("Summer party")]}


def deliver(channel: str) -> None:
    """Hand a message to its gateway; the one for text messages is never there when it is needed."""
    if channel == "sms":
        raise ConnectionError("no answer from the SMS gateway")
