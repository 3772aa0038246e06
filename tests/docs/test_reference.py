"""The tables of README.md against the code: no option, field, parameter or name is missing or misspelt."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

import click
import pytest

import pglog_audit
from pglog_audit import AuditFilter, AuditFormatter, AuditHandler, AuditLog, audit, masking
from pglog_audit.careful_lines import MAX_LINE, MAX_MESSAGE, MAX_TEXT
from pglog_audit.cli.commands import cli
from pglog_audit.conninfo import find_conninfo
from pglog_audit.gaps import GapKind
from pglog_audit.integrations import asgi, wsgi
from pglog_audit.masking import Masker
from pglog_audit.options import HandlerOptions, WriterOptions
from tests.integration.test_attacks import ATTACKS

from .reader import README, names_in, read_tables

TEXT = README.read_text("utf-8")
SIZES = ("max_bytes", "spool_max_bytes")
TIMES = ("flush_interval", "block_timeout", "connect_timeout", "write_timeout", "shutdown_timeout")


def parameters(function: Any) -> dict[str, Any]:
    """Return the names and defaults of what *function* takes by name."""
    given = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in given if each.kind is not inspect.Parameter.VAR_KEYWORD}


def handler_defaults() -> dict[str, Any]:
    """Return the default of every option of the handler."""
    written = {field.name: field.default for field in fields(WriterOptions)}
    options = {**written, **parameters(AuditFormatter), **parameters(AuditHandler)}
    assert options.keys() == {"conninfo", "level", "enabled", *HandlerOptions.__annotations__}
    return options


def shown(name: str, value: Any) -> str:
    """Return the default *value* as the table shows it."""
    if name == "conninfo":
        return "from the environment"
    if name == "level":
        return "`NOTSET`"
    if value is None or value == ():
        return "none"
    if name in TIMES:
        return f"{value:g} s"
    if name in SIZES:
        return f"{value // 1024**2} MiB" if value < 1024**3 else f"{value // 1024**3} GiB"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f'`"{value}"`' if name in ("request_id_from", "mask_with", "fsync") else f"`{value}`"


def test_the_options_table() -> None:
    """It has every option of the handlers, in the order of the code, with its default."""
    [rows] = read_tables("Options")
    assert {names_in(row[0])[0]: row[1] for row in rows} == {
        name: shown(name, value) for name, value in handler_defaults().items()
    }


def test_the_filters_options_stand_together() -> None:
    """README.md says from where to where the options of AuditFilter go."""
    [rows] = read_tables("Options")
    names = [names_in(row[0])[0] for row in rows]
    assert "from `request_id_from`\nto `store_message`" in TEXT
    first, last = names.index("request_id_from"), names.index("store_message")
    assert set(names[first : last + 1]) == set(parameters(AuditFormatter))
    for name in names[first:]:
        AuditFilter(**{name: parameters(AuditFormatter)[name]})


def test_the_fields_table() -> None:
    """It has every field that audit() takes, and no other."""
    [rows] = read_tables("What a log call can say")
    documented = [name for row in rows for name in names_in(row[0])]
    assert sorted(documented) == sorted(parameters(audit).keys() - {"misplaced"})


@pytest.mark.parametrize("middleware", [asgi.AuditMiddleware, wsgi.AuditMiddleware], ids=["asgi", "wsgi"])
def test_the_middlewares_table(middleware: Any) -> None:
    """It has every parameter of AuditMiddleware, of either kind."""
    [rows] = read_tables("Who is acting")
    assert [names_in(row[0])[0] for row in rows] == [name for name in parameters(middleware) if name != "app"]


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its words, those of groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield " ".join([*before, name]), command


def test_the_commands_table() -> None:
    """It has every option and argument of every command, with the commands that take it."""
    [rows] = read_tables("The command line")
    documented = {(option, command) for row in rows for option in names_in(row[0]) for command in names_in(row[1])}
    assert documented == {
        (option, name)
        for name, command in commands(cli)
        for parameter in command.params
        for option in (parameter.opts if isinstance(parameter, click.Option) else [parameter.metavar])
    }


@pytest.mark.parametrize("name", pglog_audit.__all__)
def test_every_public_name_is_mentioned(name: str) -> None:
    """What the package offers, README.md knows."""
    assert re.search(rf"\b{name}\b", TEXT)


@pytest.mark.parametrize("name", [*parameters(AuditLog), *parameters(AuditLog.timeline)])
def test_every_parameter_of_reading_back_is_mentioned(name: str) -> None:
    """Reading back is described whole."""
    assert name == "self" or f"`{name}`" in TEXT.partition("## Reading back")[2].partition("\n## ")[0]


def test_every_kind_of_gap_is_described() -> None:
    """The table has the kinds of the code, and the section what AuditLog.gaps takes."""
    [rows] = read_tables("Gaps")
    assert [names_in(row[0])[0] for row in rows] == [*get_args(GapKind)]
    section = TEXT.partition("## Gaps")[2].partition("\n## ")[0]
    assert all(f"`{name}`" in section for name in parameters(AuditLog.gaps) if name != "self")


def test_the_variables_of_the_environment() -> None:
    """Each of those that README.md lists names the database."""
    [sentence] = re.findall(r"the environment names the database:(.+?) is set\.", TEXT, re.DOTALL)
    names = re.findall(r"`([A-Z_]+)`", sentence)
    assert names == ["PGLOG_AUDIT_CONNINFO", "DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE"]
    assert all(find_conninfo({name: "postgresql://app@db/app"}) is not None for name in names)


def test_the_limits_of_an_event() -> None:
    """The sizes in README.md are those of the code."""
    limits = [f"{size // 1024} KiB" for size in (MAX_TEXT, MAX_MESSAGE, MAX_LINE)]
    assert "A text field holds {}, a message {}, an event {};".format(*limits) in TEXT


def test_the_names_of_secrets() -> None:
    """The table has every name that is masked, and what may follow one; and what is said below it is so."""
    [rows] = read_tables("Masking")
    words, phrases, endings, wholes, carriers = (set(names_in(row[1])) for row in rows)
    assert words == {name for name in masking._SECRETS if " " not in name}
    assert phrases == masking._SECRETS - words
    assert endings == set(masking._ENDINGS)
    assert wholes == {" ".join(name) for name in masking._ALONE}
    assert carriers == masking._CARRIERS
    masked, left = re.findall(r"\nSo (.+?) are masked, and (.+?) are not\.", TEXT)[0]
    assert all(map(Masker().is_secret, names_in(masked)))
    assert not any(map(Masker().is_secret, names_in(left)))


def test_the_attacks() -> None:
    """The table of who can do what has the cells that tests/integration/test_attacks.py tries."""
    [rows] = read_tables("Who can do what")
    assert rows == [[attack.name, *attack.cells] for attack in ATTACKS]


def test_every_promise_leads_to_its_test() -> None:
    """Each link to a test names one that is there."""
    found = re.findall(r'\]\((tests/[\w/]+\.py) "(\w+)"\)', TEXT)
    assert len(found) > 10
    for path, name in found:
        assert f"\ndef {name}(" in (README.parent / path).read_text(), f"{path} has no {name}"
