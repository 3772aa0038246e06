"""The audit table as a model, which reads and nothing else."""

import json
from typing import Any, NoReturn
from uuid import UUID

from django.db import NotSupportedError, models

from ...event import OUTCOMES
from ...reading import is_deep
from .audit_settings import id_types

_READERS: dict[str, type[Any]] = {"uuid": UUID, "bigint": int, "integer": int, "text": str}
_REFUSAL = "the audit log is append-only: log an event, with extra=audit(…), in place of {}"


class IdField(models.Field):
    """An id: uuid, number or text, as the table was made."""

    def get_prep_value(self, value: Any) -> Any:
        """
        Return *value* as its column has it.

        :raises ValueError: it can stand in no such column.
        """
        value = super().get_prep_value(value)
        reader = _READERS[id_types().get(self.attname, "uuid")]
        return value if value is None or isinstance(value, reader) else reader(value)


class MomentField(models.DateTimeField):
    """A time; one beyond Python's calendar, such as ``infinity``, comes as a day at its ends."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:  # noqa: ARG002 - Django's
        """Return what is read in place of the column: one row must not hide all others."""
        return f"LEAST(GREATEST({sql}, '0001-01-02Z'), '9999-12-30Z')", params


class WholeDecoder(json.JSONDecoder):
    """Reads what Python has no value for, such as a number of 5,000 digits or a thousand levels, as its text."""

    def decode(self, text: str, *arguments: Any) -> Any:
        """Return the value of *text*."""
        try:
            value = super().decode(text, *arguments)
        except (ValueError, RecursionError):
            return text
        return text if is_deep(value) else value


class AuditEvents(models.QuerySet):
    """Events that were chosen; none can be changed."""

    def update(self, **_: Any) -> NoReturn:
        """Refuse."""
        raise NotSupportedError(_REFUSAL.format("update()"))

    def delete(self) -> NoReturn:
        """Refuse."""
        raise NotSupportedError(_REFUSAL.format("delete()"))

    def bulk_create(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        raise NotSupportedError(_REFUSAL.format("bulk_create()"))


class AuditEvent(models.Model):
    """One row of the audit table: who did what, when. Its columns are described in README.md."""

    id = models.UUIDField(primary_key=True)
    occurred_at = MomentField()
    recorded_at = MomentField()
    action = models.TextField()
    outcome = models.TextField(choices=[(outcome, outcome) for outcome in OUTCOMES])
    user_id = IdField(null=True)
    user_label = models.TextField(null=True)
    event_id = IdField(null=True)
    entity_type = models.TextField(null=True)
    target_id = IdField(null=True)
    target_label = models.TextField(null=True)
    message = models.TextField(null=True)
    changes = models.JSONField(null=True, decoder=WholeDecoder)
    metadata = models.JSONField(decoder=WholeDecoder)
    request_id = models.TextField(null=True)
    tenant_id = IdField(null=True)
    impersonator_id = IdField(null=True)
    source_ip = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(null=True)
    trace_id = models.TextField(null=True)
    service = models.TextField(null=True)
    writer_id = models.UUIDField(null=True)
    writer_seq = models.BigIntegerField(null=True)

    objects = AuditEvents.as_manager()

    class Meta:  # noqa: D106 - Django's
        managed = False
        db_table = "audit_log"
        ordering = ("-occurred_at", "-id")
        verbose_name = "audit event"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.who} {self.action}"

    @property
    def who(self) -> str:
        """Who acted: the name as it was then, else the id."""
        return str(self.user_label or self.user_id or "")

    @property
    def target(self) -> str:
        """The thing acted on: its name as it was then, else its id."""
        return str(self.target_label or self.target_id or "")

    def save(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        raise NotSupportedError(_REFUSAL.format("save()"))

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        raise NotSupportedError(_REFUSAL.format("delete()"))
