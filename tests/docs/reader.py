"""
A reader of README.md: does what it says, in order, and compares what comes out with what it shows.

Python is run in this process, as the role that may only insert; commands are run by a shell, as the table's owner. Text
after Python is what it printed, or else what the row holds. Ids and times may differ, and a line ``...`` is any lines.
"""

import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

import pglog_audit
from pglog_audit.postgres_programs import find_binaries

README = Path(__file__).parents[2] / "README.md"

_CHANGING = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"\d\d:\d\d:\d\d"), "<time>"),
    (re.compile(r"_\d{4}_\d\d\b"), "_<month>"),
    (re.compile(r"\d{10}\.\d+"), "<seconds>"),
    (re.compile(r"--cursor [\w.-]+"), "--cursor <cursor>"),
]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text and its first line's number."""

    language: str
    text: str
    line: int

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console block, each with what it shall print."""
        parts = re.split(r"^\$ (.+)\n", self.text, flags=re.MULTILINE)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))


def read_sections() -> dict[str, list[Block]]:
    """Return the blocks of README.md under their headings."""
    sections: dict[str, list[Block]] = {}
    language, begin, text = "", 0, ""
    blocks: list[Block] = []
    for number, line in enumerate(README.read_text("utf-8").splitlines(keepends=True), 1):
        if language and line != "```\n":
            text += line
        elif language:
            blocks.append(Block(language, text, begin))
            language = ""
        elif line.startswith("```"):
            language, begin, text = line[3:].strip() or "no language", number + 1, ""
        elif line.startswith("#"):
            blocks = sections.setdefault(line.strip("# \n"), [])
    return sections


def read_tables(title: str) -> list[list[list[str]]]:
    """Return the cells of the tables under the heading *title*, without their headers."""
    section = re.search(rf"^#+ {re.escape(title)}\n(.*?)(^#|\Z)", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert section
    tables = re.findall(r"^\|.*\n\| ---.*\n((?:\|.*\n)+)", section[1], re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()] for table in tables]


def names_in(cell: str) -> list[str]:
    """Return what stands in code in *cell*."""
    return re.findall(r"`([^`]+)`", cell)


def is_installation(command: str) -> bool:
    """Tell whether *command* needs the network: .ci/run runs these."""
    return "pip install" in command


class Reader:
    """Follow README.md in *home*, with a *database* of the reader's own."""

    def __init__(self, home: Path, database: Any) -> None:
        self.home = home
        self.database = database
        parts = conninfo_to_dict(database.owner)
        self._host = f"@{quote(str(parts['host']), safe='')}:{parts['port']}/{parts['dbname']}"
        self.owner, self.writer = (f"postgresql://{role}{self._host}" for role in ("postgres", "app"))
        self._exports = f"export PGLOG_AUDIT_CONNINFO={self.owner}\n"

    def follow(self, title: str, *, file: str | None = None, **names: Any) -> dict[str, Any]:
        """
        Do all that stands under the heading *title*, and return the names that its Python made.

        :param file: where the reader saves the Python instead of running it.
        :param names: what the Python of the section takes for granted.
        """
        output = ""
        for block in read_sections()[title]:
            match block.language:
                case "python" if file:
                    (self.home / file).write_text(self.localized(block.text))
                case "python":
                    output = self._run_python(block, names)
                case "text":
                    self.compare(block, output or self.stored(block))
                case "console":
                    self._run_commands(block)
                case "sql":
                    self.database.execute(block.text)
                case unknown:
                    raise AssertionError(f"README.md:{block.line}: nobody runs {unknown}")
        return names

    def follow_block(self, block: Block) -> None:
        """Run the commands of one *block*."""
        self._run_commands(block)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the audit table, once all that was logged is there."""
        assert pglog_audit.flush(30) == 0
        return self.database.rows()

    def localized(self, text: str) -> str:
        """Return *text* with the database that it names in place of the one in README.md."""
        return text.replace("@localhost/app", self._host)

    def stored(self, block: Block) -> str:
        """Return the newest row's values of the names in *block*."""
        row = self.rows()[-1]
        names = [line.partition(":")[0] for line in block.text.splitlines()]
        return "\n".join(f"{name}: {row.get(name, row['metadata'].get(name))}" for name in names)

    def shell(self, command: str) -> str:
        """Return what *command* prints, as the owner of the table."""
        paths = [str(Path(sys.executable).parent), str(find_binaries()), os.environ["PATH"]]
        environ = os.environ | {"PATH": os.pathsep.join(paths), "TZ": "UTC", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}
        script = f"set -e\n{self._exports}{self.localized(command)}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.home,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _run_commands(self, block: Block) -> None:
        for command, expected in block.commands:
            if command.startswith("export "):
                self._exports += self.localized(command) + "\n"
            elif not is_installation(command):
                self.compare(Block("text", expected, block.line), self.shell(command))

    def _run_python(self, block: Block, names: dict[str, Any]) -> str:
        # The empty lines make a traceback name the line of README.md.
        code = compile("\n" * (block.line - 1) + self.localized(block.text), README, "exec")
        output = StringIO()
        with redirect_stdout(output):
            exec(code, names)
        return output.getvalue()

    def compare(self, block: Block, output: str) -> None:
        """Let *block* be what came out."""
        expected, actual = _normalized(block.text), _normalized(output)
        pattern = "".join(
            r"(?:.*\n)*?" if line == "...\n" else re.escape(line) for line in expected.splitlines(keepends=True)
        )
        assert re.fullmatch(pattern, actual), f"README.md:{block.line} shows\n{expected}\nbut there came\n{actual}"


def _normalized(text: str) -> str:
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())
