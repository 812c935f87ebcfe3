"""Real power cuts: file systems that are shut down in the middle of saves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "power_cuts.py"


def cut(cuts, file_system, *options):
    done = subprocess.run(
        [sys.executable, PROGRAM, str(cuts), "--file-system", file_system, *options],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.stdout.startswith("SKIPPED"):
        pytest.skip(done.stdout.strip())
    return done


@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_no_power_cut_loses_a_save_that_returned(file_system):
    done = cut(100, file_system)
    assert done.returncode == 0, done.stderr[-5000:]
    print(done.stdout)


@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_without_syncs_one_is_lost_so_these_cuts_are_real(file_system):
    done = cut(40, file_system, "--durability", "none")
    assert done.returncode != 0
    assert "power cuts" not in done.stdout
    assert "AssertionError: " + file_system in done.stderr
