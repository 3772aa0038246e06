"""One audit event, as a caller gives it: its fields, and the ``extra`` of the log call."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from . import call_sites

Id: TypeAlias = UUID | int | str
"""A value of an id column: uuid unless the table was made with ``--id-type``."""

ID_FIELDS = frozenset({"user_id", "event_id", "target_id", "tenant_id", "impersonator_id"})
TEXT_FIELDS = frozenset(
    {
        "action",
        "entity_type",
        "request_id",
        "outcome",
        "user_label",
        "target_label",
        "user_agent",
        "trace_id",
        "service",
    }
)
JSON_FIELDS = frozenset({"metadata", "changes"})
CALLER_FIELDS = ID_FIELDS | TEXT_FIELDS | JSON_FIELDS | {"source_ip", "message", "occurred_at"}
"""What a log call may set; every other key of its dict is a user column or goes to metadata."""

WRITER_FIELDS = frozenset({"id", "writer_id", "writer_seq", "recorded_at"})
"""What only the writer or the server sets: never taken from a caller."""

OUTCOMES = ("success", "failure", "denied", "unknown")
_LIKENESS = 0.85


def near_field(name: str) -> str | None:
    """Return the field that *name*, which is none, is probably meant for."""
    import difflib  # which audit() has no use for

    return next(iter(difflib.get_close_matches(name[:64].lower(), CALLER_FIELDS, 1, _LIKENESS)), None)


def audit(  # noqa: C901 - the same for each field, in a third of the time of a loop over all
    action: str = "",
    *misplaced: object,
    user_id: Id | None = None,
    event_id: Id | None = None,
    entity_type: str | None = None,
    target_id: Id | None = None,
    metadata: Mapping[str, Any] | None = None,
    request_id: str | None = None,
    outcome: str | None = None,
    changes: Mapping[str, Sequence[Any]] | None = None,
    user_label: str | None = None,
    target_label: str | None = None,
    tenant_id: Id | None = None,
    impersonator_id: Id | None = None,
    source_ip: str | None = None,
    user_agent: str | None = None,
    trace_id: str | None = None,
    service: str | None = None,
    occurred_at: datetime | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """
    Return the ``extra`` of a log call that reports *action*.

    ``logger.info("Logo replaced", extra=audit("branding.update", user_id=u, metadata={"field": "logo"}))``

    :param action: ``entity.verb`` in lower case, for example ``branding.update``.
    :param user_id: who acted. Ids are :class:`uuid.UUID` or its text, unless the table's columns say otherwise.
    :param event_id: the hosted event that the action sits under; not the id of the row.
    :param entity_type: the kind of thing acted on.
    :param target_id: the thing acted on.
    :param metadata: small, reviewable JSON without secrets.
    :param request_id: by default that of the running request, as the option *request_id_from* finds it.
    :param outcome: ``success``, ``failure``, ``denied`` or ``unknown``; by default what the record's level tells.
    :param changes: ``{"field": [old, new]}``.
    :param user_label: the user's name as it is now; history outlives a rename.
    :param target_label: the target's name as it is now.
    :param tenant_id: the tenant that the action belongs to.
    :param impersonator_id: the real person behind *user_id*.
    :param source_ip: the client's address.
    :param user_agent: the client's program.
    :param trace_id: the distributed trace; by default that of the OpenTelemetry span.
    :param service: the application, where one table serves several.
    :param occurred_at: an aware datetime, for events of the past; by default the record's time.
    :param columns: values of columns that you added to the table; a name without a column goes to metadata.

    Never raises: it runs inside requests. What is ``None`` counts as not given, so that the context may fill it.
    """
    event: dict[str, Any] = {} if action is None else {"action": action}
    if user_id is not None:
        event["user_id"] = user_id
    if event_id is not None:
        event["event_id"] = event_id
    if entity_type is not None:
        event["entity_type"] = entity_type
    if target_id is not None:
        event["target_id"] = target_id
    if metadata is not None:
        event["metadata"] = metadata
    if request_id is not None:
        event["request_id"] = request_id
    if outcome is not None:
        event["outcome"] = outcome
    if changes is not None:
        event["changes"] = changes
    if user_label is not None:
        event["user_label"] = user_label
    if target_label is not None:
        event["target_label"] = target_label
    if tenant_id is not None:
        event["tenant_id"] = tenant_id
    if impersonator_id is not None:
        event["impersonator_id"] = impersonator_id
    if source_ip is not None:
        event["source_ip"] = source_ip
    if user_agent is not None:
        event["user_agent"] = user_agent
    if trace_id is not None:
        event["trace_id"] = trace_id
    if service is not None:
        event["service"] = service
    if occurred_at is not None:
        event["occurred_at"] = occurred_at
    if columns:
        event.update(columns)
    if misplaced:
        # A TypeError here would fail the request that only wanted to report itself.
        event["_misplaced"] = misplaced
    return call_sites.watched(event)
