"""What a test captures is what the default table would have had."""

import dataclasses
from uuid import UUID

import pytest

from pglog_audit import AuditLog, audit, flush
from pglog_audit.testing import capture_audit
from tests.support import LATEST, configure

KNOWN = UUID("019cae1f-95b9-7d30-a1c4-6f0b6f6a3c51")
GIVEN = {
    "user_id": [KNOWN, KNOWN.hex, f"{{{KNOWN}}}", str(KNOWN).upper(), KNOWN.urn, 17, "me", 2**70],
    "target_id": [17, "17", KNOWN],
    "source_ip": ["10.0.0.7", "::1", "fe80::1%eth0", "nohost", 17, "10.0.0.0/8"],
    "outcome": ["denied", "maybe"],
    "metadata": [{"_refused": {"mine": 1}}, "text"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in GIVEN.items() for value in values])
def test_a_captured_event_is_as_its_row(database, field, value) -> None:
    """Each field, and what its column refuses."""
    logger = configure(database.writer)

    def log() -> None:
        logger.info("Paid", extra=audit("invoice.pay", **{field: value}))

    with capture_audit() as events:
        log()
    log()
    assert flush(LATEST) == 0
    [stored] = AuditLog(database.owner).timeline()
    # What the writer, the server and the clock set.
    others = {name: getattr(stored, name) for name in ("id", "occurred_at", "recorded_at", "writer_id", "writer_seq")}
    assert dataclasses.replace(events.one(), **others) == stored
