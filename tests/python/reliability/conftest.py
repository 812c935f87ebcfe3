"""Runs the programs of this directory, each in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def tell():
    """Give a function that runs a program here and reads the JSON that it prints."""

    def run(program, *arguments):
        done = subprocess.run(
            [sys.executable, HERE / program, *map(str, arguments)],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-5000:]
        found = json.loads(done.stdout)
        print(f"{program} {' '.join(map(str, arguments[1:]))}: {found}")
        return found

    return run


@pytest.fixture
def in_memory(tmp_path):
    """Give a directory in memory, where there is such a file system: syncs cost nothing."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def traced():
    """Skip where a child's system calls cannot be traced."""
    code = "import system_calls; print(system_calls.why_not())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE, check=True
    )
    if done.stdout.strip():
        pytest.skip(done.stdout.strip())
