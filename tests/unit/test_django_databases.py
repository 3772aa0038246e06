"""Where Django's databases are, as far as that needs no project."""

import subprocess
import sys

from pglog_audit.integrations.django.databases import DatabaseConninfo, is_test_run


def test_pytest_runs_tests() -> None:
    """A project that is tested by pytest, with a plugin or without, has its own databases left alone as well."""
    assert is_test_run()


def test_a_process_of_its_own_runs_none() -> None:
    """A server that a test starts is not itself a test."""
    program = "from pglog_audit.integrations.django.databases import is_test_run; print(is_test_run())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_handlers_of_one_database_share_a_writer() -> None:
    """Their conninfo is the same, which is what a writer is found by."""
    assert DatabaseConninfo("default") == DatabaseConninfo("default") != DatabaseConninfo("audit")
