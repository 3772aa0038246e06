"""Objects that a configuration names."""

import logging.handlers

import pytest

from pglog_audit.errors import ConfigurationError
from pglog_audit.references import resolve


def test_an_attribute_of_a_module_is_loaded():
    """The part after the colon is looked up in the module."""
    assert resolve("pool", "logging.handlers:QueueHandler") is logging.handlers.QueueHandler


def test_an_attribute_of_an_attribute_is_loaded():
    """Dots after the colon lead further, to a method or a member of a class."""
    assert resolve("pool", "logging.handlers:QueueHandler.emit") is logging.handlers.QueueHandler.emit


@pytest.mark.parametrize("reference", ["", ":", "logging", "logging:", ":INFO", "logging.INFO", ".x:y"])
def test_another_spelling_is_refused(reference):
    """The error names the option and the form."""
    with pytest.raises(ConfigurationError, match=rf"pool='{reference}' must be written 'module:attribute'"):
        resolve("pool", reference)


@pytest.mark.parametrize(
    "reference", ["no_such_module:x", "logging:no_such_name", "logging:INFO.x", "logging..x:y", "logging:.x"]
)
def test_what_does_not_exist_is_refused(reference):
    """The error names the option, the reference and what is missing."""
    with pytest.raises(ConfigurationError, match=rf"pool='{reference}' cannot be loaded: "):
        resolve("pool", reference)


def test_a_module_that_raises_is_refused(tmp_path, monkeypatch):
    """What it raises is told by its type and text."""
    (tmp_path / "raising.py").write_text("int('x')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="pool='raising:x' cannot be loaded: ValueError: invalid literal"):
        resolve("pool", "raising:x")
