"""The one public door: what it shows, and what it loads."""

import ast
import importlib.metadata
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pglog_audit

ROOT = Path(__file__).parents[2]


def run(program, *, failing=False, **environ):
    """Run *program* in a Python of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environ}
    )
    assert bool(done.returncode) is failing, done.stderr
    return done.stderr if failing else done.stdout


def test_every_name_loads():
    """What ``__all__`` promises is there."""
    assert [name for name in pglog_audit.__all__ if getattr(pglog_audit, name, None) is None] == []


def test_a_star_import_gives_the_public_names():
    """``from pglog_audit import *`` gives ``__all__`` and nothing else."""
    given = {}
    exec("from pglog_audit import *", given)
    assert sorted(given.keys() - {"__builtins__"}) == sorted(pglog_audit.__all__)


def test_type_checkers_see_the_same_names():
    """What is declared for type checkers and editors is what loads."""
    tree = ast.parse(inspect.getsource(pglog_audit))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(declared) == sorted(pglog_audit.__all__)
    assert all(getattr(pglog_audit, name).__module__ == f"pglog_audit.{module}" for name, module in declared.items())


def test_dir_lists_the_public_names():
    """Completion in a shell offers them before their first use."""
    assert set(dir(pglog_audit)) >= set(pglog_audit.__all__)


@pytest.mark.parametrize("name", ["no_such_name", "Audit", "_private"])
def test_an_unknown_name_is_an_attribute_error(name):
    """hasattr() and getattr() with a default work as everywhere."""
    with pytest.raises(AttributeError, match=f"module 'pglog_audit' has no attribute '{name}'"):
        getattr(pglog_audit, name)


@pytest.mark.parametrize("name", pglog_audit.__all__)
def test_every_public_name_is_documented(name):
    """Each public name has a docstring of its own, and so has each of its public methods."""
    public = getattr(pglog_audit, name)
    assert public.__doc__
    methods = [m for n, m in vars(public).items() if not n.startswith("_")] if inspect.isclass(public) else []
    assert [m.__qualname__ for m in methods if inspect.isfunction(m) and not m.__doc__] == []


LIGHT = [
    "audit",
    "audit_action",
    "audit_context",
    "audit_many",
    "bind_audit_context",
    "current_action",
    "AuditAction",
    "AuditEvent",
    "AuditError",
    "ConfigurationError",
    "SchemaError",
]


@pytest.mark.parametrize("name", LIGHT)
def test_what_reports_an_event_needs_no_database_driver(name):
    """Code that only logs loads neither psycopg nor the encoder."""
    loaded = run(f"import sys; from pglog_audit import {name}; print(*sys.modules)").split()
    assert not {"psycopg", "psycopg_pool", "orjson", "pythonjsonlogger", "uuid_utils"} & set(loaded)


def test_the_package_alone_loads_nothing():
    """``import pglog_audit`` loads none of its modules."""
    loaded = run("import sys, pglog_audit; print(*sys.modules)").split()
    assert [name for name in loaded if name.startswith("pglog_audit.")] == []


WITHOUT_LIBPQ = """
import ctypes.util, sys
sys.modules["psycopg_c"] = sys.modules["psycopg_binary"] = None
ctypes.util.find_library = lambda name: None
"""


def test_a_missing_libpq_is_one_sentence():
    """Without libpq the error says what to install."""
    shown = run(f"{WITHOUT_LIBPQ}\nfrom pglog_audit import AuditHandler", failing=True)
    assert shown.splitlines()[-1] == (
        "ImportError: psycopg found no libpq: pip install 'pglog-audit[binary]' brings one"
    )


def test_without_libpq_an_event_can_be_reported():
    """Code that logs runs where no driver is installed: the audit extra is just a dict."""
    program = f"{WITHOUT_LIBPQ}\nfrom pglog_audit import audit\nprint(audit('a.b'))"
    assert run(program) == "{'audit': {'action': 'a.b'}}\n"


def test_without_the_libraries_of_others_all_loads():
    """SQLAlchemy, Django, pytest and the frameworks are the application's: nothing of ours imports them."""
    absent = ["sqlalchemy", "django", "pytest", "sentry_sdk", "starlette", "flask", "celery", "asyncpg"]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))
import pglog_audit, pglog_audit.testing
for name in pglog_audit.__all__:
    getattr(pglog_audit, name)
for call in (pglog_audit.insert_event, lambda c, extra: pglog_audit.audit_on_commit(c, "a", "b", extra=extra)):
    try:
        call(object(), pglog_audit.audit("a.b"))
    except pglog_audit.AuditError as error:
        print(str(error).split(":")[0])
"""
    assert run(program).splitlines() == [
        "insert_event takes a connection of psycopg or Django, or a Session or Connection of SQLAlchemy, not a "
        "builtins.object",
        "audit_on_commit takes a Session or AsyncSession of SQLAlchemy or a connection of Django",
    ]


def test_another_import_error_is_not_hidden():
    """Only the missing libpq has a sentence of ours."""
    shown = run("import sys; sys.modules['psycopg_pool'] = None\nfrom pglog_audit import AuditHandler", failing=True)
    assert "psycopg_pool" in shown.splitlines()[-1]


def test_the_version_is_the_installed_one():
    """The version stands once, in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert importlib.metadata.version("pglog-audit") == project["version"]


def test_errors_can_be_caught_by_one_name():
    """Everything that the package raises on purpose is an AuditError."""
    assert issubclass(pglog_audit.ConfigurationError, pglog_audit.AuditError)
    assert issubclass(pglog_audit.SchemaError, pglog_audit.AuditError)
    assert issubclass(pglog_audit.ConfigurationError, ValueError)
