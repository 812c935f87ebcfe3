"""Saves that are killed, interrupted or refused at every system call, or lose power."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import tensorbundle as tb

from ..helpers import MIB

pytestmark = pytest.mark.usefixtures("traced")

FOREGROUND = ("overwrite", "rotate")
BACKGROUND = ("in background", "rotate in background")
LARGE = 300_000  # elements: enough for threads


@pytest.fixture
def device(tmp_path):
    """Give a directory with direct I/O."""
    try:
        tb.save(tmp_path / "probe", {"a": np.zeros(MIB, np.uint8)}, backend="direct")
    except tb.UnsupportedError as error:
        pytest.skip(f"no direct I/O for temporary files: {error}")
    return tmp_path


def disturb(tell, program, directory, story, **options):
    return tell(program, directory / "story", story, json.dumps(options))


@pytest.mark.parametrize("story", ["overwrite", "rotate", "gappy"])
def test_a_save_may_be_killed_before_any_system_call(tell, in_memory, story):
    # Of a manager's many calls, those that change something.
    found = disturb(tell, "kill_each_call.py", in_memory, story, changes=story != "overwrite")
    assert found["kills"] == found["old"] + found["new"]
    assert min(found["old"], found["new"]) > 5


@pytest.mark.parametrize("story", FOREGROUND)
def test_one_that_writes_into_replaced_files_may_be_killed_there_too(tell, in_memory, story):
    found = disturb(tell, "kill_each_call.py", in_memory, story, changes=True, recycles=True)
    assert min(found["old"], found["new"]) > 5


@pytest.mark.parametrize("backend", ["buffered", "direct", "uring"])
def test_threads_and_rings_may_be_killed_there_too(tell, device, backend):
    if backend == "uring" and tb.build_info()["io_uring"] is not True:
        pytest.skip(f"no io_uring: {tb.build_info()['io_uring']}")
    found = disturb(
        tell, "kill_each_call.py", device, "overwrite",
        backend=backend, num_threads=2, size=LARGE,
    )  # fmt: skip
    assert found["old"] > 10
    assert found["new"] > 0


@pytest.mark.parametrize("story", [*FOREGROUND, *BACKGROUND])
def test_ctrl_c_at_any_system_call_leaves_a_whole_checkpoint(tell, in_memory, story):
    found = disturb(tell, "interrupt_each_call.py", in_memory, story)
    goes_on = story == "in background"  # to its end, once it has begun
    assert min(found["new"], math.inf if goes_on else found["old"]) > 5


@pytest.mark.parametrize("story", [*FOREGROUND, *BACKGROUND])
def test_ctrl_c_at_any_time_leaves_a_whole_checkpoint(tell, in_memory, story):
    found = disturb(tell, "interrupt_at_random.py", in_memory, story, rounds=200)
    assert min(found["interrupted"], found["old"], found["new"]) > 20


@pytest.mark.parametrize(
    ("story", "every"),
    [("rotate", 11), ("in background", 3), ("overlapping", 3), ("rotate in background", 7)],
)
def test_ctrl_c_at_any_step_of_python_leaves_a_whole_checkpoint(tell, in_memory, story, every):
    # Of all that there are: `every` may be 1, too.
    found = disturb(
        tell, "interrupt_each_step.py", in_memory, story, recycles=True, every=every
    )
    assert min(found["old"], found["new"]) > 20


@pytest.mark.parametrize("story", FOREGROUND)
def test_whichever_system_call_fails_the_old_checkpoint_loads(tell, in_memory, story):
    found = disturb(tell, "fail_each_call.py", in_memory, story)
    assert found["failed"] > 150
    assert found["failed"] > found["survived"] > 20


def test_files_to_write_into_are_done_without_where_a_call_fails(tell, in_memory):
    found = disturb(tell, "fail_each_call.py", in_memory, "overwrite", recycles=True)
    assert found["failed"] > found["survived"] > 20


@pytest.mark.parametrize("story", FOREGROUND)
def test_a_power_cut_may_come_at_any_time(tell, in_memory, story):
    found = tell("power_cut_states.py", in_memory / "story", story)
    assert found["states"] > 200
    assert found["reused"] == 0


@pytest.mark.parametrize("story", FOREGROUND)
def test_also_where_replaced_files_are_written_into(tell, in_memory, story):
    found = tell("power_cut_states.py", in_memory / "story", story, "recycles")
    assert found["states"] > 400
    assert found["reused"] == 2
