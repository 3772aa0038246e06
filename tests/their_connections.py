"""Connections as applications have them, by SQLAlchemy and Django, to a test's database, as its writer."""

from contextlib import asynccontextmanager, contextmanager

import django
import sqlalchemy
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import create_async_engine


def url(database, driver):
    """Return the database's address, as SQLAlchemy writes it."""
    parts = conninfo_to_dict(database.writer)
    address = (parts["user"], None, parts["host"], int(parts["port"]), parts["dbname"])
    return sqlalchemy.URL.create(f"postgresql+{driver}", *address)


@contextmanager
def engine(database, driver="psycopg", **options):
    """Give an engine of SQLAlchemy, whose connections are closed in the end."""
    made = sqlalchemy.create_engine(url(database, driver), **options)
    try:
        yield made
    finally:
        made.dispose()


@asynccontextmanager
async def async_engine(database, driver="psycopg"):
    made = create_async_engine(url(database, driver))
    try:
        yield made
    finally:
        await made.dispose()


def connection_of_django(database):
    """Return a connection of Django to *database*, apart from Django's own."""
    if not settings.configured:
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}}, USE_TZ=True)
        django.setup()
    from django.db import connections

    parts = conninfo_to_dict(database.writer)
    made = connections.create_connection("default")
    names = {"NAME": "dbname", "USER": "user", "HOST": "host", "PORT": "port"}
    made.settings_dict = {**made.settings_dict, **{name: parts[key] for name, key in names.items()}}
    return made


@contextmanager
def atomic(connection):
    """Make one of Django's transactions or savepoints on *connection*, which its registry does not know."""
    from django.db import connections, transaction

    before = connections["default"]
    connections["default"] = connection
    try:
        with transaction.atomic():
            yield
    finally:
        connections["default"] = before
