"""The Pythons on which the caller is measured."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pglog_audit.errors import ConfigurationError

_ROOT = Path(__file__).parents[2]
_OLDEST, _NEWEST = 11, 20
_NEEDED = "import pglog_audit, psycopg"
_NEEDED_FIRST = "import ensurepip, venv"


def running() -> dict[str, Path]:
    """Return the Python that runs this, by its version."""
    return {f"{sys.version_info[0]}.{sys.version_info[1]}": Path(sys.executable)}


def given(paths: list[Path]) -> dict[str, Path]:
    """
    Return the Pythons at *paths* by version, after the running one.

    :raises ConfigurationError: one of them does not start, or lacks what the project needs.
    """
    return running() | {_version(path, _NEEDED): path for path in paths}


@contextmanager
def installed() -> Iterator[Mapping[str, Path]]:
    """Give every Python of this machine that is new enough, by version, with the project's extra ``bench``."""
    with tempfile.TemporaryDirectory(prefix="pglog-audit-bench-") as home:
        others = {version: path for version, path in _found().items() if version not in running()}
        yield running() | {version: _environment(Path(home, version), path) for version, path in others.items()}


def _found() -> dict[str, Path]:
    names = ["python3", *(f"python3.{minor}" for minor in range(_OLDEST, _NEWEST + 1))]
    paths = [Path(place) for name in names if (place := shutil.which(name))]
    found: dict[str, Path] = {}
    for path in [*paths, *sorted(Path.home().glob(".pyenv/versions/*/bin/python"))]:
        try:
            version = _version(path, _NEEDED_FIRST)
        except ConfigurationError:
            continue
        if int(version.split(".")[1]) >= _OLDEST:
            found.setdefault(version, path)
    return found


def _version(path: Path, needed: str) -> str:
    """Return the version of the Python at *path*, which must be able to do what is *needed*."""
    code = f"{needed}; import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", code], cwd=_ROOT, capture_output=True, text=True)
    except OSError as error:
        raise ConfigurationError(f"{path} does not start: {error.strerror}") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigurationError(f"{path} cannot be measured ({reason}): run {path} -m pip install -e '.[bench]'")
    return done.stdout.strip()


def _environment(directory: Path, python: Path) -> Path:
    """Make a virtual environment with the project in it, and return its Python."""
    subprocess.run([python, "-m", "venv", directory], check=True)
    python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    quiet = ["-qq", "--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([python, "-m", "pip", "install", *quiet, f"{_ROOT}[bench]"], check=True)
    return python
