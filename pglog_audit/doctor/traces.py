"""Traces: what the catalog still tells of changes to a table that nobody should change."""

from collections.abc import Iterator

from ..audit_event import EVENT_FIELDS
from ..finding import Finding
from ..table_names import name_prefix
from .subject import Subject


def check_detached(subject: Subject) -> Finding:
    """Tell which tables look like partitions of the table and are none."""
    unit = subject.step.unit
    rows = subject.ask("doctor_detached", prefix=name_prefix(subject.bare_name))
    if not rows:
        return Finding.ok("detached", f"no {unit} lies beside the table")
    names = [row["relation"] for row in rows if not row["is_leaving"]]
    if not names:
        command = f"{subject.command('retain')} --keep …"
        text = f"{', '.join(row['relation'] for row in rows)} was taken from the table by retain, and not dropped yet"
        advice = f"It runs, or was ended. Run again, it goes on.\nAs {subject.owner}: {command}"
        return Finding.wrong("detached", text, advice)
    return Finding.wrong(
        "detached",
        f"{', '.join(names)} is called like a {unit} and is no part of the table: its rows are not found, nor guarded",
        f"If it was one, as {subject.owner}: ALTER TABLE {subject.name} ATTACH PARTITION {names[0]} FOR VALUES …;",
    )


def check_traces(subject: Subject) -> Finding:
    """Tell what was done to guards and months after they were made; each can have a good reason."""
    traces = list(_traces(subject))
    if not traces:
        return Finding.ok("traces", "none of changes to guards or months since they were made")
    advice = (
        "Rows can have been changed behind the guards; a restored dump shows the same. Somebody should know who did it "
        "and why; else the server's log tells, with log_statement = ddl, or a backup to compare with."
    )
    return Finding.ok("traces", "; ".join(traces), advice)


def _traces(subject: Subject) -> Iterator[str]:
    rows = subject.ask("doctor_traces", ours=list(EVENT_FIELDS))
    if touched := [row["relation"] for row in rows if row["is_touched"]]:
        yield f"triggers of {_several(touched)} were made or switched after the table"
    if rewritten := [row["relation"] for row in rows if row["is_rewritten"]]:
        yield f"{_several(rewritten)} was written anew: by ALTER COLUMN TYPE, TRUNCATE, VACUUM FULL, CLUSTER or a move"
    if recast := [row["relation"] for row in rows if row["is_recast"]]:
        yield f"columns of {_several(recast)} were dropped, or added with a value for older rows"
    if younger := [row["relation"] for row in subject.ask_of_bounds("doctor_younger")]:
        yield f"{_several(younger)} was made after the {subject.step.unit} that follows it"
    for hole in subject.ask_of_bounds("doctor_holes"):
        yield f"there is no {subject.step.unit} from {hole['begin']} to {hole['finish']}"


def _several(relations: list[str]) -> str:
    return f"{relations[0]} and {len(relations) - 1} more" if len(relations) > 1 else relations[0]
