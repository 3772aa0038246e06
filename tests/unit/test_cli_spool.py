"""`pglog-audit spool status` and `rejects`: what they show of a directory, without a database."""

import csv
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from pglog_audit import file_locks
from pglog_audit.cli.commands import cli
from pglog_audit.spool import Spool
from tests.spools import TARGET, event, events, leave, made
from tests.terminal import Terminal

MAIN = [sys.executable, "-c", "from pglog_audit.cli import main; main()", "spool"]


@pytest.fixture
def directory(tmp_path):
    """Return a directory for spools that is not there yet."""
    return tmp_path / "spool"


def run(*arguments, **environ):
    """Run a command about the spool as the shell would."""
    return CliRunner().invoke(cli, ["spool", *map(str, arguments)], env=environ, prog_name="pglog-audit")


def shown(*arguments):
    """Return the JSON that a command shows."""
    result = run(*arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rejected(directory, *rejects, target=TARGET):
    """Put *rejects*, each with line, sqlstate and reason, to the rejects of *target*."""
    spool = Spool(directory, target, "w1", fsync="never")
    assert all(spool.reject(*each) for each in rejects)
    spool.close()


class TestStatus:
    def test_what_lies_there(self, directory):
        """Lines, segments, bytes and age are told, with the target that they are for."""
        for number in (1, 2):
            path = leave(directory, events(3), f"w{number}")
        [status] = shown("status", directory)
        assert (status["target"], status["directory"]) == (TARGET, str(path.parent))
        assert (status["lines"], status["segments"], status["rejects"]) == (6, 2, 0)
        assert status["bytes"] == sum(each.stat().st_size for each in path.parent.iterdir())
        assert datetime.now(UTC) - datetime.fromisoformat(status["oldest"]) < timedelta(minutes=1)

    def test_to_read(self, directory):
        """A person sees a few lines, the target first."""
        path = leave(directory, events(1000))
        result = run("status", directory, "--utc")
        lines = result.stdout.splitlines()
        assert (result.exit_code, lines[:2]) == (0, [TARGET, f"  directory   {path.parent}"])
        assert lines[2].startswith("  waiting     1,000 lines in 1 segment, ")
        assert lines[3].startswith("  oldest      2")
        assert lines[3].endswith("+00:00")
        assert "\x1b" not in result.output

    def test_each_target_is_told(self, directory):
        """Spools of several tables in one directory stand one after the other."""
        leave(directory, events(1))
        other = Spool(directory, "db.example:5432/app public.other", "w2", fsync="never")
        assert other.append(events(2)) == 2
        other.close()
        found = {each["target"]: each["lines"] for each in shown("status", directory)}
        assert found == {TARGET: 1, "db.example:5432/app public.other": 2}

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
    def test_who_has_a_segment(self, directory):
        """What a living writer has is told apart from what a dead one left."""
        spool = made(directory)
        spool.append(events(1))
        assert shown("status", directory)[0]["holders"] == [os.getpid()]
        assert f"held by     process {os.getpid()}\n" in run("status", directory).stdout
        spool.close()
        assert shown("status", directory)[0]["holders"] == []
        assert "held by     nobody" in run("status", directory).stdout

    def test_a_system_that_does_not_tell_of_locks(self, directory, tmp_path, monkeypatch):
        """Nothing is said of holders where nothing is known."""
        monkeypatch.setattr(file_locks, "_LOCKS", tmp_path / "none")
        leave(directory, events(1))
        assert shown("status", directory)[0]["holders"] is None
        assert "held by" not in run("status", directory).stdout

    def test_what_nobody_will_replay(self, directory):
        """A file that is no segment is told with its name."""
        path = leave(directory, events(1))
        path.with_name("broken.000001.spool").write_text("?\n")
        assert "broken.000001.spool does not begin like a segment" in run("status", directory).stdout

    def test_rejects_are_counted_with_the_command_that_shows_them(self, directory):
        """The command can be copied, and shows them."""
        leave(directory, events(1))
        rejected(directory, (event(7), "22003", "too large"))
        [line] = [each for each in run("status", directory).stdout.splitlines() if each.startswith("  rejects")]
        _, number, command = line.split(maxsplit=2)
        assert number == "1:"
        assert "too large" in run(*shlex.split(command)[2:]).stdout

    @pytest.mark.parametrize("command", ["status", "rejects"])
    def test_nothing_there(self, directory, command):
        """An empty directory is told on stderr, and is no failure."""
        made(directory).prepare()
        result = run(command, directory)
        assert (result.exit_code, result.stdout) == (0, "")
        assert str(directory) in result.stderr

    @pytest.mark.parametrize("command", ["status", "rejects"])
    def test_no_directory(self, directory, command):
        """A directory that is not there is told in one line."""
        result = run(command, directory)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"Error: the spool {directory} is not to be read")
        assert result.stderr.count("\n") == 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_another_users_directory(self):
        """Who may not look is told whose it is, and how to run the command."""
        program = "import os, pglog_audit.cli.spool; from pglog_audit.cli.commands import cli; os.setuid(65534); cli()"
        with TemporaryDirectory() as reachable:
            Path(reachable).chmod(0o755)
            directory = Path(reachable) / "spool"
            leave(directory, events(1))
            command = [sys.executable, "-c", program, "spool", "status", str(directory)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        expected = f"Error: {directory} belongs to user root: run this command as that user, with sudo -u 'root'\n"
        assert done.stderr == expected

    @pytest.mark.parametrize("command", ["status", "rejects"])
    def test_the_directory_of_one_target(self, directory, command):
        """Who names a subdirectory is told what to name instead, not that nothing is there."""
        path = leave(directory, events(1))
        result = run(command, path.parent)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"name the one above it, {directory}," in result.stderr

    def test_a_hostile_target(self, directory):
        """What stands in a header does nothing on the terminal."""
        spool = Spool(directory, "db\x1b]52;c;Z\a\u202e", "w1", fsync="never")
        spool.append(events(1))
        spool.close()
        assert run("status", directory).stdout.startswith(r"db\x1b]52;c;Z\x07\u202e")

    def test_work_is_shown_to_those_who_look(self, directory):
        """On a terminal stderr tells that lines are counted, and leaves nothing behind; elsewhere it says nothing."""
        leave(directory, events(10))
        with Terminal([*MAIN, "status", str(directory)], columns=120) as terminal:
            status, shown = terminal.finish()
        assert (status, "Counting the lines in" in shown) == (0, True)
        assert run("status", directory).stderr == ""


class TestRejects:
    def test_to_read(self, directory):
        """Time and action stand first, then why it is a reject, and whose event it was."""
        line = json.dumps({"id": "i-1", "action": "guest.check_in", "user_id": "u-1", "event_id": "e-1"})
        rejected(directory, (line, "22003", "the server refuses a value"))
        first, *details = run("rejects", directory, "--utc").stdout.splitlines()
        assert first.endswith("+00:00  guest.check_in")
        assert details == [
            "    the server refuses a value (22003)",
            "    user u-1",
            "    event e-1",
            "    id i-1",
        ]

    @pytest.mark.parametrize("output", ["json", "jsonl"])
    def test_the_whole_line(self, directory, output):
        """JSON has each line as it is, byte for byte."""
        torn = b'{"action": "caf\xc3'
        rejected(directory, (event(1), "22003", "too large"), (torn, None, "no JSON object"))
        text = run("rejects", directory, "-o", output).stdout
        good, bad = json.loads(text) if output == "json" else map(json.loads, text.splitlines())
        assert (good["line"], good["sqlstate"], good["reason"]) == (event(1), "22003", "too large")
        assert (good["action"], good["id"], good["user_id"]) == ("ticket.open", "id-1", None)
        assert bad["line"].encode("utf-8", "surrogateescape") == torn
        assert (bad["sqlstate"], bad["action"]) == (None, None)
        assert text.isascii()

    def test_for_a_spreadsheet(self, directory):
        """CSV has a header and no formula."""
        line = json.dumps({"action": "=cmd|' /C calc'!A0", "user_id": 7})
        rejected(directory, (line, "22003", "too large"))
        [row] = csv.DictReader(run("rejects", directory, "-o", "csv").stdout.splitlines())
        assert (row["action"], row["user_id"], row["sqlstate"], row["event_id"]) == (
            "'=cmd|' /C calc'!A0",
            "7",
            "22003",
            "",
        )
        assert row["line"] == line

    def test_of_one_table(self, directory):
        """--from takes the name of a subdirectory, or its path as the shell completes it."""
        rejected(directory, (event(1), None, "one"))
        rejected(directory, (event(2), None, "two"), target="other")
        [wanted] = [path for path in directory.iterdir() if path.name.startswith("other-")]
        assert {each["reason"] for each in shown("rejects", directory)} == {"one", "two"}
        for name in (wanted.name, f"{wanted}/"):
            assert [each["reason"] for each in shown("rejects", directory, "--from", name)] == ["two"]

    def test_no_such_subdirectory(self, directory):
        """A name that is not there is wrong usage."""
        rejected(directory, (event(1), None, "one"))
        result = run("rejects", directory, "--from", "oter")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--from is 'oter'" in result.stderr

    def test_hostile_text(self, directory):
        """Nothing in a line or a reason reaches the terminal as more than text, or begins a line of its own."""
        hostile = "a\x1b]52;c;Z\a\u202e\n2026-01-01 [bold]b[/] :smile:"
        rejected(directory, (json.dumps({"action": hostile, "user_id": hostile}), None, hostile))
        for output in ("table", "csv", "json"):
            text = run("rejects", directory, "-o", output).stdout
            assert not {"\x1b", "\a", "\u202e"} & set(text)
        text = run("rejects", directory).stdout
        assert "[bold]b[/] :smile:" in text
        assert all(line.startswith("    ") for line in text.splitlines()[1:])

    def test_a_damaged_reject(self, directory):
        """What somebody made of the file is shown, and the others with it."""
        rejected(directory, (event(1), "22003", "too large"))
        [path] = directory.glob("*/*.rejects")
        path.write_bytes(b"{\xff\n" + path.read_bytes())
        damaged, whole = shown("rejects", directory)
        assert (damaged["time"], damaged["line"], whole["line"]) == (None, "{\udcff", event(1))
        assert run("rejects", directory).stdout.startswith("time unknown  no event\n    damaged")
        assert run("rejects", directory, "-o", "csv").exit_code == 0

    @pytest.mark.parametrize("line", ["7", "[]", "nothing", "{" * 5000, '{"action": ' + "9" * 5000 + "}"])
    def test_what_is_no_event(self, directory, line):
        """A line that says nothing of an event is shown all the same."""
        rejected(directory, (line, None, "no JSON object"))
        assert "no JSON object" in run("rejects", directory).stdout
        assert shown("rejects", directory)[0]["line"] == line
