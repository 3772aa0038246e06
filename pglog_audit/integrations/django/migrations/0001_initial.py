"""The audit table, and a model that reads it."""

from django.db import migrations, models

from ..operations import MakeAuditTable


class Migration(migrations.Migration):
    """
    Make the table, and let the registry know the model.

    It is not managed: Django compares no columns of it, so its key is all that stands here.
    """

    initial = True
    dependencies = ()
    operations = (
        MakeAuditTable(),
        migrations.CreateModel(
            name="AuditEvent",
            fields=[("id", models.UUIDField(primary_key=True, serialize=False))],
            options={
                "verbose_name": "audit event",
                "db_table": "audit_log",
                "ordering": ("-occurred_at", "-id"),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    )
