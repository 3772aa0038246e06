"""
Errors of the package::

    AuditError
    |__ ConfigurationError   (also ValueError)
    |__ SchemaError
    |__ SpoolError
    |__ TransactionError
    |__ UnreachableError

Database errors are psycopg's own and pass through unwrapped.
"""


class AuditError(Exception):
    """Base class of everything that this package raises on purpose."""


class ConfigurationError(AuditError, ValueError):
    """An option has a value that can never work; the message says which one and what to write instead."""


class SchemaError(AuditError):
    """The audit table is missing, not ours or of another version; the message says what to run."""


class SpoolError(AuditError):
    """The spool or a part of it cannot be used; the message says which path, what is wrong and what to do."""


class TransactionError(AuditError):
    """An event cannot share the fate of that transaction; the message says why, and what to do instead."""


class UnreachableError(AuditError):
    """No connection could be made; the message says where to and what the server or libpq answered."""
