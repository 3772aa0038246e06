"""What lies on disk for a handler: whether there is room, whether somebody replays it, and what no table took."""

import os
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..backlog import ORPHANS_INTERVAL, describe_target
from ..errors import SpoolError
from ..file_locks import lock_holders
from ..finding import Finding
from ..options import WriterOptions
from ..spool import SpoolStatus, read_status, read_statuses
from ..spool.directory import SpoolDirectory

_NEARLY_FULL = 0.8
_OTHERS = "If that is this table under a name of before, as the application's user:"
_UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}


def check_spool(options: WriterOptions) -> Iterator[Finding]:
    """Give the finding of each check of the spool that *options* name; none if they name no spool."""
    if options.spool is None:
        return
    directory = SpoolDirectory(Path(options.spool), describe_target(options), is_durable=False)
    yield _check_directory(directory)
    try:
        status = read_status(directory.path)
    except SpoolError:  # which the first line has told
        return
    yield _check_room(options, directory, status)
    yield _check_backlog(status)
    yield from _check_others(directory)
    yield _check_rejects(status)
    if options.journal:
        yield _check_journal(options)


def _check_directory(directory: SpoolDirectory) -> Finding:
    """Tell whether the directory can be used, or made."""
    parent = directory.parent
    try:
        directory.names()
        if directory.is_shared():
            text = f"{parent} lies on a file system that other machines may use, where locks do not tell who lives"
            return Finding.wrong(
                "spool", text, "What dead writers leave there is not replayed: name a local directory."
            )
        return _check_making(directory)
    except (SpoolError, OSError) as error:
        for path in (directory.path, parent):
            with suppress(OSError):
                if path.stat().st_uid not in (os.geteuid(), 0):
                    advice = "Whether that user can write there, doctor tells if that user runs it."
                    return Finding.hidden("spool", f"{path} belongs to user {path.stat().st_uid}", advice)
        return Finding.wrong("spool", str(error), "Until then what the database does not take is lost.")


def _check_making(directory: SpoolDirectory) -> Finding:
    """Tell whether the directory of the table, and the one above it, can be made where they are missing."""
    if directory.path.exists():
        return Finding.ok("spool", f"{directory.path} is of this user alone")
    missing = directory.path if directory.parent.exists() else directory.parent
    above = missing.parent
    if not above.is_dir():
        advice = f"Make {above}: no more than {missing.name} is made."
        return Finding.wrong("spool", f"{missing} is not there, nor is {above}", advice)
    if not os.access(above, os.W_OK | os.X_OK):
        text = f"{missing} is not there, and this user may not make it"
        return Finding.wrong("spool", text, "Make it, as one of the application's user; or let that user run doctor.")
    return Finding.ok("spool", f"{missing} is not there yet: the first event makes it")


def _check_room(options: WriterOptions, directory: SpoolDirectory, status: SpoolStatus) -> Finding:
    """Tell how much of its limit the spool has used, and whether the disk has the rest."""
    text = f"{_size(status.bytes)} of spool_max_bytes = {_size(options.spool_max_bytes)} are used"
    if status.bytes > _NEARLY_FULL * options.spool_max_bytes:
        return Finding.wrong(
            "spool room", text, "What finds no room is lost: see backlog and rejects, or raise the limit."
        )
    free = shutil.disk_usage(_existing(directory.path)).free
    if free < options.spool_max_bytes - status.bytes:
        return Finding.ok(
            "spool room", text, f"The disk has only {_size(free)} left, and an event that finds none is lost."
        )
    return Finding.ok("spool room", text)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _check_backlog(status: SpoolStatus) -> Finding:
    """Tell what waits to become rows, and whether a process is there to do it."""
    if status.unreadable:
        return Finding.wrong("backlog", "; ".join(status.unreadable), "Nobody replays it until then.")
    if not status.segments:
        return Finding.ok("backlog", "no lines wait on disk")
    segments = list(status.path.glob("*.spool"))
    holders = lock_holders(segments)
    if holders is None:
        return Finding.ok("backlog", _describe(status), f"Unless the application does it: {_replay(status)}")
    if holders:
        processes = ", ".join(map(str, sorted(set(holders.values()))))
        return Finding.ok("backlog", f"{_describe(status)}; process {processes} has them")
    if _age(segments) < 2 * ORPHANS_INTERVAL:
        return Finding.ok("backlog", f"{_describe(status)}; a process that writes replays them within half a minute")
    advice = f"Start the application, or as its user: {_replay(status)}"
    return Finding.wrong("backlog", f"{_describe(status)}, and no process replays them", advice)


def _check_others(directory: SpoolDirectory) -> Iterator[Finding]:
    """Tell of lines for other tables that nobody replays."""
    with suppress(SpoolError):  # what of others is not to be read, is not this handler's
        for status in read_statuses(directory.parent):
            segments = list(status.path.glob("*.spool"))
            are_left = segments and lock_holders(segments) == {} and _age(segments) >= 2 * ORPHANS_INTERVAL
            if status.path != directory.path and are_left:
                text = f"{_describe(status)} for {status.target or status.path.name}, and no process replays them"
                yield Finding.wrong(
                    "backlog", text, f"{_OTHERS} {_replay(status)} --from {shlex.quote(status.path.name)}"
                )


def _check_rejects(status: SpoolStatus) -> Finding:
    """Tell how many lines no table took."""
    if not status.rejects:
        return Finding.ok("rejects", "no line that the table took in no form")
    parent, name = (shlex.quote(str(each)) for each in (status.path.parent, status.path.name))
    text = f"{status.rejects:,} line(s) that the table took in no form"
    advice = f"Look at them: pglog-audit spool rejects {parent} --from {name}; then move the *.rejects files away."
    return Finding.wrong("rejects", text, advice)


def _check_journal(options: WriterOptions) -> Finding:
    """Tell what the journal survives."""
    text = f"each event is on disk before its log call returns, with fsync = {options.fsync}"
    if options.fsync == "always":
        return Finding.ok("journal", text)
    when = "events that the kernel has not written yet" if options.fsync == "never" else "the end of the last segment"
    return Finding.ok("journal", text, f"The end of a process costs no event; a crash of the machine may cost {when}.")


def _describe(status: SpoolStatus) -> str:
    since = time.time() - status.oldest.timestamp() if status.oldest else 0.0
    segments = f"{status.segments:,} segment{'s' if status.segments > 1 else ''}"
    return f"{segments} ({_size(status.bytes)} with the rejects) for {_duration(since)}"


def _replay(status: SpoolStatus) -> str:
    return f"pglog-audit spool replay {shlex.quote(str(status.path.parent))}"


def _age(segments: list[Path]) -> float:
    """Return for how many seconds none of *segments* has grown."""
    grown = [0.0]
    for path in segments:
        with suppress(FileNotFoundError):
            grown.append(path.stat().st_mtime)
    return time.time() - max(grown)


def _duration(seconds: float) -> str:
    name, unit = next(((name, unit) for name, unit in _UNITS.items() if seconds >= unit), ("s", 1))
    return f"{seconds // unit:.0f} {name}"


def _size(size: int) -> str:
    return f"{size / 1024**2:,.1f} MiB"
