"""The integrations where their framework is not installed."""

import subprocess
import sys

import pytest

NAMES = {"celery": "celery>=5.4", "django": "django>=4.2", "flask": "flask>=3"}


def run(program: str) -> "subprocess.CompletedProcess[str]":
    """Run *program* in a Python that finds none of the frameworks."""
    blocked = [*NAMES, "asgiref", "fastapi", "starlette"]
    preface = f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"
    return subprocess.run([sys.executable, "-W", "error", "-c", preface + program], capture_output=True, text=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_integration_says_what_to_install(name) -> None:
    """One line names the package, and the version from which on it will do."""
    done = run(f"import pglog_audit.integrations.{name}")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("ImportError: ")]
    framework = name.capitalize()
    assert line == (f"ImportError: pglog_audit.integrations.{name} needs {framework}: pip install '{NAMES[name]}'")


def test_the_core_needs_none_of_them() -> None:
    """All that is public loads without a framework, and so do the middlewares that need none."""
    done = run(
        "import pglog_audit\n"
        "from pglog_audit.integrations import asgi, starlette, wsgi\n"
        "print(*[name for name in pglog_audit.__all__ if getattr(pglog_audit, name) is None])"
    )
    assert (done.stdout, done.stderr) == ("\n", "")
