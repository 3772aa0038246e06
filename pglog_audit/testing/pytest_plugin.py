"""The plugin of pytest: test runs write no event, and a test can ask which there were."""

from collections.abc import Generator
from contextlib import ExitStack

import pytest

from ..context import kept_context
from ..errors import ConfigurationError
from .capturing import Ear, capture_audit, writing
from .events import CapturedEvents

_events = pytest.StashKey[CapturedEvents]()
_ears = pytest.StashKey[list[Ear]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of pytest's own configuration file."""
    parser.addini("audit_capture", "false: handlers write as they are configured (default: true)", "bool", default=True)
    parser.addini("audit_id_types", "types of id columns that are not uuid: target_id=bigint", "args", default=[])
    parser.addini("audit_loggers", "loggers to hear though no audit handler is configured", "args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Capture from now on, what is logged while tests are collected included."""
    config.addinivalue_line("markers", "audit_writes: audit handlers write in this test as they are configured")
    config.stash[_ears] = [Ear(name) for name in config.getini("audit_loggers")]
    if config.getini("audit_capture"):
        stack = ExitStack()
        id_types = dict(each.partition("=")[::2] for each in config.getini("audit_id_types"))
        try:
            config.stash[_events] = stack.enter_context(capture_audit(id_types=id_types or None))
        except ConfigurationError as error:
            raise pytest.UsageError(f"audit_id_types: {error}") from None
        for ear in config.stash[_ears]:
            stack.callback(ear.close)
        config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Begin each test without events and what others bound, and let the one that is marked for it write."""
    events = item.config.stash.get(_events, None)
    with ExitStack() as stack:
        stack.enter_context(kept_context())
        if events is not None and item.get_closest_marker("audit_writes"):
            stack.enter_context(writing())
        elif events is not None:
            events.clear()
            for ear in item.config.stash[_ears]:
                ear.open()
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the events with a test that failed and that asked for them."""
    report = yield
    events = item.config.stash.get(_events, None)
    if report.failed and events is not None and "audit_events" in getattr(item, "fixturenames", ()):
        report.sections.append(("Captured audit events", events.text()))
    return report


@pytest.fixture
def audit_events(request: pytest.FixtureRequest) -> CapturedEvents:
    """Return the events that this test logged so far."""
    events = request.config.stash.get(_events, None)
    if events is None or request.node.get_closest_marker("audit_writes"):
        pytest.fail("audit_events: nothing is captured where audit handlers write (audit_capture, audit_writes)")
    return events
