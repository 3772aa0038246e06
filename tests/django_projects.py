"""Django projects for tests: their programs, and the databases that their settings name."""

import json
import subprocess
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from tests.conftest import Database
from tests.support import run_program

ID_COLUMNS = (
    "SELECT attname, atttypid::regtype::text AS type FROM pg_attribute"
    " WHERE attrelid = 'audit_log'::regclass AND attname IN ('user_id', 'impersonator_id', 'target_id') ORDER BY 1"
)


def run(
    program: str, database: Database, *arguments: str, status: int = 0, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run one of the Django programs as the owner, to its end."""
    done = run_program(f"{program}.py", database.owner, *arguments, python=("-W", "error"), **environ)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def manage(database: Database, *arguments: str, **environ: str) -> str:
    """Run a command of ``manage.py``, and return what it printed."""
    return run("django_shop", database, *arguments, **environ).stdout


def settings_of(database: Database) -> dict[str, Any]:
    """Return the entry of ``DATABASES`` for *database*."""
    parts = conninfo_to_dict(database.owner)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        **{name: parts.get(name.lower(), "") for name in ("USER", "PASSWORD", "HOST", "PORT")},
    }


def others(**settings: Any) -> dict[str, str]:
    """Return the environment of a project with other *settings*."""
    return {"OTHERS": json.dumps(settings)}
