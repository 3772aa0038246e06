"""The command line without a database: usage, exit statuses, and what is missing."""

import itertools
import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pglog_audit import schema
from pglog_audit.cli.commands import cli

README = Path(__file__).parents[2] / "README.md"
NAMES = cli.list_commands(click.Context(cli))


def commands(group=cli, *before):
    """Yield the words of each command, those of groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from commands(command, *before, name) if isinstance(command, click.Group) else [" ".join([*before, name])]


every_command = pytest.mark.parametrize("command", list(commands()))


def run(*arguments, **environ):
    """Run a command as the shell would."""
    return CliRunner().invoke(cli, arguments, env=environ, prog_name="pglog-audit")


def main(before, **environ):
    """Run the console script in a Python of its own, after *before*."""
    code = f"import sys; sys.argv[1:] = ['sql']; {before}; from pglog_audit.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code], env=os.environ | environ, capture_output=True, text=True)


def find(names, group=cli):
    """Return the command of these words."""
    name, *rest = names
    command = group.get_command(click.Context(group), name)
    return find(rest, command) if rest else command


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_all_commands(flag):
    """Every command is found from the help of the group."""
    result = run(flag)
    assert result.exit_code == 0
    assert set(NAMES) <= set(result.output.split())


@pytest.mark.parametrize("words", [(), ("spool",)])
def test_without_a_command_the_help_comes_as_it_is(words):
    """Who types the name alone reads the help, line by line."""
    result = run(*words)
    assert result.exit_code == 2
    assert result.output.startswith("Usage: pglog-audit ")
    assert "\nCommands:\n" in result.output


def test_a_field_without_a_column_is_wrong_usage():
    """The sign between field and column is told to be missing."""
    result = run("timeline", "--column", "occurred_at")
    assert result.exit_code == 2
    assert "--column is 'occurred_at': write FIELD=COLUMN" in result.stderr


@every_command
def test_every_command_explains_itself(command):
    """Each command loads, and its help begins with its usage."""
    result = run(*command.split(), "-h")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: pglog-audit {command} ")


@every_command
def test_every_command_has_examples_that_parse(command, monkeypatch):
    """The help ends with lines to copy, as they are, and each is a command with options that there are."""
    monkeypatch.setenv("PGLOG_AUDIT_CONNINFO", "postgresql://app@localhost/app")
    names = command.split()
    help_text = run(*names, "-h").output
    examples = help_text.partition("\n  Examples:\n")[2].splitlines()
    assert examples
    for example in examples:
        # What follows a redirection or a pipe is the shell's.
        program, *words = itertools.takewhile(lambda word: word not in "|>", shlex.split(example))
        assert (program, words[: len(names)]) == ("pglog-audit", names)
        assert find(names).make_context(command, words[len(names) :]).params


def complete(*words, shell="bash"):
    """Return what the shell is offered for the last of *words*."""
    line = ["pglog-audit", *words]
    environ = {"COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(line) - 1)}
    environ["_PGLOG_AUDIT_COMPLETE"] = f"{shell}_complete"
    done = main("sys.argv[1:] = []", **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return [entry.partition(",")[2] for entry in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], NAMES),
        (["tim"], ["timeline"]),
        (["timeline", "--outcome", ""], ["success", "failure", "denied", "unknown"]),
        (["timeline", "-o", "json"], ["json", "jsonl"]),
        (["timeline", "--output", ""], ["table", "json", "jsonl", "csv"]),
        (["show", "-o", ""], ["table", "json"]),
        (["spool", "re"], ["rejects", "replay"]),
        (["spool", "status", "-o", ""], ["table", "json"]),
        (["timeline", "--ou"], ["--outcome", "--output"]),
    ],
)
def test_bash_completes_commands_options_and_values(words, offered):
    """Without a database, what can follow is offered, and nothing is said."""
    assert complete(*words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell):
    """The line of README.md prints a script that asks this very program again."""
    line = f"_PGLOG_AUDIT_COMPLETE={shell}_source pglog-audit" if shell != "zsh" else "`zsh_source`"
    assert line in README.read_text("utf-8")
    done = main("sys.argv[1:] = []", _PGLOG_AUDIT_COMPLETE=f"{shell}_source")
    assert f"_PGLOG_AUDIT_COMPLETE={shell}_complete" in done.stdout
    assert "pglog-audit" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def test_an_unknown_command_is_wrong_usage():
    """A mistyped command exits 2."""
    assert run("innit").exit_code == 2


def test_version_is_the_packages():
    """The version is that of the installed package."""
    assert run("--version").output.strip().endswith(version("pglog-audit"))


def test_sql_prints_the_script():
    """`sql` prints the very script, and nothing around it."""
    result = run("sql", "--table", "audit.log", "--writer", "app", "--id-type", "user_id=bigint")
    assert result.output == schema.script(table="audit.log", writer="app", id_types={"user_id": "bigint"})


@pytest.mark.parametrize("command", [["init"], ["timeline"], ["show", "7"]])
def test_no_database_named_says_what_to_set(command):
    """Without a conninfo the error names the option and the variables."""
    result = run(*command)
    assert result.exit_code == 2
    for name in ("--conninfo", "PGLOG_AUDIT_CONNINFO", "DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE"):
        assert name in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--table", "a.b.c"], ["--id-type", "user_id"], ["--id-type", "user=bigint"], ["--writer", ""]]
)
def test_a_wrong_option_is_wrong_usage(arguments):
    """What can never work exits 2 with one line."""
    result = run("sql", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "conninfo", ["postgresql://app:s3cr3t@127.0.0.1:1/app", "host=127.0.0.1 port=1 password=s3cr3t"]
)
def test_no_connection_is_one_line_without_password(conninfo):
    """A database that does not answer exits 3."""
    result = run("init", "--conninfo", conninfo)
    assert result.exit_code == 3
    assert "Connection refused" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "s3cr3t" not in result.output


def test_a_password_that_libpq_would_echo_is_refused():
    """An @ that was not escaped makes the password part of the host, which errors show; it is refused unseen."""
    result = run("init", PGLOG_AUDIT_CONNINFO="postgresql://app:top@s3cr3t@127.0.0.1:1/app")
    assert result.exit_code == 2
    assert "write an @ in user or password as %40" in result.stderr
    assert "s3cr3t" not in result.output


@pytest.mark.parametrize("package", ["click", "rich"])
def test_a_missing_package_is_named_by_its_extra(package):
    """Without the extra `cli` there is one line that installs it."""
    result = main(f"sys.modules['{package}'] = None; sys.argv[1:] = ['timeline', '-h']")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "pglog-audit needs more packages: pip install 'pglog-audit[cli]'\n"


def test_a_missing_libpq_is_named_by_its_extra():
    """Where psycopg finds no libpq there is one line that brings one."""
    result = main("sys.modules.update({'psycopg_binary': None, 'psycopg_c': None, 'psycopg.pq.pq_ctypes': None})")
    assert result.returncode == 2
    assert result.stderr == "pglog-audit needs more packages: pip install 'pglog-audit[binary]'\n"


def test_ctrl_c_while_it_loads_ends_it_quietly():
    """An impatient user sees no traceback of imports."""
    finder = "type('_', (), {'find_spec': lambda name, *_: signal.raise_signal(2) if name == 'click' else None})"
    result = main(f"import signal; sys.meta_path.insert(0, {finder})")
    assert (result.returncode, result.stderr) == (130, "")


def test_any_other_import_error_is_shown_whole():
    """A broken installation is not taken for a missing extra."""
    result = main("sys.modules['psycopg'] = None")
    assert "ModuleNotFoundError" in result.stderr


def test_init_needs_nothing_of_the_demo():
    """Commands are loaded one by one: `sql` works where the packages of the others are missing."""
    assert main("sys.modules.update(rich=None, starlette=None)").returncode == 0


@pytest.mark.parametrize("option", ["--user", "--since", "--limit", "-o"])
def test_an_option_given_twice_is_refused(option):
    """The last one would win, and half an answer would look like a whole one."""
    value = {"--limit": "5", "-o": "json"}.get(option, "x")
    result = CliRunner().invoke(cli, ["timeline", option, value, option, value])
    assert result.exit_code == 2
    assert "is given 2 times: give it once" in result.stderr


@pytest.mark.parametrize("command", ["init", "timeline", "doctor", "demo"])
@pytest.mark.parametrize("conninfo", ["", " "])
def test_an_empty_conninfo_is_no_database(command, conninfo):
    """No command goes to whichever database libpq's defaults are because a script's variable is unset."""
    result = CliRunner().invoke(cli, [command, "--conninfo", conninfo])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --conninfo is empty: give --conninfo postgresql://")


@pytest.mark.parametrize("option", ["--since", "--until", "--conninfo"])
def test_an_empty_value_is_refused(option):
    """An unset variable of a script is not the same as no bound."""
    result = CliRunner().invoke(cli, ["timeline", option, ""], env={"PGLOG_AUDIT_CONNINFO": "host=nowhere"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert option in result.stderr


@pytest.mark.parametrize("arguments", [["timeline", "a\x1b]52;c;Z\a\nError: b"], ["--a\x1b[31m"], ["a\u202e"]])
def test_usage_errors_are_harmless(arguments):
    """What somebody pasted into a command line does nothing on stderr."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert not {"\x1b", "\a", "\u202e"} & set(result.stderr)
    assert "\nError: b" not in result.stderr


def test_a_closed_stdout_is_told():
    """Without a place to write to the command says so, in one line."""
    program = "from pglog_audit.cli import main; main()"
    command = f"{shlex.join([sys.executable, '-c', program, 'timeline'])} >&-"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "Error: the output cannot be written: it is closed\n")
