"""The cursor: where the next page begins, as URL-safe text that shows when it was damaged."""

import base64
import json
import zlib
from dataclasses import dataclass
from datetime import datetime

from .errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Position:
    """The last event of a page, in the order that the page had; time and id as the server's text."""

    time: str
    id: str
    reverse: bool

    @property
    def moment(self) -> datetime | None:
        """The time, unless it is beyond Python's calendar or without a time zone."""
        try:
            moment = datetime.fromisoformat(self.time)
        except ValueError:
            return None
        return moment if moment.tzinfo else None


def encode(position: Position) -> str:
    """Return the cursor of *position*."""
    payload = json.dumps([position.time, position.id, position.reverse]).encode()
    return base64.urlsafe_b64encode(payload + _checksum(payload)).decode().rstrip("=")


def decode(cursor: str, *, reverse: bool) -> Position:
    """
    Return the position of *cursor*, for a page in the order of *reverse*.

    :raises ConfigurationError: it is damaged, or of a page in the other order.
    """
    position = _read(cursor)
    if position.reverse != reverse:
        made, asked = ("oldest", "newest") if position.reverse else ("newest", "oldest")
        raise ConfigurationError(
            f"the cursor is of a page with the {made} first, and the {asked} first is asked for: keep the order, or "
            "leave the cursor out"
        )
    return position


def _read(cursor: str) -> Position:
    try:
        decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        payload, checksum = decoded[:-4], decoded[-4:]
        match json.loads(payload if checksum == _checksum(payload) else "null"):
            case [str(time), str(id_), bool(reverse)]:
                return Position(time, id_, reverse)
    except ValueError:
        pass
    raise ConfigurationError(
        f"cursor {cursor!r} is damaged: pass next_cursor of the page before unchanged, or none for the first page"
    )


def _checksum(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(4, "big")
