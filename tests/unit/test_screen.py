"""Text on a terminal, in a pager and in a pipe."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import Terminal

SHOW = """
import sys
from pglog_audit.cli.screen import open_console, write
count, pager = int(sys.argv[1]), sys.argv[2:] != ["--no-pager"]
console = open_console(pager=pager)
def lines():
    for number in range(count):
        with console.capture() as captured:
            console.print(f"line {number}", style="bold red")
        yield captured.get()
write(lines(), pager=pager)
print("after")
"""
PAGER = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: print("a key of mine", flush=True))
print(sys.stdin.read(), "that is all", flush=True)
open("/dev/tty").readline()
print("left")
"""
PROMPT = r"\n:\x1b\[K"  # less waits for a key
RED = "\x1b[1;31m"
needs_less = pytest.mark.skipif(shutil.which("less") is None, reason="no less here")


@pytest.fixture
def pager(tmp_path: Path) -> str:
    """Return a pager that marks what goes through it."""
    program = tmp_path / "pager"
    program.write_text("#!/bin/sh\necho '<pager>'; cat; echo '</pager>'\n")
    program.chmod(0o755)
    return str(program)


def show(*arguments: str, lines: int = 24, **environ: str) -> tuple[int, str]:
    """Run the program on a terminal to its end."""
    with Terminal([sys.executable, "-c", SHOW, *arguments], lines=lines, **environ) as terminal:
        return terminal.finish()


def text(count: int, before: str = "", after: str = "") -> str:
    return "".join(f"{before}line {number}{after}\n" for number in range(count))


def test_what_is_longer_than_the_screen_goes_through_the_pager(pager: str) -> None:
    """The pager gets all of it, and what is said afterwards comes afterwards."""
    assert show("30", PAGER=pager) == (0, f"<pager>\n{text(30)}</pager>\nafter\n")


@pytest.mark.parametrize(("count", "paged"), [(9, False), (10, True)])
def test_what_fits_needs_no_pager(pager: str, count: int, paged: bool) -> None:
    """The screen's last line is left to the prompt."""
    assert ("<pager>" in show(str(count), lines=10, PAGER=pager)[1]) == paged


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--no-pager"], {}),
        ([], {"PAGER": "cat"}),
        ([], {"PAGER": "/bin/cat"}),
        ([], {"PAGER": ""}),
        ([], {"PAGER": "no-such-program -R"}),
        ([], {"PAGER": "it's"}),
    ],
)
def test_no_pager_is_no_pager(pager: str, arguments: list[str], environ: dict[str, str]) -> None:
    """By option, by PAGER=cat or where there is none, the text goes to the terminal, with its colours."""
    status, shown = show("30", *arguments, **({"PAGER": pager} | environ))
    assert (status, shown) == (0, f"{text(30, RED, chr(27) + '[0m')}after\n")


def test_a_dumb_terminal_has_neither_pager_nor_colours(pager: str) -> None:
    """TERM=dumb can do nothing but show text."""
    assert show("30", TERM="dumb", PAGER=pager) == (0, f"{text(30)}after\n")


def test_no_color_is_honoured() -> None:
    """NO_COLOR takes the colours away, and leaves bold."""
    _, shown = show("3", NO_COLOR="1")
    assert "31" not in shown
    assert "line 2" in shown


def test_a_pipe_has_neither_pager_nor_colours(pager: str) -> None:
    """A program that reads gets the text alone."""
    environ = os.environ | {"PAGER": pager, "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", SHOW, "30"], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"{text(30)}after\n"


def test_a_pager_that_cannot_be_run_is_none(tmp_path: Path) -> None:
    """A broken program costs no text."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    assert "line 29" in show("30", PAGER=str(broken))[1]


@needs_less
def test_less_shows_colours_and_ends_by_q() -> None:
    """The default pager waits for its reader; the process ends with status 0, though it had more to say."""
    with Terminal([sys.executable, "-c", SHOW, "200000"], PAGER="less") as terminal:
        terminal.wait_for(PROMPT)
        assert f"{RED}line 3\x1b[0m" in terminal.shown
        terminal.press("q")
        status, shown = terminal.finish()
    assert status == 0
    assert "line 199999" not in shown
    assert "Traceback" not in shown


def test_ctrl_c_belongs_to_the_pager(tmp_path: Path) -> None:
    """Once the pager has all, it does not end the process under it; who leaves the pager ends both, quietly."""
    program = tmp_path / "pager"
    program.write_text(f"#!{sys.executable}\n{PAGER}")
    program.chmod(0o755)
    with Terminal([sys.executable, "-c", SHOW, "100"], PAGER=str(program)) as terminal:
        terminal.wait_for("that is all")
        terminal.press("\x03")
        terminal.wait_for("a key of mine")
        terminal.press("\n")
        status, shown = terminal.finish()
    assert (status, shown.splitlines()[-2:]) == (0, ["left", "after"])


@needs_less
@pytest.mark.parametrize(("less", "colored"), [("-S", False), ("FRX", True), ("-R", True)])
def test_less_gets_colours_if_its_options_show_them(less: str, colored: bool) -> None:
    """Who set LESS without R would see escapes in place of colours, and gets plain text."""
    with Terminal([sys.executable, "-c", SHOW, "100"], PAGER="less", LESS=less) as terminal:
        terminal.wait_for(PROMPT)
        terminal.press("q")
        _, shown = terminal.finish()
    assert (RED in shown) == colored
    assert "ESC" not in shown
