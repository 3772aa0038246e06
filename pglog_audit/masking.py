"""Which names hold secrets, and what stands in place of their values."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from .errors import ConfigurationError

MaskWith: TypeAlias = str | Callable[[str, Any], Any]

_SECRETS = frozenset(
    """password passwd pwd pw passphrase passcode secret token apikey authorization cookie session credential jwt otp
    cvv cvc csrf xsrf sid sessionid""".split()
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
    "otp code",
    "recovery code",
    "verification code",
    "card number",
}
# Words that, run together without a separator, still end in a secret: "dbpassword", "csrfmiddlewaretoken".
_ENDINGS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "privatekey",
    "accesskey",
    "sessionid",
    "cookie",
    "authorization",
)
# What may follow a secret's name and still carry the secret: "password_hash", "api_key_value", "password2".
_CARRIERS = frozenset(
    """again b64 base64 confirm confirmation current data digest encoded encrypted hash hashed header new old pem plain
    plaintext raw repeat string text value""".split()
)

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATOR = re.compile(r"[\W_]+")

# A text of 256 kB must not take quadratic time: a name begins at a border and is at most 64 long.
_ASSIGNMENT = re.compile(r"""(?<![\w.\-])([A-Za-z_][\w.\-]{0,63})=("[^"]*"|'[^']*'|[^\s&;,#"'<>]+)""")
_BEARER = re.compile(r"""\b(bearer)\s+[^\s"',;]+""", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/:@]*:)[^\s/@]+@")


def _words(name: str) -> list[str]:
    """Split snake_case, kebab-case and camelCase into lower-case words without the digits at their ends."""
    words = _SEPARATOR.split(_HUMP.sub("_", name).casefold())
    return [bare for word in words if (bare := word.rstrip("0123456789"))]


class Masker:
    """
    Replace secrets by a mask.

    :param mask: further names whose values are secrets (``"iban"``, ``"tax number"``).
    :param unmask: names that are none here: a whole name (``"page_token"``) or one of the built-in words.
    :param mask_with: the mask, or a callable that gets name and value and returns what is stored instead.
    :raises ConfigurationError: a list of names is not one.
    """

    def __init__(self, mask: Iterable[str] = (), unmask: Iterable[str] = (), mask_with: MaskWith = "***") -> None:
        added, removed = _names("mask", mask), _names("unmask", unmask)
        self._secrets = (_SECRETS | added) - removed
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
        while len(words) > 1 and words[-1] in _CARRIERS:
            words.pop()
        return bool(words) and (words == ["pass"] or self._ends_in_secret(words))

    def _ends_in_secret(self, words: list[str]) -> bool:
        singular = [*words[:-1], words[-1].removesuffix("s")]
        return (
            any(" ".join(form[-n:]) in self._secrets for form in (words, singular) for n in (1, 2, 3))
            or singular[-1].endswith(self._endings)
            or words[-1].endswith(self._endings)
        )

    def mask(self, name: str, value: Any) -> Any:
        """Return what is stored in place of *value*, found under the secret *name*."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple):
            # ``changes`` keeps its shape, [old, new].
            return [self.mask(name, item) for item in value[:100]]
        if isinstance(self._mask_with, str):
            return self._mask_with
        try:
            return self._mask_with(name, value)
        except Exception:  # noqa: BLE001 - the user's code must neither fail the log call nor let the secret through
            return "***"

    def mask_text(self, text: str) -> str:
        """Mask ``Bearer …``, ``token=…`` and the password of a URL inside *text*."""
        if "=" in text:
            text = _ASSIGNMENT.sub(self._assignment, text)
        if "://" in text:
            text = _USERINFO.sub(r"\1***@", text)
        return _BEARER.sub(r"\1 ***", text)

    def _assignment(self, match: re.Match[str]) -> str:
        return f"{match[1]}=***" if self.is_secret(match[1]) else match[0]


def _names(option: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"{option} must be a list of names, not {names!r}")
    return frozenset(" ".join(_words(str(name))) for name in names)
