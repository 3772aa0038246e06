"""What ``manage.py check`` finds wrong in the settings."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import connections
from django.utils.module_loading import import_string

from ...errors import ConfigurationError
from ..origin import OriginRules
from .audit_settings import id_types, read_settings
from .databases import holders, is_postgresql
from .middleware import AuditMiddleware

_APP = "pglog_audit.integrations.django"


@checks.register
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Check ``PGLOG_AUDIT``, ``INSTALLED_APPS``, the place in ``MIDDLEWARE``, and the handlers' databases."""
    return [*_check_own(), *_check_app(), *_check_middleware(), *_check_handlers()]


def _check_own() -> Iterator[checks.CheckMessage]:
    try:
        given = read_settings()
        OriginRules(given.header, given.trusted_proxies)
        id_types()
    except (ConfigurationError, TypeError, ValueError) as error:
        yield checks.Error(str(error), id="pglog_audit.E001")


def _check_app() -> Iterator[checks.CheckMessage]:
    if not apps.is_installed(_APP):
        yield checks.Warning(
            f"{_APP} is used and not installed: there is no migration, and test runs are not told from others.",
            hint=f"Add {_APP!r} to INSTALLED_APPS.",
            id="pglog_audit.W001",
        )


def _check_middleware() -> Iterator[checks.CheckMessage]:
    from django.contrib.auth.middleware import AuthenticationMiddleware  # needs the applications

    ours, theirs = (_places(known) for known in (AuditMiddleware, AuthenticationMiddleware))
    if ours and theirs and min(theirs) < min(ours):
        yield checks.Warning(
            "AuditMiddleware comes after AuthenticationMiddleware: events of the middleware before it have neither "
            "user nor request id.",
            hint="Put it first in MIDDLEWARE; it asks for the user when an event is logged.",
            id="pglog_audit.W002",
        )


def _places(wanted: type[Any]) -> list[int]:
    return [place for place, path in enumerate(settings.MIDDLEWARE) if _is(path, wanted)]


def _is(path: str, wanted: type[Any]) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False  # Django says so itself
    return isinstance(found, type) and issubclass(found, wanted)


def _check_handlers() -> Iterable[checks.CheckMessage]:
    for handler in holders():
        named = f"The handler {handler.name or ''}".rstrip()
        if handler.database not in connections.settings:
            yield checks.Error(
                f"{named} has the option database={handler.database!r}, which DATABASES has not.",
                hint=f"Name one of {', '.join(connections)}.",
                id="pglog_audit.E002",
            )
        elif handler.is_enabled and not is_postgresql(handler.database):
            yield checks.Warning(
                f"{named} writes to DATABASES[{handler.database!r}], which is no PostgreSQL: audit events are not "
                "stored.",
                hint="Name another by its option database, or silence pglog_audit.W003 where that is intended.",
                id="pglog_audit.W003",
            )
