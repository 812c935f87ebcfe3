"""The judge: a process that asks every public call, and is asked by many tests."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[2]


class Judge:
    """Answers questions about checkpoints; see `tests/hostile/judge.py`."""

    def __init__(self) -> None:
        paths = [str(_TESTS), *[path for path in sys.path if path]]
        self._process = subprocess.Popen(
            [sys.executable, str(_TESTS / "hostile" / "judge.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def ask(self, **question):
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        assert self._process.wait(timeout=60) == 0


@pytest.fixture(scope="session")
def judge():
    judge = Judge()
    yield judge
    judge.end()


@pytest.fixture
def open_directory():
    """Give a directory that every user may look into, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="tensorbundle-hostile-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def state_of(directory):
    """Describe every file without reading what may be endless: its kind, size and time."""
    found = {}
    for path in sorted(directory.iterdir()):
        info = path.lstat()
        small = stat.S_ISREG(info.st_mode) and info.st_size < 1 << 20
        content = path.read_bytes() if small else None
        found[path.name] = (info.st_mode, info.st_size, info.st_mtime_ns, content)
    return found


@pytest.fixture
def described():
    return state_of
