"""What users do on the demo's site: an action, a line in the audit log."""

import logging
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pglog_audit import audit, bind_audit_context

from .events import EVENTS, HostedEvent, deliver

logger = logging.getLogger("audit")


def hosted_event(request: Request) -> HostedEvent:
    """Find the event of the path; its id goes on whatever the request does to it."""
    if (event := EVENTS.get(request.path_params["event_id"])) is None:
        raise HTTPException(404)
    bind_audit_context(event_id=event.id)
    return event


async def list_events(_request: Request) -> Response:
    """Reading leaves no trail."""
    return JSONResponse([{"id": str(event.id), "name": event.name} for event in EVENTS.values()])


async def update_branding(request: Request) -> Response:
    """Changes have a column of their own: from what, to what."""
    event, new = hosted_event(request), await request.json()
    changes = {name: [event.branding.get(name), value] for name, value in new.items()}
    event.branding.update(new)
    logger.info("Branding changed", extra=audit("branding.update", entity_type="branding", changes=changes))
    return JSONResponse(event.branding)


async def invite_collaborator(request: Request) -> Response:
    """The name stands beside the id: the trail outlives the person's account."""
    event, name, person = hosted_event(request), (await request.json())["name"], uuid4()
    event.collaborators[person] = name
    extra = audit("collaborator.invite", entity_type="collaborator", target_id=person, target_label=name)
    logger.info("Invitation sent", extra=extra)
    return JSONResponse({"id": str(person)}, 201)


async def remove_collaborator(request: Request) -> Response:
    """Log what was done, when it was done: nobody who is not there is removed."""
    event, person = hosted_event(request), request.path_params["person"]
    if (name := event.collaborators.pop(person, None)) is None:
        raise HTTPException(404)
    extra = audit("collaborator.remove", entity_type="collaborator", target_id=person, target_label=name)
    logger.info("Access withdrawn", extra=extra)
    return Response(status_code=204)


async def import_guests(request: Request) -> Response:
    """A hundred guests are one action; where they came from, and how many, is metadata."""
    event, new = hosted_event(request), await request.json()
    event.guests.update(guests := {uuid4(): name for name in new["names"]})
    metadata = {"source": new["source"], "guests": len(guests)}
    logger.info("Guest list imported", extra=audit("guest.import", entity_type="guest", metadata=metadata))
    return JSONResponse({"ids": [str(guest) for guest in guests]}, 201)


def check_in_guest(request: Request) -> Response:
    """A sync endpoint runs in another thread, for the same user, under the same request id."""
    event, guest = hosted_event(request), request.path_params["person"]
    if (name := event.guests.get(guest)) is None:
        raise HTTPException(404)
    logger.info("Welcome", extra=audit("guest.check_in", entity_type="guest", target_id=guest, target_label=name))
    return Response(status_code=204)


async def send_message(request: Request) -> Response:
    """Success, denial and failure are outcomes of the same action; an exception makes it a failure by itself."""
    event, channel = hosted_event(request), (await request.json())["channel"]
    message: dict[str, Any] = {"entity_type": "message", "metadata": {"channel": channel, "to": len(event.guests)}}
    if "host" not in request.auth.scopes:
        logger.warning("Only hosts may", extra=audit("message.send", outcome="denied", **message))
        raise HTTPException(403)
    try:
        deliver(channel)
    except ConnectionError as error:
        logger.exception("Not delivered", extra=audit("message.send", **message))
        raise HTTPException(502) from error
    logger.info("Delivered", extra=audit("message.send", **message))
    return Response(status_code=202)
