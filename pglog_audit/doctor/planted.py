"""Code that the owner of a table has left where whoever writes to it, or reads it, would run it."""

from psycopg import sql

from ..errors import AuditError
from ..sql import template
from .subject import Subject


class PlantedError(AuditError):
    """What the owner has planted would run with the rights of who connects."""


def refuse_planted(subject: Subject, *, by_reading: bool = False) -> None:
    """
    Look for code of the owner's that would run, and could act with all rights of the session, by RESET ROLE.

    :param by_reading: only for what runs when rows are read.
    :raises PlantedError: there is some.
    """
    user = subject.connection.info.user
    held = subject.role_named(user)
    is_superuser = bool(held and held["is_superuser"])
    if user in (subject.writer, subject.owner) and not is_superuser:
        return  # such is the life of every writer
    if is_superuser and not by_reading:
        # Nor shall it come between the look and the row.
        subject.connection.execute(
            template("hold_table").format(table=sql.Identifier(subject.schema, subject.bare_name))
        )
    planted = [row["code"] for row in subject.ask("planted_code", retained=subject.retained)]
    if by_reading:
        planted = [code for code in planted if code.startswith("TYPE OF ")]  # which may have a cast
    if planted:
        raise PlantedError(f"{', '.join(planted)} would run with the rights of {user}")
