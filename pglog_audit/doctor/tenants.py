"""Tenants: whether row-level security shows a reader the events of one tenant, and whom it does not bind."""

import shlex
from collections.abc import Iterator
from typing import Any

from ..finding import Finding
from .subject import Subject


def check_tenants(subject: Subject) -> Finding:
    """Tell whether readers see the events of one tenant, of all or of none."""
    [security] = subject.ask("doctor_tenants", retained=subject.retained)
    if not (security["is_on"] or security["has_policies"] or security["forced"]):
        return Finding.ok("tenants", "row-level security is off: who reads sees the events of all tenants")
    for text, advice in _faults(subject, security):
        return Finding.wrong("tenants", text, advice)
    if not security["is_whole"]:
        return Finding.ok("tenants", "a reader sees what policies of yours show it")
    known = ", ".join(_known(security))
    text = "a reader sees the events of the tenant in pglog_audit.tenant"
    return Finding.ok("tenants", text, f"Besides: {known}." if known else None)


def _faults(subject: Subject, security: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what is wrong, first what other faults may follow from."""
    if not security["is_on"] and security["has_policies"]:
        yield (
            "there are policies, but row-level security is off: who reads sees the events of all tenants",
            f"As {subject.owner}: ALTER TABLE {subject.name} ENABLE ROW LEVEL SECURITY;",
        )
    for relation in security["forced"]:
        yield (
            f"row-level security binds {subject.owner} too, who then maintains {relation} without seeing its rows",
            f"As {subject.owner}: ALTER TABLE {relation} NO FORCE ROW LEVEL SECURITY;",
        )
    for view in security["open_views"]:
        yield (
            f"{view} shows the events of all tenants, by its owner's rights",
            f"ALTER VIEW {view} SET (security_invoker = true);",
        )
    for copy in security["copies"]:
        yield (
            f"{copy} is a materialized view: it holds events of all tenants, and no policy binds who reads it",
            f"REVOKE ALL ON {copy} FROM whoever shall see one tenant, or DROP MATERIALIZED VIEW {copy};",
        )
    if security["is_whole"] is False:
        yield (
            "policy read_own_tenant is not as init makes it",
            f"As {subject.owner}: DROP POLICY read_own_tenant ON {subject.name}; then {_init(subject, 'ROLE')}",
        )
    for role in security["blind"]:
        yield f"{role} may read, and no policy shows it a row", _init(subject, role)


def _init(subject: Subject, role: str) -> str:
    table = [] if subject.table == "audit_log" else ["--table", subject.table]
    return shlex.join(["pglog-audit", "init", "--rls", "--reader", role, *table])


def _known(security: dict[str, Any]) -> Iterator[str]:
    yield from (f"{role}, whom no policy binds" for role in security["unbound"])
    yield from (f"those that policy {policy} is for" for policy in security["other_policies"])
    yield from (f"policy {policy} hides events" for policy in security["narrowing"])
