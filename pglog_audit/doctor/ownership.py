"""Ownership: who could undo the guards, and what of the table belongs to somebody else."""

from ..finding import Finding
from ..table_comment import write_comment
from .subject import Subject, ask


def check_owner(subject: Subject) -> Finding:
    """Tell who owns the table, and who may act as its owner."""
    [ownership] = subject.ask("doctor_ownership", retained=subject.retained)
    if strays := ownership["strays"]:
        return Finding.wrong(
            "owner",
            f"{', '.join(strays)} does not belong to {subject.owner}: another role decides on the guards there",
            " ".join(f"ALTER {stray} OWNER TO {subject.owner};" for stray in strays),
        )
    members = ", ".join(ownership["members"])
    text = f"{subject.owner} owns table and guards; {members or 'nobody'} may act as it, besides superusers"
    if ownership["is_superuser"] or ownership["logs_in"]:
        kind = "is a superuser" if ownership["is_superuser"] else "may log in"
        advice = f"It {kind}. To keep the owner's rights from whoever logs in: pglog-audit init --owner audit_owner."
        return Finding.ok("owner", text, advice)
    return Finding.ok("owner", text)


def check_retained(subject: Subject) -> Finding:
    """Tell whether there is the table of what retention dropped."""
    if (subject.version or 0) < 2:
        return Finding.ok("retained", "a table of schema 1 has nothing that tells of it")
    name = subject.retained
    if ask(subject.connection, "find_retained", table=subject.name, name=name):
        return Finding.ok("retained", f"{name} tells what retention dropped")
    upgrade = f"As {subject.owner}: {subject.command('upgrade')}"
    if ask(subject.connection, "names_taken", schema=subject.schema, names=[name]):
        return Finding.wrong(
            "retained",
            f"{name} is another's, or has lost the comment of init: nothing explains what retention dropped",
            "Unless it is init's, give it another name. Then this makes it as it was.\n"
            f"As {subject.owner}: COMMENT ON TABLE {subject.name} IS '{write_comment(1, subject.step)}';\n{upgrade}",
        )
    return Finding.wrong(
        "retained",
        f"{name}, as init makes it, is gone: nothing explains what retention dropped, and maintain may make it again",
        "Restore it from a backup. Without one this makes an empty one, after which gaps explains nothing of before.\n"
        f"{upgrade}",
    )
