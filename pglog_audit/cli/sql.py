"""``pglog-audit sql``: the table's SQL, for a migration tool or a careful administrator."""

from typing import Any

import click

from .. import schema
from .options import Once, examples, schema_options


@click.command(
    cls=Once,
    epilog=examples(
        "pglog-audit sql --owner audit_owner --writer app > audit_log.sql",
        "pglog-audit sql --id-type user_id=bigint --writer app",
    ),
)
@schema_options
@click.option(
    "--maintain",
    is_flag=True,
    help="Instead, what makes the partitions ahead that are not there, for pg_cron. Of the other options --table and "
    "--partitions count.",
)
def sql(table: str, *, partitions: str | None, maintain: bool, **options: Any) -> None:
    """Print the SQL that init runs, for psql or a migration tool."""
    if maintain:
        script = schema.partitions_script(table=table, partitions=partitions)
    else:
        script = schema.script(table=table, partitions=partitions, **options)
    click.echo(script, nl=False)
