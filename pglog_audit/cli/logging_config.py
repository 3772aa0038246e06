"""The logging half of ``doctor``: an application's configuration, applied in this process and looked at."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from logging.config import dictConfig
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..finding import Finding
from ..logging_check import inspect
from ..logging_routes import find_loggers, is_off, options_of, routes
from ..options import WriterOptions
from ..references import resolve


@dataclass(frozen=True)
class LoggingHalf:
    """What was found, and where our handlers write to."""

    findings: tuple[Finding, ...]
    targets: tuple[WriterOptions, ...] = ()
    """Of the handlers that name a database, each once."""


def examine_logging(reference: str, logger: str | None) -> LoggingHalf:
    """
    Apply the configuration *reference* names and look at *logger*, or at each logger that has a handler of ours.

    :param reference: ``module:LOGGING``, a dict or a callable that returns one, or the path of a JSON file.
    :raises ConfigurationError: there is no such configuration.
    """
    _look_here_first()
    config = _load(reference)
    if (refusal := _apply(config)) is not None:
        advice = "Mend the configuration: the application itself stops at this."
        return LoggingHalf((Finding.wrong("config", f"{reference} is refused: {refusal}", advice),))
    loggers = [logging.getLogger(logger)] if logger is not None else find_loggers()
    findings = [_describe(reference, config), *_inspect(reference, loggers)]
    return LoggingHalf(tuple(dict.fromkeys(findings)), tuple(dict.fromkeys(_targets(loggers))))


def _look_here_first() -> None:
    """Import as ``python -m`` does, to the end: what a configuration names may be imported late, as a pool is."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _load(reference: str) -> dict[str, Any]:
    config = _read(reference) if reference.endswith(".json") else resolve("--config", reference)
    if callable(config):
        config = _call(reference, config)
    if not isinstance(config, dict):
        raise ConfigurationError(f"--config {reference} is a {type(config).__name__}: it must be a dict for dictConfig")
    return config


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--config {path} cannot be read: {error}") from error


def _call(reference: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # the application's own code
        raise ConfigurationError(
            f"--config {reference} was called and raised {type(error).__name__}: {error}; name a dict for dictConfig, "
            "or a function without parameters that returns one"
        ) from error


def _apply(config: dict[str, Any]) -> str | None:
    """Configure logging and return why it is refused; dictConfig's own text says only which handler it is."""
    try:
        dictConfig(config)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        return f"{error}: {error.__cause__}" if error.__cause__ else str(error)
    return None


def _describe(reference: str, config: dict[str, Any]) -> Finding:
    if config.get("disable_existing_loggers", True) and not config.get("incremental"):
        advice = 'Loggers made before it is applied fall silent: write "disable_existing_loggers": False.'
        return Finding.ok("config", f"{reference} is applied; it disables existing loggers", advice)
    return Finding.ok("config", f"{reference} is applied")


def _inspect(reference: str, loggers: list[logging.Logger]) -> Iterator[Finding]:
    if not loggers:
        advice = 'Add "audit": {"class": "pglog_audit.AuditHandler"} to its handlers, and name it under a logger.'
        yield Finding.wrong("logger", f"no logger in {reference} has a handler of pglog_audit", advice)
    for logger in loggers:
        yield from inspect(logger, is_running=False)


def _targets(loggers: list[logging.Logger]) -> Iterator[WriterOptions]:
    for logger in loggers:
        for route in routes(logger):
            for end in route.ends:
                options = options_of(end)
                if options and options.configured and not is_off(end):
                    yield options
