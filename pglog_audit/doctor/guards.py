"""The triggers that refuse changes, and the statements that restore them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg import sql

from .. import ddl
from ..finding import Finding
from ..sql import template
from .subject import Subject

_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION \{guard\}.*?\$guard\$(.*?)\$guard\$;", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a trigger."""

    relation: str
    is_partition: bool
    guard: str
    fault: str


@dataclass(frozen=True, slots=True)
class GuardFunction:
    """The function that the triggers call."""

    name: str
    """With its schema, quoted as SQL wants it."""
    is_whole: bool
    """Whether it is there, as init makes it."""


def check_guards(subject: Subject) -> Finding:
    """Tell whether triggers refuse changes on the table and on each partition, for replication roles too."""
    rows = subject.ask("doctor_guards", body=_function()[1])
    faults = [_Fault(**row) for row in rows if row["fault"]]
    if not faults:
        return Finding.ok("guards", f"UPDATE, DELETE and TRUNCATE are refused, on {len(rows) // 2 - 1} partitions too")
    return Finding.wrong("guards", _describe(faults), _advice(subject, faults))


def _describe(faults: list[_Fault]) -> str:
    first, *rest = faults
    alike = sum((each.guard, each.fault) == (first.guard, first.fault) for each in rest)
    text = f"trigger {first.guard} on {first.relation} {first.fault}"
    if alike:
        text += f", and on {alike} {'more partitions' if first.is_partition else 'partitions'}"
    return f"{text}; {len(rest) - alike} other triggers are not in order" if len(rest) > alike else text


def _advice(subject: Subject, faults: list[_Fault]) -> str:
    function = find_function(subject)
    parts = ["Rows may have been changed since."]
    if not function.is_whole:
        parts.append(f"The function {function.name} itself is gone or changed.")
    if any(each.guard == "refuse_change" and not each.is_partition for each in faults):
        parts.append("The row trigger of the table restores those of its partitions.")
    if any(each.guard == "refuse_truncate" and each.is_partition for each in faults):
        parts.append("Each partition needs a trigger of its own against TRUNCATE.")
    return "\n".join([" ".join([*parts, f"As {subject.owner}:"]), *_statements(function, faults)])


def _statements(function: GuardFunction, faults: Iterable[_Fault]) -> Iterator[str]:
    """Give what mends *faults*; a change of the table's row trigger reaches the partitions by itself."""
    if not function.is_whole:
        yield sql.SQL(_function()[0]).format(guard=sql.SQL(function.name)).as_string()
    from_table = {each.fault for each in faults if each.guard == "refuse_change" and not each.is_partition}
    for each in faults:
        if each.guard == "refuse_change" and each.is_partition and each.fault in from_table:
            continue
        if each.fault == "is not ENABLE ALWAYS":
            yield _statement("enable_guard", each.relation, guard=sql.SQL(each.guard))
        elif each.fault == "is missing":
            yield from make(function, each.relation, each.guard)
        elif function.is_whole:
            yield _statement("drop_guard", each.relation, guard=sql.SQL(each.guard))
            yield from make(function, each.relation, each.guard)


def make(function: GuardFunction, relation: str, guard: str) -> Iterator[str]:
    """Give the statements that make the trigger *guard* on *relation*, which is quoted as SQL wants it."""
    yield _statement(guard, relation, function=sql.SQL(function.name))
    yield _statement("enable_guard", relation, guard=sql.SQL(guard))


def _statement(file: str, relation: str, **names: sql.Composable) -> str:
    """Return the statement of a file, without the comment that heads it."""
    text = template(f"doctor_{file}").format(relation=sql.SQL(relation), **names).as_string()
    return text.partition("\n")[2].strip()


def find_function(subject: Subject) -> GuardFunction:
    """Return the function that the table's triggers shall call."""
    [row] = subject.ask("doctor_guard_function", body=_function()[1], name=ddl.guard_name(subject.bare_name))
    return GuardFunction(**row)


def _function() -> tuple[str, str]:
    """Return the statement of the migration that makes the function, and the function's body."""
    match = _FUNCTION.search(template("migrations/0001_audit_log").as_string())
    if match is None:
        raise LookupError("migrations/0001_audit_log.sql makes no function with a body between $guard$ and $guard$")
    return match[0], match[1]
