"""
The line: one event as one JSON object on one line, the item of the queue and the element of a batch.

The caller numbers its snapshot, the writer puts the rest of the head on it, once, before the first send. From then on
the line does not change; a repair makes a new line with the same id and number.
"""

import json
from collections.abc import Iterable
from typing import Any

from uuid_utils import uuid7

_NUMBER = '{"writer_seq":'
_HEAD = '{"id":"'
_SEQ = '"writer_seq":'
_TIME, _COUNTER = 2**48 - 1, 2**32 - 1
_ENDS = tuple(f"{number:02x}" for number in range(256))

OWN = "audit."
"""How the actions begin that a writer logs of itself, and those of no caller."""

RECORDED = b"[%d,%b]\n"
"""What a journal has of an unfinished snapshot: its number before all the rest."""


class Guest(str):
    """A snapshot that was put into a queue by others than the queue's own writer."""

    __slots__ = ()


def numbered(snapshot: str, seq: int) -> str:
    """Return *snapshot* with its number in the writer's sequence."""
    return f"{_NUMBER}{seq},{snapshot[1:]}"


def is_numbered(snapshot: str) -> bool:
    """Tell whether *snapshot* has its number already."""
    return snapshot.startswith((_NUMBER, _HEAD))


def headed(snapshot: str, writer_id: str) -> str:
    """Return the line of a numbered *snapshot*: with a new id (UUIDv7, RFC 9562) and the writer's; a line as it is."""
    if snapshot.startswith(_HEAD):
        return snapshot
    return f'{_HEAD}{uuid7()}","writer_id":"{writer_id}",{snapshot[1:]}'


def whole(snapshot: str, seq: int, writer_id: str) -> str:
    """Return the line of *snapshot*: what :func:`numbered` and :func:`headed` make of it one after the other."""
    return f'{_HEAD}{uuid7()!s}","writer_id":"{writer_id}",{_SEQ}{seq},{snapshot[1:]}'


def split_recorded(item: bytes) -> tuple[int, bytes]:
    """Return number and snapshot of what was :data:`RECORDED`."""
    end = item.index(b",")
    return int(item[1:end]), item[end + 1 : item.rindex(b"]")]


def recorded_id(writer_id: str, seq: int, created: float) -> str:
    """
    Return the id of the row of what was :data:`RECORDED`: the same each time it is asked.

    A UUIDv7 (RFC 9562) of the time at which it was logged, 40 random bits of its writer's id, and its number.
    """
    time = f"{int(created * 1000) & _TIME:012x}"
    return f"{time[:8]}-{time[8:]}-7{writer_id[-10:-7]}-8{writer_id[-7:-4]}-{writer_id[-4:]}{seq & _COUNTER:08x}"


def recorded_heads(seqs: Iterable[int], times: Iterable[float], writer_id: str) -> list[str]:
    """Return the heads of what was :data:`RECORDED`, logged at *times*: see :func:`recorded_id`."""
    middle = f'","writer_id":"{writer_id}",{_SEQ}'
    return [f"{_HEAD}{recorded_id(writer_id, seq, time)}{middle}{seq}," for seq, time in zip(seqs, times, strict=True)]


def new_heads(seqs: range, writer_id: str) -> list[str]:
    """
    Return the heads of lines with the numbers *seqs* and new ids.

    Of 256 ids one is drawn, and the others count its last eight bits up: a monotonic random UUIDv7 (RFC 9562, 6.2).
    """
    middle, heads = f'","writer_id":"{writer_id}",{_SEQ}', list[str]()
    for begin in range(0, len(seqs), len(_ENDS)):
        drawn = f"{_HEAD}{str(uuid7())[:-2]}"
        heads += [f"{drawn}{end}{middle}{seq}," for end, seq in zip(_ENDS, seqs[begin:], strict=False)]
    return heads


def seq(line: str) -> int:
    """Return the number of *line*, or of a numbered snapshot."""
    begin = line.index(_SEQ) + len(_SEQ)
    return int(line[begin : line.index(",", begin)])


def size(line: str) -> int:
    """Return the bytes of *line* in UTF-8."""
    return len(line) if line.isascii() else len(line.encode())


def size_unnumbered(snapshot: str) -> int:
    """Return the bytes that a numbered *snapshot*, or a line, had before."""
    return size(snapshot) - snapshot.index(",", snapshot.index(_SEQ))


def describe(line: str) -> str:
    """Return what a warning says of *line*: enough to find the action elsewhere, nothing of its content."""
    event = json.loads(line)
    return ", ".join(f"{name}={event[name]}" for name in ("action", "user_id", "event_id") if event.get(name))


def parse(line: str) -> dict[str, Any]:
    """Return the fields of *line*; integers keep any length."""
    event: dict[str, Any] = json.loads(line)
    return event


def render(event: dict[str, Any]) -> str:
    """Return the line of the fields *event*."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def is_own(line: str) -> bool:
    """Tell whether a writer says *line* of itself."""
    return f'"action":"{OWN}' in line and str(parse(line).get("action")).startswith(OWN)
