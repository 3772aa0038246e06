"""Questions to the audit table and their answers on a terminal, as far as they need no server."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool

from pglog_audit import AuditEvent, AuditLog, ConfigurationError, TimelinePage

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
USER = UUID("0195a5b2-7c1e-7d43-9b1a-4c5d6e7f8091")


def event(**fields: Any) -> AuditEvent:
    return AuditEvent(**{"action": "branding.update", "occurred_at": NOON, "outcome": "success"} | fields)


class TestPage:
    def test_is_a_sequence_of_events(self) -> None:
        """A page can be counted, indexed, cut and iterated."""
        first, second = event(), event(action="team.invite")
        page = TimelinePage((first, second))
        assert (len(page), page[0], page[-1:], list(page)) == (2, first, (second,), [first, second])

    def test_cannot_be_changed(self) -> None:
        """A page is a value."""
        with pytest.raises(FrozenInstanceError):
            TimelinePage(()).next_cursor = "x"


class TestOptions:
    def test_no_database_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without conninfo, pool and environment the error says what to set."""
        for name in ("PGLOG_AUDIT_CONNINFO", "DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ConfigurationError, match="PGLOG_AUDIT_CONNINFO"):
            AuditLog()

    def test_another_pool_is_refused_by_name(self) -> None:
        """A pool of another kind would fail at the first question only."""
        with pytest.raises(ConfigurationError, match="AsyncConnectionPool"):
            AuditLog(pool=AsyncConnectionPool("", open=False))

    @pytest.mark.parametrize("conninfo", [5, b"dbname=app", lambda: "dbname=app"])
    def test_a_conninfo_of_another_type_is_refused(self, conninfo: Any) -> None:
        """The error names the type, not the value: it may hold a password."""
        with pytest.raises(ConfigurationError, match=f"conninfo is of type {type(conninfo).__name__}: it must be"):
            AuditLog(conninfo)

    @pytest.mark.parametrize("columns", ["", "occurred_at", ["occurred_at"], 5])
    def test_columns_that_are_no_mapping_are_refused(self, columns: Any) -> None:
        """The error shows the form."""
        with pytest.raises(ConfigurationError, match=r"columns is .*'occurred_at': 'created_at'"):
            AuditLog("dbname=app", columns=columns)

    def test_two_fields_of_one_column_are_refused(self) -> None:
        """One column cannot be both."""
        with pytest.raises(ConfigurationError, match="columns maps two fields to one column"):
            AuditLog("dbname=app", columns={"action": "what", "message": "what"})

    def test_an_unknown_field_in_columns_is_refused(self) -> None:
        """A mapping written the wrong way round is told at once."""
        with pytest.raises(ConfigurationError, match="created_at"):
            AuditLog("dbname=app", columns={"created_at": "occurred_at"})

    @pytest.mark.parametrize("column", ["", None, 5])
    def test_a_column_that_is_no_name_is_refused(self, column: Any) -> None:
        """The error names the field and what was given."""
        with pytest.raises(ConfigurationError, match=f"columns maps occurred_at to {column!r}: name a column"):
            AuditLog("dbname=app", columns={"occurred_at": column})

    @pytest.mark.parametrize("limit", [0, -1, 1001, "5", 2.5, None])
    def test_a_limit_out_of_range_is_refused(self, limit: Any) -> None:
        """A page has 1 to 1000 events."""
        with pytest.raises(ConfigurationError, match=f"limit is {limit!r}: ask for 1 to 1000"):
            AuditLog("dbname=app").timeline(limit=limit)

    @pytest.mark.parametrize("action", [["a.b"], 7])
    def test_an_action_that_is_no_text_is_refused(self, action: Any) -> None:
        """Several actions at once, or what is none, can never be answered."""
        with pytest.raises(ConfigurationError, match="ask for one, as text"):
            AuditLog("dbname=app").timeline(action=action)

    @pytest.mark.parametrize("cursor", ["", "x", "AAAAAA", "WyJhIiwgImIiXQ", "münchen", "[]", "\x1b[2J"])
    def test_a_damaged_cursor_is_refused(self, cursor: str) -> None:
        """A cursor that no page gave does not silently begin elsewhere."""
        with pytest.raises(ConfigurationError, match="is damaged: pass next_cursor") as error:
            AuditLog("dbname=app").timeline(cursor=cursor)
        assert str(error.value).isprintable()
