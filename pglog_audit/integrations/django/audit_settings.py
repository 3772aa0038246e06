"""The setting ``PGLOG_AUDIT``, and the types of ids that it and the user model ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from ...ddl import ID_TYPES
from ...errors import ConfigurationError
from ...event import ID_FIELDS


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What ``PGLOG_AUDIT`` may say, in capitals there."""

    header: str | None = "X-Request-ID"
    """Where the request id comes from and goes back to; None leaves it to another middleware."""
    trusted_proxies: Iterable[str] = ()
    """Addresses and networks whose ``X-Forwarded-For`` is believed."""
    id_types: Mapping[str, str] = field(default_factory=dict)
    """Types of id columns that are not uuid, as ``pglog-audit init --id-type`` takes them."""
    writer: str | None = None
    """The role that the migration lets insert; reader, the one that it lets read."""
    reader: str | None = None


def read_settings() -> AuditSettings:
    """
    Return what ``PGLOG_AUDIT`` says.

    :raises ConfigurationError: it says something else.
    """
    given = getattr(settings, "PGLOG_AUDIT", {})
    names = {known.name.upper(): known.name for known in fields(AuditSettings)}
    if not isinstance(given, Mapping) or (unknown := set(given) - names.keys()):
        wrong = given if not isinstance(given, Mapping) else f"{{{min(unknown, key=str)!r}: …}}"
        raise ConfigurationError(f"PGLOG_AUDIT is {wrong}: it must be a dict with some of {', '.join(names)}")
    return AuditSettings(**{names[name]: value for name, value in given.items()})


def id_types() -> dict[str, str]:
    """
    Return the types of id columns that are not uuid: those of users as the user model has them.

    :raises ConfigurationError: ``ID_TYPES`` names another column or type.
    """
    found = _user_key_type()
    users = {} if found == "uuid" else {"user_id": found, "impersonator_id": found}
    wanted = {**users, **read_settings().id_types}
    for name, type_ in wanted.items():
        if name not in ID_FIELDS or type_ not in ID_TYPES:
            raise ConfigurationError(
                f"PGLOG_AUDIT has the ID_TYPES {{{name!r}: {type_!r}}}: the id columns are "
                f"{', '.join(sorted(ID_FIELDS))}, and the types {', '.join(ID_TYPES)}"
            )
    return wanted


def _user_key_type() -> str:
    try:
        key = get_user_model()._meta.pk
    except ImproperlyConfigured:  # django.contrib.auth is not installed
        return "uuid"
    while key.remote_field:
        key = key.target_field
    if isinstance(key, models.UUIDField):
        return "uuid"
    # Also for a smaller number: the model may outgrow it, and the log cannot be written anew.
    return "bigint" if isinstance(key, models.IntegerField) else "text"
