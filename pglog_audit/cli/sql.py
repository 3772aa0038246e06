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
def sql(**options: Any) -> None:
    """Print the SQL that init runs, for psql or a migration tool."""
    click.echo(schema.script(**options), nl=False)
