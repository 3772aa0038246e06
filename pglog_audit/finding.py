"""What a check has found: its name, how it stands, and what to do."""

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

Status: TypeAlias = Literal["ok", "wrong", "hidden"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    status: Status
    """``hidden``: not visible from here, which is no failure."""
    text: str
    """What is the case."""
    advice: str | None = None
    """What to do; where nothing is wrong, what to know."""

    @classmethod
    def ok(cls, name: str, text: str, advice: str | None = None) -> Self:
        """Return the finding that all is well."""
        return cls(name, "ok", text, advice)

    @classmethod
    def wrong(cls, name: str, text: str, advice: str) -> Self:
        """Return the finding that something must be done."""
        return cls(name, "wrong", text, advice)

    @classmethod
    def hidden(cls, name: str, text: str, advice: str | None = None) -> Self:
        """Return the finding that nothing can be told from here."""
        return cls(name, "hidden", text, advice)
