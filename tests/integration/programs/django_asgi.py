"""The Django project under ASGI."""

import django_shop  # noqa: F401 - the settings
from django.core.asgi import get_asgi_application

from pglog_audit.integrations.asgi import AuditMiddleware

application = AuditMiddleware(get_asgi_application())
