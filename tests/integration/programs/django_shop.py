"""A Django project in one file, as its ``manage.py`` and as a module; the environment says what is different."""

import json
import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from psycopg.conninfo import conninfo_to_dict

parts = conninfo_to_dict(os.environ["PGLOG_AUDIT_CONNINFO"])
POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": parts["dbname"],
    **{name: parts.get(name.lower(), "") for name in ("USER", "PASSWORD", "HOST", "PORT")},
    **json.loads(os.environ.get("DATABASE", "{}")),
}
HANDLER = {
    "class": "pglog_audit.integrations.django.AuditHandler",
    "database": os.environ.get("ALIAS", "default"),
    **json.loads(os.environ.get("HANDLER", "{}")),
}
APPS = ["admin", "auth", "contenttypes", "messages", "sessions"]
usual = {
    "ALLOWED_HOSTS": ["*"],
    "AUTH_USER_MODEL": os.environ.get("USER_MODEL", "auth.User"),
    "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
    "DATABASES": {"default": POSTGRES, "audit": {**POSTGRES, "USER": "pglog_writer", "TEST": {"MIRROR": "default"}}},
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "INSTALLED_APPS": [
        *(f"django.contrib.{name}" for name in APPS),
        "django_people",
        "pglog_audit.integrations.django",
    ],
    "LOGGING": {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"audit": HANDLER},
        "loggers": {"audit": {"handlers": ["audit"], "level": "INFO", "propagate": False}},
    },
    "MIDDLEWARE": [
        os.environ.get("MIDDLEWARE", "pglog_audit.integrations.django.AuditMiddleware"),
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "PGLOG_AUDIT": json.loads(os.environ.get("SETTINGS", "{}")),
    "ROOT_URLCONF": "django_urls",
    "SECRET_KEY": "not secret",
    "STATIC_URL": "static/",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    "django.template.context_processors.request",
                ]
            },
        }
    ],
    "USE_TZ": True,
}
settings.configure(**{**usual, **json.loads(os.environ.get("OTHERS", "{}"))})

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
