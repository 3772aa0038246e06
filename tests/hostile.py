"""What an attacker logs in the hope that somebody reads it: on a terminal, in a spreadsheet, in a program."""

import unicodedata

from hypothesis import strategies as st

from pglog_audit import AuditEvent

ATTACKS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x07",
    "\x1b]0;title\x07",
    "\x9b2J\x85\x90",
    "[red]x[/red]",
    "[link=http://x]y[/link]",
    "[/",
    ":smile:",
    "\u202eabc\u2069",
    "a\u200bb\ufeff",
    "one\r\ntwo\rthree\ttab",
    "\u2028\u2029\x7f",
    "=1+1",
    '  "=cmd|calc',
    "-2+3;=1+1",
    "@SUM(1)",
    "\t=1",
    "\r+1",
    "\uff1d1",
)

_SIGNS = {*"=+-@\uff1d\uff0b\uff0d\uff20"}
_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}

any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(ATTACKS)

_TEXTS = ("action", "user_label", "entity_type", "target_label", "request_id", "outcome", "message")
_IDS = ("id", "user_id", "event_id", "target_id", "impersonator_id")

hostile_events: st.SearchStrategy[AuditEvent] = st.builds(
    AuditEvent,
    **dict.fromkeys((*_TEXTS, *_IDS), any_text),
    metadata=st.dictionaries(any_text, any_text),
    changes=st.dictionaries(any_text, st.lists(any_text, max_size=3)),
    extra=st.dictionaries(any_text, any_text),
)


def acting(text: str, allowed: str = "\n") -> set[str]:
    """Return the characters of *text* that act on a terminal or hide from a reader, but those that are *allowed*."""
    return {c for c in text if unicodedata.category(c) in _HIDDEN} - set(allowed)


def is_formula(field: str) -> bool:
    """Tell whether a spreadsheet could take *field*, or what follows a semicolon in it, for a formula."""
    return any(part.lstrip().lstrip("\"'").lstrip()[:1] in _SIGNS and part[:1] != "'" for part in field.split(";"))
