"""The triggers that refuse changes: whether they are all there."""

from collections.abc import Sequence

from ..finding import Finding
from ..guards import Guard, find_function, find_guards
from .subject import Subject


def check_guards(subject: Subject) -> Finding:
    """Tell whether triggers refuse changes on the table and on each partition, for replication roles too."""
    found = find_guards(subject.connection, subject.oid, subject.bare_name)
    faults = [each for each in found if each.fault]
    if not faults:
        partitions = sum(each.is_partition for each in found) // 2
        return Finding.ok("guards", f"UPDATE, DELETE and TRUNCATE are refused, on {partitions} partitions too")
    return Finding.wrong("guards", _describe(faults), _advice(subject))


def _describe(faults: Sequence[Guard]) -> str:
    first, *rest = faults
    alike = sum(each.is_partition and (each.guard, each.fault) == (first.guard, first.fault) for each in rest)
    text = f"trigger {first.guard} on {first.relation} {first.fault}"
    if alike:
        text += f", and on {alike} {'more partitions' if first.is_partition else 'partitions'}"
    return f"{text}; {len(rest) - alike} other triggers are not in order" if len(rest) > alike else text


def _advice(subject: Subject) -> str:
    function = find_function(subject.connection, subject.oid, subject.bare_name)
    gone = "" if function.is_whole else f"The function {function.name} itself is gone or changed. "
    return f"Rows may have been changed since. {gone}It is mended by this.\n{subject.maintain()}"
