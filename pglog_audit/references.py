"""Objects that a configuration names as ``"module:attribute"``."""

from importlib import import_module
from operator import attrgetter
from typing import Any

from .errors import ConfigurationError


def resolve(option: str, reference: str) -> Any:
    """
    Return the object that *reference*, ``"module:attribute"``, names.

    :raises ConfigurationError: there is no such module or attribute, or the module raises; the message names *option*.
    """
    module, colon, attribute = reference.partition(":")
    if not (module and colon and attribute) or module.startswith("."):
        raise ConfigurationError(f"{option}={reference!r} must be written 'module:attribute'")
    try:
        return attrgetter(attribute)(import_module(module))
    except Exception as error:  # the application's own code
        raise ConfigurationError(f"{option}={reference!r} cannot be loaded: {type(error).__name__}: {error}") from error
