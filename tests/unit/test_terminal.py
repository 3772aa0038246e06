"""Row data shown on a terminal shows itself and does nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pglog_audit.cli.terminal import printable


@pytest.mark.parametrize(
    "text", ["plain", "Zoë Müller", "山田\u3000太郎", "12\u00a0€", "C:\\temp", "[red]", "✔\ufe0f", "שלום"]
)
def test_ordinary_text_stays(text: str) -> None:
    """Text that shows what it is, in any script, is not touched."""
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("\x07\x7f\x00", r"\x07\x7f\x00"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("\u202e\u2066\u2069\u200e\u200f\u061c", r"\u202e\u2066\u2069\u200e\u200f\u061c"),
        ("ad\u200bmin\ufeff\u00ad", r"ad\u200bmin\ufeff\xad"),
        ("\u3164\u034f\U000e0100\ufe00", r"\u3164\u034f\U000e0100\ufe00"),
        ("\ue000\U000e0041\ud800\uffff", r"\ue000\U000e0041\ud800\uffff"),
    ],
    ids=["escape", "c1", "bell", "line-ends", "separators", "bidi", "zero-width", "invisible", "private"],
)
def test_what_acts_or_hides_is_escaped(text: str, shown: str) -> None:
    """A character that would act on the terminal, or not be seen, is written as an escape."""
    assert printable(text) == shown


def test_what_the_terminal_cannot_encode_is_escaped() -> None:
    """A terminal without Unicode gets escapes rather than an error."""
    assert printable("Zoë 山", "latin-1") == r"Zoë \u5c71"


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_is_dangerous(text: str) -> None:
    """Whatever the text, only visible characters and spaces come out."""
    categories = {unicodedata.category(character) for character in printable(text)}
    assert categories.isdisjoint({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
