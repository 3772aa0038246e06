"""
The workload: one log call, as an application makes it, again and again.

Users, events and requests change from call to call: what remembers the last one gains nothing here.
"""

import logging
import random
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any
from uuid import UUID

from pglog_audit import audit, audit_context

USERS, EVENTS = 2_000, 500
_DIFFERENT = 10_000
"""Calls until they repeat."""


def ids(count: int) -> Iterator[tuple[UUID, UUID, UUID, str]]:
    """Return user, event, target and request id of *count* calls; the same ones in every run."""
    return islice(cycle(_IDS), count)


def log(logger: logging.Logger, count: int) -> None:
    """Log *count* events."""
    info = logger.info
    for user_id, event_id, target_id, request_id in ids(count):
        info(
            "Logo replaced",
            extra=audit(
                "branding.update",
                user_id=user_id,
                event_id=event_id,
                target_id=target_id,
                entity_type="branding",
                request_id=request_id,
                metadata={"field": "logo", "size": 48213, "format": "png", "was": None},
            ),
        )


def log_nested(logger: logging.Logger, count: int) -> None:
    """Log *count* events with a larger metadata, in the context of a request."""
    info = logger.info
    with audit_context(user_id=_IDS[0][0], request_id=_IDS[0][3], user_label="Ada Lovelace", source_ip="192.0.2.7"):
        for (_, event_id, target_id, _), metadata in zip(ids(count), nested_metadata(count), strict=True):
            info(
                "Guest list imported",
                extra=audit(
                    "guest_list.import",
                    event_id=event_id,
                    target_id=target_id,
                    entity_type="guest_list",
                    metadata=metadata,
                ),
            )


def nested_metadata(count: int) -> Iterator[dict[str, Any]]:
    """Return the metadata of *count* events, of 2 kB as JSON each: a summary, and a list of guests."""
    return islice(cycle(_NESTED), count)


def lines_of(count: int) -> list[str]:
    """Return *count* events as the lines that the writer sends, each with an id of its own."""
    # Not above: the caller's cost is measured in programs that import no more than they use.
    from uuid_utils import uuid7

    from pglog_audit import lines
    from pglog_audit.formatter import AuditFormatter

    formatter, writer_id = AuditFormatter(), str(uuid7())
    snapshots = (formatter.format(record) for record in records(count))
    return [lines.headed(lines.numbered(text, seq), writer_id) for seq, text in enumerate(snapshots, 1)]


def records(count: int) -> list[logging.LogRecord]:
    """Return the records of *count* log calls."""
    kept: list[logging.LogRecord] = []
    keeper = logging.Handler()
    keeper.emit = kept.append  # type: ignore[method-assign,assignment]
    log(logger_with("records", keeper), count)
    return kept


def logger_with(name: str, handler: logging.Handler) -> logging.Logger:
    """Return a logger of that name whose one handler is *handler*."""
    logger = logging.getLogger(f"tests.benchmarks.{name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers[:] = [handler]
    return logger


def _make_ids() -> Iterator[tuple[UUID, UUID, UUID, str]]:
    chance = random.Random(6)
    users, events = ([_uuid(chance) for _ in range(count)] for count in (USERS, EVENTS))
    for _ in range(_DIFFERENT):
        yield chance.choice(users), chance.choice(events), _uuid(chance), _uuid(chance).hex


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def _make_nested(chance: random.Random) -> dict[str, Any]:
    guests = [
        {
            "id": str(_uuid(chance)),
            "name": {"given": "Ada", "family": f"Guest {n}"},
            "seats": chance.randrange(1, 9),
            "tags": ["vip", "vegetarian"],
            "checked_in": None,
            "paid": True,
        }
        for n in range(11)
    ]
    return {"file": {"name": "guests.csv", "size": 18_213}, "skipped": 0, "ratio": chance.random(), "guests": guests}


_IDS = list(_make_ids())
_NESTED = [_make_nested(random.Random(n)) for n in range(50)]
