"""``pglog-audit demo``, run as a reader runs it: in a process, with its own server, over HTTP."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from pglog_audit.demo.tour import Visitor, find_event

MAIN = "from pglog_audit.cli import main; main()"
ACTIONS = {
    "branding.update",
    "collaborator.invite",
    "collaborator.remove",
    "guest.import",
    "guest.check_in",
    "message.send",
}


class Demo:
    """A running demo, whose processes carry a mark in their environment."""

    def __init__(self, *options: str) -> None:
        self.mark = str(uuid4())
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "demo", *options],
            env=os.environ | {"DEMO_MARK": self.mark, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = ""

    def read_until(self, pattern: str) -> str:
        """Return the first group of *pattern* once the demo has printed it."""
        assert self.process.stdout
        while (match := re.search(pattern, self.output)) is None:
            line = self.process.stdout.readline()
            assert line, self.output + (self.process.stderr.read() if self.process.stderr else "")
            self.output += line
        return match[1]

    def finish(self) -> tuple[int, str, str]:
        """Wait for the end; return the exit code and all that was printed."""
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, self.output + output, errors

    def leftovers(self) -> list[Path]:
        """Return the processes that the demo started and that still run."""
        return [file.parent for file in Path("/proc").glob("[0-9]*/environ") if self.mark in _read(file)]


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # another user's, or just gone
        return ""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline


@contextmanager
def kept(*options: str) -> Iterator[Demo]:
    demo = Demo("--keep", *options)
    try:
        yield demo
    finally:
        with demo.process:
            demo.process.terminate()


@contextmanager
def connected(demo: Demo) -> Iterator[psycopg.Connection]:
    """Connect as the text on the screen says."""
    conninfo = shlex.split(demo.read_until(r"psql (.+?)   "))[0]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def run() -> tuple[int, str, str, list[Path]]:
    """Run the demo once, as the README says."""
    demo = Demo()
    return *demo.finish(), demo.leftovers()


def test_it_succeeds_without_a_word_on_stderr(run: tuple[int, str, str, list[Path]]) -> None:
    """The demo ends well, and neither the site nor the server has anything to complain about."""
    code, output, errors, _ = run
    assert (code, errors) == (0, ""), output


def test_the_timeline_shows_every_action(run: tuple[int, str, str, list[Path]]) -> None:
    """Branding, people and messages are in the log."""
    assert set(re.findall(r"\b(?:branding|collaborator|guest|message)\.\w+", run[1])) == ACTIONS


def test_the_timeline_shows_denial_and_failure(run: tuple[int, str, str, list[Path]]) -> None:
    """An audit log is about what did not work, too."""
    assert {"denied", "failure"} <= set(run[1].split())


def test_rows_carry_the_request_ids_of_the_responses(run: tuple[int, str, str, list[Path]]) -> None:
    """Every id that a user saw in a header leads to its row, although SIGTERM ended the site right afterwards."""
    output = run[1]
    answered = re.findall(r" \d{3} ([0-9a-f-]{36})$", output, re.MULTILINE)
    assert len(set(answered)) == 8
    assert re.findall(r"request ([0-9a-f-]{36})", output) == answered[::-1]
    assert "8 requests, 8 rows" in output


def test_no_process_stays_behind(run: tuple[int, str, str, list[Path]]) -> None:
    """Server and site end with the demo."""
    assert run[3] == []


def test_keep_leaves_site_and_table_for_use() -> None:
    """What the screen says works: a request to the site makes a row, and psql finds the table."""
    with kept() as demo, connected(demo) as connection:
        visitor = Visitor(demo.read_until(r"(http://\S+?)/events/"))
        reply = visitor.send("bob", "PATCH", f"/events/{find_event(visitor)}/branding", logo="autumn.svg")
        query = f"SELECT count(*) FROM {demo.read_until(r'TABLE (.+?);')} WHERE request_id = %s"
        wait_until(lambda: connection.execute(query, [reply.request_id]).fetchone() == (1,))
        assert demo.read_until(r"pglog-audit timeline (--conninfo)")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_ends_what_was_kept(number: signal.Signals, code: int) -> None:
    """Ctrl-C is the ordinary end; after SIGTERM, too, neither a process nor a directory is left."""
    with kept() as demo:
        with connected(demo) as connection:
            directory = Path(connection.execute("SHOW data_directory").fetchone()[0])
        demo.process.send_signal(number)
        assert demo.finish()[0] == code
    assert (demo.leftovers(), directory.exists(), directory.parent.exists()) == ([], False, False)


def test_a_killed_demo_takes_its_processes_along() -> None:
    """Not even SIGKILL leaves the site or the server running."""
    with kept() as demo:
        with connected(demo) as connection:
            directory = Path(connection.execute("SHOW data_directory").fetchone()[0])
        demo.process.kill()
        demo.process.wait()
        wait_until(lambda: not demo.leftovers())
    shutil.rmtree(directory.parent)


def test_a_database_of_the_users_own_is_left_as_it_was(empty_database) -> None:
    """With --conninfo the demo's schema and role are gone when it ends."""
    roles, schemas = "SELECT rolname FROM pg_roles ORDER BY 1", "SELECT nspname FROM pg_namespace ORDER BY 1"
    before = empty_database.rows(roles), empty_database.rows(schemas)
    code, output, errors = Demo("--conninfo", empty_database.owner).finish()
    assert (code, errors) == (0, ""), output
    assert (empty_database.rows(roles), empty_database.rows(schemas)) == before


def test_who_may_make_no_role_writes_as_himself(empty_database) -> None:
    """In a database where the user has no CREATEROLE the demo runs all the same, and says what it cannot show."""
    empty_database.execute("GRANT ALL ON DATABASE " + empty_database.name + " TO pglog_writer")
    code, output, errors = Demo("--conninfo", empty_database.writer).finish()
    assert (code, errors) == (0, ""), output
    assert "pglog_writer may create no roles here, so the site writes as pglog_writer" in output


def test_a_missing_row_is_a_failure(empty_database) -> None:
    """Where a trigger swallows the rows, the demo tells which ids are missing, and fails."""
    empty_database.execute("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    empty_database.execute(
        """CREATE FUNCTION sabotage() RETURNS event_trigger LANGUAGE plpgsql AS $$
        DECLARE made record;
        BEGIN
            FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%%.audit_log' LOOP
                EXECUTE format(
                    'CREATE TRIGGER swallow BEFORE INSERT ON %%s FOR EACH ROW EXECUTE FUNCTION public.swallow()',
                    made.object_identity
                );
            END LOOP;
        END $$"""
    )
    empty_database.execute(
        "CREATE EVENT TRIGGER sabotage ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION sabotage()"
    )
    code, _, errors = Demo("--conninfo", empty_database.owner).finish()
    assert code == 1
    assert "The request ids differ" in errors


def test_a_missing_extra_is_one_line() -> None:
    """Without the packages of the extra the demo says what to install."""
    code = f"import sys; sys.modules['starlette'] = None; {MAIN}"
    done = subprocess.run([sys.executable, "-c", code, "demo"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pglog-audit needs more packages: pip install 'pglog-audit[demo]'\n"
