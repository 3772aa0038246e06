"""The cursor of a page: it goes on in its own order and shows when it was damaged."""

import base64
import json
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pglog_audit import ConfigurationError
from pglog_audit.page_cursor import Position, decode, encode

positions = st.builds(Position, st.text(), st.text(), st.booleans())


def sealed(content: Any) -> str:
    """Return *content* as a cursor whose checksum is right."""
    payload = json.dumps(content).encode()
    return base64.urlsafe_b64encode(payload + zlib.crc32(payload).to_bytes(4, "big")).decode().rstrip("=")


@given(positions)
def test_says_the_position_again(position: Position) -> None:
    """Whatever times and ids the server has, they come back as they were, from text that can stand in a URL."""
    cursor = encode(position)
    assert decode(cursor, reverse=position.reverse) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(positions, st.data())
def test_shows_any_damage(position: Position, data: Any) -> None:
    """A character that is missing or another one is an error, never another place."""
    cursor = encode(position)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(["", *"Az09-_"]))
    damaged = cursor[:place] + other + cursor[place + 1 :]
    with suppress(ConfigurationError):
        assert decode(damaged, reverse=position.reverse) == position


@pytest.mark.parametrize("content", [None, [], ["a", "b"], ["a", 1, False], ["a", "b", None], {"a": 1}, "abc"])
def test_is_refused_where_it_was_made_by_hand(content: Any) -> None:
    """A right checksum makes no cursor of it."""
    with pytest.raises(ConfigurationError, match="is damaged"):
        decode(sealed(content), reverse=False)


@pytest.mark.parametrize(
    ("made", "words"),
    [(False, "newest first, and the oldest first is asked for"), (True, "oldest first, and the newest first is")],
)
def test_is_refused_in_the_other_order(made: bool, words: str) -> None:
    """The page after it would be the one before it."""
    with pytest.raises(ConfigurationError, match=f"{words}.*keep the order, or leave the cursor out"):
        decode(encode(Position("2026-03-01 12:00:00+00:00", "7", made)), reverse=not made)


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2026-03-01 12:00:00+00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00:00", None),
        ("infinity", None),
        ("0044-03-15 00:00:00+00 BC", None),
    ],
)
def test_knows_its_moment_where_it_has_one(time: str, moment: datetime | None) -> None:
    """A time without a zone or beyond the calendar is the server's alone to compare."""
    assert Position(time, "7", reverse=False).moment == moment
