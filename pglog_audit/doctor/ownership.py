"""Ownership: who could undo the guards, and what of the table belongs to somebody else."""

from ..finding import Finding
from ..table_names import retained_name
from .subject import Subject


def check_owner(subject: Subject) -> Finding:
    """Tell who owns the table, and who may act as its owner."""
    [ownership] = subject.ask("doctor_ownership", retained=retained_name(subject.bare_name))
    if strays := ownership["strays"]:
        return Finding.wrong(
            "owner",
            f"{', '.join(strays)} does not belong to {subject.owner}: another role can undo the guards there",
            " ".join(f"ALTER {stray} OWNER TO {subject.owner};" for stray in strays),
        )
    members = ", ".join(ownership["members"])
    text = f"{subject.owner} owns table and guards; {members or 'nobody'} may act as it, besides superusers"
    if ownership["is_superuser"] or ownership["logs_in"]:
        kind = "is a superuser" if ownership["is_superuser"] else "may log in"
        advice = f"It {kind}. To keep the owner's rights from whoever logs in: pglog-audit init --owner audit_owner."
        return Finding.ok("owner", text, advice)
    return Finding.ok("owner", text)


def check_recorded_at(subject: Subject) -> Finding:
    """Tell whether the server's clock says when a row was stored."""
    rows = subject.ask("doctor_recorded_at")
    value = rows[0]["value"] if rows else "gone"
    if value == "clock_timestamp()":
        return Finding.ok("recorded_at", "it is the server's clock")
    return Finding.wrong(
        "recorded_at",
        f"its default is {value}, not the server's clock: when a row was stored is not known",
        f"As {subject.owner}: ALTER TABLE {subject.name} ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();",
    )
