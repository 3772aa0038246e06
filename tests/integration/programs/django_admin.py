"""Open the admin page of a Django project as several people, and print what they see."""

import json
import os
import re
import sys

import django
import django_shop  # noqa: F401 - the settings
import psycopg
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import NotSupportedError, connection
from django.test import Client

LIST = "/admin/pglog_audit/auditevent/"
django.setup()
call_command("migrate", verbosity=0)
AuditEvent, permissions = apps.get_model("pglog_audit.AuditEvent"), apps.get_model("auth.Permission").objects
users = get_user_model().objects
staff = users.create_user("staff", is_staff=True)
staff.user_permissions.add(permissions.get(codename="view_auditevent"))
others = users.create_user("other", is_staff=True)
root = users.create_superuser("root")
queries, plans = [], []


def note(execute, sql, params, many, context):
    """Note each question to the audit table, and how the server answers it, if it can, by index and no row more."""
    if "audit_log" in sql:
        queries.append(sql)
        with psycopg.connect(os.environ["PGLOG_AUDIT_CONNINFO"], cursor_factory=psycopg.ClientCursor) as asking:
            for way in ("seqscan", "indexscan", "indexonlyscan"):
                asking.execute(f"SET enable_{way} = off")
            plans.append("".join(line for (line,) in asking.execute(f"EXPLAIN {sql}", params)))
    return execute(sql, params, many, context)


def client_of(user):
    """Return the browser of *user*."""
    client = Client()
    client.force_login(user)
    return client


def read(paths):
    """Return status and text of *paths*, as staff sees them, and what follows the first one to the end."""
    client = client_of(staff)

    def page(path):
        response = client.get(LIST + path, follow=True)
        return response.status_code, response.content.decode()

    with connection.execute_wrapper(note):
        pages, following = [page(path) for path in paths], []
        while older := re.search(r'href="([^"]+)">Older events', (following or pages)[-1 if following else 0][1]):
            following.append(page(older[1].replace("&amp;", "&")))
    names = permissions.filter(content_type__app_label="pglog_audit").values_list("codename", flat=True)
    shown = {"pages": pages, "following": following, "permissions": [*names]}
    return {**shown, "queries": queries, "plans": plans}


def attempt():
    """Return the statuses of attempts to add, change and delete, in the browser and by the model."""
    event = AuditEvent.objects.all()[0]
    statuses = {}
    for user in (staff, root):
        client = client_of(user)
        statuses[user.username] = [
            client.post(f"{LIST}{path}", {"post": "yes", "action": "a.b"}).status_code
            for path in ("add/", f"{event.pk}/change/", f"{event.pk}/delete/")
        ]
    statuses["other"] = [client_of(others).get(LIST).status_code]
    attempts = {
        "save": event.save,
        "delete": event.delete,
        "create": lambda: AuditEvent.objects.create(action="a.b"),
        "bulk_create": lambda: AuditEvent.objects.bulk_create([event]),
        "update": lambda: AuditEvent.objects.update(action="a.b"),
        "delete all": lambda: AuditEvent.objects.all().delete(),
    }
    refused = []
    for name, change in attempts.items():
        try:
            change()
        except NotSupportedError:
            refused.append(name)
    return {"statuses": statuses, "refused": refused, "attempted": [*attempts]}


print(json.dumps(read(sys.argv[1:]) if sys.argv[1:] else attempt()))
