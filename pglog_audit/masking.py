"""Which names hold secrets, and what stands in place of their values."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from itertools import chain
from numbers import Number
from typing import Any, TypeAlias

from .errors import ConfigurationError
from .named_values import names_in_pair, with_values

MaskWith: TypeAlias = str | Callable[[str, Any], Any]
MAX_NAME = 256
"""Characters of a name, at most."""

_SECRETS = frozenset(
    """password passwd pwd pw passphrase passcode secret token apikey authorization cookie session credential jwt otp
    cvv cvc csrf xsrf sid sessionid ssn totp pin creditcard debitcard""".split()
) | {
    "api key",
    "access key",
    "account key",
    "auth key",
    "encryption key",
    "master key",
    "private key",
    "secret key",
    "session id",
    "session key",
    "shared key",
    "signing key",
    "ssh key",
    "storage key",
    "authorization code",
    "backup code",
    "mfa code",
    "pin code",
    "totp code",
    "secret answer",
    "security answer",
    "otp code",
    "recovery code",
    "verification code",
    "card number",
    "pin number",
    "basic auth",
}
# Words that, run together without a separator, still end in a secret: "dbpassword", "csrfmiddlewaretoken".
_ENDINGS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "privatekey",
    "accesskey",
    "sessionid",
    "sessid",
    "cookie",
    "authorization",
    "cardnumber",
)
# Behind other words they mean something else: "boarding_pass", "ring_bearer".
_ALONE = (["bearer"], ["pass"])
# What may follow a secret's name and still carry the secret: "password_hash", "api_key_value", "password2".
_CARRIERS = frozenset(
    """again b64 base64 confirm confirmation current data digest encoded encrypted hash hashed header new old pem plain
    plaintext raw repeat string text v value""".split()
)

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATOR = re.compile(r"[\W_]+")

# A text of 256 kB must not take quadratic time: a name begins at a border and is at most 64 long.
# "name=" and "--name=", and "'name': " as a dict or JSON that was printed has it, and with backslashes JSON in JSON.
_ASSIGNMENT = re.compile(r"""(?<![\w.\-])-*([A-Za-z_][\w.\-]{0,63})(?:=|\\*["']\s{0,8}:\s{0,8})""")
_QUOTED_NAME = re.compile(r"""(?:'|\\")(?:\s|\\[a-z][\da-f]*){0,8}:""")
"""The end of a name that was printed, or is JSON, inside a text of JSON; a white space may be escaped."""
# What has an end of its own, as repr() writes it: b'...', [...], {...} and Token(...).
_ENCLOSED = re.compile(r"""[bru]{0,2}(?=\\*["'])|[A-Za-z_][\w.]*(?=\()|(?=[(\[{])""")
_SIGN = re.compile(r"""(?<!\\)(\\*)(["'])|([(\[{])|[)\]}]""")
_WORD = re.compile(r"""[^\s&;,#"'<>]+|<[^>]*>?""")
# A password may go on behind a bracket of its own; a bracket of what stands around it is left.
_AFTER_BRACKET = re.compile(r"""(?:[)\]}]*[^\s&;,#"'<>)\]}])*""")

_BEARER = re.compile(r"""\b(bearer)\s+[^\s"',;]+""", re.IGNORECASE)
_SCHEMES = "apikey|aws4-hmac-sha256|basic|bearer|digest|negotiate|oauth|token"
# The quote behind 'Basic aGk6eA=' is not one of 'Token token="..."'.
_PARAMETER = r"""[\w-]{1,64}=(?:"(?![\s,;)\]}])[^"]*"|[^\s"',;=][^\s"',;]*)"""
_CREDENTIAL = rf"""(?:{_PARAMETER}(?:\s{{0,8}},\s{{0,8}}{_PARAMETER})*|[^\s"',;]+)"""
# A first word that is unknown may be the scheme or the secret: both it and the next one go, but no other line's.
# Without a blank it stays: in JSON without one nobody looks for a header.
_HEADER = re.compile(
    rf"""\b(authorization\s{{0,8}})(?:([:=]\s{{0,8}}(?:{_SCHEMES})\s+){_CREDENTIAL}"""
    rf"""|(:[^\S\r\n]{{1,8}})(?!(?:denied|failed|granted|missing|none|null|ok|required)\b)"""
    rf"""{_CREDENTIAL}(?:[^\S\r\n]+{_CREDENTIAL})?)""",
    re.IGNORECASE,
)
# Up to the last "@", which people forget to encode; or to where a long text was cut. A user alone,
# or with a password that says nothing, may be a token.
_USERINFO = re.compile(r"(://)(?:[A-Za-z0-9_-]{20,}+(?::(?:x-oauth-basic)?)?|([^\s/:@]*:)[^\s/]+)(@|…$)")


def _words(name: str) -> list[str]:
    """Split snake_case, kebab-case and camelCase into lower-case words without the digits at their ends."""
    words = _SEPARATOR.split(_HUMP.sub("_", unicodedata.normalize("NFKC", name)).casefold())
    return [bare for word in words if (bare := word.rstrip("0123456789"))]


class Masker:
    """
    Replace secrets by a mask.

    :param mask: further names whose values are secrets (``"iban"``, ``"tax number"``).
    :param unmask: names that are none here: a whole name (``"page_token"``) or one of the built-in words.
    :param mask_with: the mask, or a callable that gets name and value and returns what is stored instead.
    :raises ConfigurationError: a list of names is not one, or has what is no name.
    """

    def __init__(self, mask: Iterable[str] = (), unmask: Iterable[str] = (), mask_with: MaskWith = "***") -> None:
        added, removed = _names("mask", mask), _names("unmask", unmask)
        self._secrets = (_SECRETS | added) - removed
        self._longest = max((name.count(" ") + 1 for name in self._secrets), default=0)
        self._endings = tuple(ending for ending in _ENDINGS if ending not in removed)
        self._removed = removed
        if not isinstance(mask_with, str) and not callable(mask_with):
            raise ConfigurationError(f"mask_with must be a text or a callable of name and value, not {mask_with!r}")
        self._mask_with = mask_with

    def is_secret(self, name: str) -> bool:
        """Tell whether values under *name* are secrets."""
        words = _words(name)
        if " ".join(words) in self._removed:
            return False
        while words not in _ALONE and not self._ends_in_secret(words):
            if len(words) < 2 or words[-1] not in _CARRIERS:
                return False
            words.pop()
        return True

    def _ends_in_secret(self, words: list[str]) -> bool:
        if not words:
            return False
        singular = [*words[:-1], words[-1].removesuffix("s")]
        return any(
            form[-1].endswith(self._endings)
            or "".join(form[-2:]) in self._secrets  # "passWord", "pass_word"
            or any(" ".join(form[-n:]) in self._secrets for n in range(1, self._longest + 1))
            for form in (words, singular)
        )

    def mask(self, name: str, value: Any) -> Any:
        """Return what is stored in place of *value*, found under the secret *name*."""
        try:
            if isinstance(value, list | tuple):
                # ``changes`` keeps its shape, [old, new]; a list in the list may be the list itself.
                return [self._mask(name, item) for item in value[:100]]
            return self._mask(name, value)
        except Exception:  # noqa: BLE001 - the user's code must neither fail the log call nor let the secret through
            return "***"

    def _mask(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, Number):
            return value
        return self._mask_with if isinstance(self._mask_with, str) else self._mask_with(name, value)

    def mask_pair(self, name: str, pair: Any) -> Any:
        """Return *pair*, of the secret *name* and a value, as of a header, with that masked."""
        return with_values(pair, partial(self.mask, name))

    def secret_in_pair(self, item: Any) -> str | None:
        """Return the name of a secret that *item* of a list has beside a value, or None."""
        for name in chain.from_iterable(map(_readings, names_in_pair(item))):
            if isinstance(name, bytes | bytearray | memoryview):
                name = bytes(name[: MAX_NAME + 1]).decode(errors="replace")
            if isinstance(name, str):
                text = str.__str__(name)
                if len(text) <= MAX_NAME and self.is_secret(text):
                    return text
        return None

    def mask_text(self, text: str) -> str:
        """Mask ``Authorization: …``, ``token=…``, ``"token": …`` and the password or token of a URL inside *text*."""
        # First, because the blank after "Bearer" would end the value of "authorization=Bearer ...".
        text = _BEARER.sub(r"\1 ***", _HEADER.sub(r"\1\2\3***", text))
        if "=" in text or ":" in text:
            text = self._mask_assignments(text)
        return _USERINFO.sub(r"\1\2***\3", text) if "://" in text else text

    def _mask_assignments(self, text: str) -> str:
        kept: list[str] = []
        begin = 0
        # The value of a name that is no secret is searched too: "url=https://host/?token=...".
        for match in _ASSIGNMENT.finditer(text):
            if match.start() >= begin and self.is_secret(match[1]):
                end = _end_of_value(text, match.end())
                if end > match.end():
                    kept += [text[begin : match.end()], "***"]
                    begin = end
        return "".join((*kept, text[begin:]))


def _end_of_value(text: str, begin: int) -> int:
    """Return where the value at *begin* ends; *begin* if there is none."""
    enclosed = _ENCLOSED.match(text, begin)
    if enclosed:
        begin = _end_of_enclosed(text, enclosed.end())
        if text[enclosed.end()] not in "([{":
            return begin
    word = (_AFTER_BRACKET if enclosed else _WORD).match(text, begin)
    return word.end() if word else begin


def _end_of_enclosed(text: str, begin: int) -> int:
    """Return where the quote or bracket at *begin* is closed; the end of *text* if it never is, as where it was cut."""
    quote, depth = None, 0
    for sign in _SIGN.finditer(text, begin):
        if quote is None and not sign[2]:
            depth += 1 if sign[3] else -1
        elif quote is None:
            quote = sign
        elif sign[2] == quote[2]:
            if len(sign[1]) <= len(quote[1]):
                quote = None
            # A quote inside has more backslashes; where there are yet more, nobody knows which brackets count.
            elif depth and len(sign[1]) != 2 * len(quote[1]) + 1:
                return len(text)
        if quote is None and depth <= 0:
            return sign.end()
    return len(text)


def _readings(name: Any) -> tuple[Any, ...]:
    return (name.value, name.name) if isinstance(name, Enum) else (name,)


def may_hold_secret(line: str) -> bool:
    """Tell whether a text in *line* has a hint of a secret, and wants a longer look."""
    # One character is found at the speed of memory; only where it stands is there need for more.
    return (
        "=" in line
        or ("/" in line and "://" in line)
        or (("'" in line or "\\" in line) and _QUOTED_NAME.search(line) is not None)
        or ((" " in line or "\\" in line or not line.isascii()) and _may_hold_header(line.lower()))
    )


def _may_hold_header(line: str) -> bool:
    """Tell whether a header with a credential may stand in *line*, in which there is white space."""
    # For a regular expression that ignores case, the letter i has a dotless and a dotted sister.
    return "bearer" in line or ("zat" in line and "author" in line)


def _names(option: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"{option} must be a list of names, not {names!r}")
    given = list(names)
    for name in given:
        if not (isinstance(name, str) and _words(name)):
            raise ConfigurationError(f"{option} has {name!r}, which is no name: write words, as in {option}=['iban']")
    return frozenset(" ".join(_words(name)) for name in given)
