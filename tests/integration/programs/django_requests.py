"""Ask the Django project for the paths that the arguments name, and print what came: status, request id, body."""

import asyncio
import json
import sys

import django
import django_shop  # noqa: F401 - the settings
from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import AsyncClient, Client

django.setup()
call_command("migrate", verbosity=0)
user = get_user_model().objects.create_user("alice")


def answer(response, body):
    """Print one response."""
    print(json.dumps([response.status_code, response.headers.get("X-Request-ID"), body.decode()]))


async def body_of(response):
    """Return what a response says, however it does."""
    return b"".join([piece async for piece in response]) if response.streaming else response.content


async def ask_async(path):
    """Ask as an ASGI server would."""
    client = AsyncClient(raise_request_exception=False)
    if "enter" not in path:
        await sync_to_async(client.force_login)(user)
    response = await client.get(path.removeprefix("async:"))
    answer(response, await body_of(response))


queries = []


def note(execute, sql, params, many, context):
    """Note each question for a user."""
    if "auth_user" in sql:
        queries.append(sql)
    return execute(sql, params, many, context)


for path in sys.argv[1:]:
    if path.startswith("async:"):
        asyncio.run(ask_async(path))
        continue
    client = Client(raise_request_exception=False)
    if not path.startswith("enter"):
        client.force_login(user)
        assert client.session[SESSION_KEY]
    with connection.execute_wrapper(note):
        response = client.get(f"/{path}")
        body = b"".join(response) if response.streaming else response.content
    response.close()
    answer(response, body if response.status_code == 200 else b"")
print(json.dumps(len(queries)))
