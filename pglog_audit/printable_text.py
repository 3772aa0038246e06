"""Row data made harmless for its readers: anyone who is logged can put any text into an audit row."""

import re
import unicodedata

# Letters and marks by category, yet nothing on the screen; not the selectors U+FE0E and U+FE0F, which emoji carry.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""
    Return *text* with everything that a reader would not see as itself written as an escape: ``\x1b``, ``\u202e``.

    Control characters (terminal sequences, line ends, tabs), bidirectional overrides and isolates (CVE-2021-42574),
    zero-width, private, unassigned and invisible characters, and what *encoding* has no bytes for. A backslash stays
    as it is: use JSON where the exact text matters.
    """
    shown = text if text.isprintable() and text.isascii() else "".join(map(_printable, text))
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _printable(character: str) -> str:
    # Spaces of other widths are not "printable" to Python, but ordinary in French and Japanese names.
    visible = character.isprintable() or unicodedata.category(character) == "Zs"
    if visible and not _INVISIBLE.match(character):
        return character
    return character.encode("unicode_escape").decode("ascii")
