"""The connection of the commands that change the table, and what to do about what keeps them from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ..connections import in_utf8, require_encoding
from ..errors import SchemaError
from ..verdict import READ_ONLY


@contextmanager
def owner_connection(conninfo: str, *, autocommit: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """
    Connect, by default for steps that are transactions of their own; nothing is prepared, for the sake of poolers.

    :raises SchemaError: the transactions of this server or session can change nothing.
    """
    with psycopg.connect(in_utf8(conninfo), autocommit=autocommit, prepare_threshold=None) as connection:
        try:
            yield require_encoding(connection)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise SchemaError(f"the database refused: {error.diag.message_primary}. {READ_ONLY}") from None
