"""Who did what, when: from ``logger.info()`` to an append-only PostgreSQL table."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actions import AuditAction as AuditAction
    from .actions import audit_action as audit_action
    from .actions import current_action as current_action
    from .audit_event import AuditEvent as AuditEvent
    from .audit_filter import AuditFilter as AuditFilter
    from .bulk import audit_many as audit_many
    from .context import audit_context as audit_context
    from .context import bind_audit_context as bind_audit_context
    from .errors import AuditError as AuditError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import SchemaError as SchemaError
    from .event import audit as audit
    from .formatter import AuditFormatter as AuditFormatter
    from .gaps import Gap as Gap
    from .gaps import Gaps as Gaps
    from .handlers import AuditHandler as AuditHandler
    from .handlers import flush as flush
    from .handlers import stats as stats
    from .json_formatter import AuditJsonFormatter as AuditJsonFormatter
    from .logging_check import check as check
    from .on_commit import audit_on_commit as audit_on_commit
    from .postgres_handler import PostgresHandler as PostgresHandler
    from .queue_handler import AuditQueueHandler as AuditQueueHandler
    from .queue_listener import AuditQueueListener as AuditQueueListener
    from .termination import flush_on_sigterm as flush_on_sigterm
    from .timeline import AuditLog as AuditLog
    from .timeline import TimelinePage as TimelinePage
    from .transactions import insert_event as insert_event

_MODULES = {
    "audit": "event",
    "AuditEvent": "audit_event",
    "AuditAction": "actions",
    "audit_action": "actions",
    "current_action": "actions",
    "audit_many": "bulk",
    "audit_context": "context",
    "bind_audit_context": "context",
    "AuditError": "errors",
    "ConfigurationError": "errors",
    "SchemaError": "errors",
    "AuditFilter": "audit_filter",
    "AuditFormatter": "formatter",
    "Gap": "gaps",
    "Gaps": "gaps",
    "AuditHandler": "handlers",
    "flush": "handlers",
    "stats": "handlers",
    "AuditJsonFormatter": "json_formatter",
    "check": "logging_check",
    "audit_on_commit": "on_commit",
    "PostgresHandler": "postgres_handler",
    "AuditQueueHandler": "queue_handler",
    "AuditQueueListener": "queue_listener",
    "flush_on_sigterm": "termination",
    "AuditLog": "timeline",
    "TimelinePage": "timeline",
    "insert_event": "transactions",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562): ``audit`` alone must need neither psycopg nor libpq."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    except ImportError as error:
        # psycopg's own text lists three failed attempts; what the reader needs is the one line that mends it.
        if "pq wrapper" in str(error):
            raise ImportError("psycopg found no libpq: pip install 'pglog-audit[binary]' brings one") from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
