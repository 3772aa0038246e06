"""``pglog-audit upgrade``: the audit table, brought to the schema of this pglog-audit."""

import click

from ..upgrade import upgrade as upgrade_table
from .options import Once, database_options, examples, owner_connection


@click.command(cls=Once, epilog=examples("pglog-audit upgrade", "pglog-audit upgrade --table audit.log"))
@database_options
def upgrade(conninfo: str, table: str) -> None:
    """
    Bring the audit table to the schema that this pglog-audit makes, all or nothing.

    Applications may run meanwhile, of this version and of the one before. Connect as the role that owns the table, or
    as a member of it: what it lacks is told before anything is changed.
    """
    with owner_connection(conninfo) as connection:
        done = upgrade_table(connection, table=table)
    if done.restored:
        click.echo(f"Made the table again that says what retention has dropped of {done.table}: it was not there.")
    if done.before == done.after:
        click.echo(f"{done.table} has schema {done.after}, the newest that this pglog-audit knows.")
    else:
        click.echo(f"{done.table} has schema {done.after} now; it had {done.before}.")
