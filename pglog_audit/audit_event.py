"""One audit event, as it comes back: a row of the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from .event import Id


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One row of the audit table; a field without a column in that table is ``None``."""

    action: str
    id: UUID | None = None
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None
    user_id: Id | None = None
    user_label: str | None = None
    event_id: Id | None = None
    entity_type: str | None = None
    target_id: Id | None = None
    target_label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    outcome: str | None = None
    message: str | None = None
    changes: Mapping[str, Any] | None = None
    tenant_id: Id | None = None
    impersonator_id: Id | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    trace_id: str | None = None
    service: str | None = None
    writer_id: UUID | None = None
    writer_seq: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The columns that are none of ours, by name."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "AuditEvent":
        """Return the event of *row*, a mapping of column names to values."""
        own = {name: value for name, value in row.items() if name in EVENT_FIELDS}
        return cls(**own, extra={name: value for name, value in row.items() if name not in EVENT_FIELDS})


EVENT_FIELDS = tuple(f.name for f in fields(AuditEvent) if f.name != "extra")
