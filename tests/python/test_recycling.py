"""Data files of replaced checkpoints that the next save writes into."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.rotation import Rotation

from .helpers import MIB, assert_all_same, listed, run_program, why_no_recycling


@pytest.fixture(autouse=True)
def trusted_leases(tmp_path):
    """Skip where nothing is ever recycled, as in a container's own file system."""
    if why_not := why_no_recycling(tmp_path):
        pytest.skip(why_not)


def model(seed, mib=3):
    random = np.random.default_rng(seed)
    return {"w": random.standard_normal(mib * MIB // 8), "step": seed}


def hidden(directory):
    """List what is kept there; not the manager's lock."""
    return [name for name in listed(directory) if name.startswith(".ckpt")]


@pytest.fixture
def saver():
    with tb.AsyncSaver(recycle=True) as made:
        yield made


def save(saver, prefix, seed):
    return saver.save(prefix, model(seed)).result()


# ---- Savers in the background -----------------------------------------------------------


@pytest.mark.parametrize("backend", ["buffered", "auto"])
def test_the_third_save_writes_into_the_file_of_the_first(prefix, saver, backend):
    directory = os.path.dirname(prefix)
    found = [saver.save(prefix, model(i), backend=backend).result() for i in range(4)]
    size = os.stat(f"{prefix}.data-00000-of-00002").st_size
    assert [report.recycled_bytes for report in found] == [0, 0, size, size]
    assert len(hidden(directory)) == 1
    assert_all_same(tb.load(prefix), model(3))
    saver.close()
    assert hidden(directory) == []
    assert len(listed(directory)) == 2


def test_the_files_are_those_of_a_save_that_makes_new_ones(prefix, saver, tmp_path):
    for seed in (1, 2, 3):
        save(saver, prefix, seed)
    tb.save(tmp_path / "new", model(3))
    for name in (".index", ".data-00000-of-00001"):
        with open(prefix + name, "rb") as found, open(f"{tmp_path}/new{name}", "rb") as new:
            assert found.read() == new.read()


def test_nothing_is_kept_unless_asked_for(prefix):
    with tb.AsyncSaver() as saver:
        for seed in range(3):
            assert save(saver, prefix, seed).recycled_bytes == 0
            assert hidden(os.path.dirname(prefix)) == []


def test_arrays_that_are_mapped_keep_their_values(prefix, saver):
    save(saver, prefix, 0)
    mapped = tb.load(prefix, mmap=True)
    for seed in (1, 2, 3):
        save(saver, prefix, seed)
    assert_all_same(mapped, model(0))
    mapped = tb.load(prefix, mmap=True)
    assert [save(saver, prefix, seed).recycled_bytes > 0 for seed in (4, 5, 6)] == [
        True,  # of the one before
        False,  # the one that is mapped
        True,
    ]
    assert_all_same(mapped, model(3))


def test_other_processes_that_map_it_keep_their_values(prefix, saver):
    save(saver, prefix, 0)
    reader = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent("""
            import sys
            import tensorbundle as tb
            mapped = tb.load(sys.argv[1], mmap=True)["w"]
            print("mapped", flush=True)
            sys.stdin.readline()
            print(float(mapped.sum()), flush=True)
        """), prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout.readline() == "mapped\n"
    assert [save(saver, prefix, seed).recycled_bytes > 0 for seed in (1, 2, 3)] == [
        False, False, True,
    ]  # fmt: skip
    told, _ = reader.communicate("go on\n", timeout=60)
    assert float(told) == model(0)["w"].sum()


def test_files_of_several_names_keep_their_bytes(prefix, saver):
    directory = os.path.dirname(prefix)
    save(saver, prefix, 0)
    os.link(f"{prefix}.data-00000-of-00001", f"{directory}/copy.data-00000-of-00001")
    os.link(f"{prefix}.index", f"{directory}/copy.index")
    assert [save(saver, prefix, seed).recycled_bytes > 0 for seed in (1, 2, 3)] == [
        False, False, True,
    ]  # fmt: skip
    assert_all_same(tb.load(f"{directory}/copy"), model(0))


def test_a_cancelled_save_leaves_nothing(prefix, saver):
    for seed in (1, 2):
        save(saver, prefix, seed)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saver.save(prefix, model(3), progress=stop).result()
    assert hidden(os.path.dirname(prefix)) == []
    assert_all_same(tb.load(prefix), model(2))


PROGRAM = """
    import os, signal, sys
    import numpy as np
    import tensorbundle as tb

    directory = sys.argv[1]
    def hidden():
        return [name for name in os.listdir(directory) if name.startswith(".ckpt")]
    manager = tb.CheckpointManager({"w": np.zeros(1 << 19)}, directory, 1, recycle=True)
    saver = tb.AsyncSaver(recycle=True)
    for _ in range(3):
        manager.save()
        saver.save(directory + "/ckpt", {"w": np.ones(1 << 19)}).result()
    assert len(hidden()) == 2, hidden()
"""


def test_the_interpreters_exit_removes_what_is_kept(tmp_path):
    done = run_program(PROGRAM, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert hidden(tmp_path) == []


def test_what_a_killed_process_kept_is_swept(tmp_path):
    killed = run_program(PROGRAM + "    os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(hidden(tmp_path)) == 2
    with tb.CheckpointManager(model(0), tmp_path, 1) as manager:
        manager.save()
    tb.save(tmp_path / "ckpt", model(0))
    assert hidden(tmp_path) == []


def test_a_forked_child_that_ends_removes_nothing_of_its_parents(tmp_path):
    text = """
        child = os.fork()
        if child == 0:
            del manager
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(hidden()) == 2
        manager.save()
        assert manager.save_report.recycled_bytes > 0
    """
    done = run_program(PROGRAM + textwrap.indent(textwrap.dedent(text), "    "), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


# ---- Managers ---------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [True, False])
def test_a_manager_writes_into_the_files_of_what_it_has_removed(tmp_path, blocking):
    seeds = iter(range(100))
    manager = tb.CheckpointManager(lambda: model(next(seeds)), tmp_path, 2, recycle=True)
    recycled = []
    for _ in range(5):
        done = manager.save(blocking=blocking)
        recycled.append((manager.save_report if blocking else done.result()).recycled_bytes)
    assert recycled[:3] == [0, 0, 0]
    assert min(recycled[3:]) > 3_000_000
    assert manager.all_steps() == [4, 5]
    for step in (4, 5):
        assert_all_same(tb.load(tmp_path / f"ckpt-{step}"), model(step - 1))
    assert len(hidden(tmp_path)) == 1
    manager.close()
    assert hidden(tmp_path) == []


def test_a_manager_that_nobody_has_any_longer_leaves_nothing(tmp_path):
    manager = tb.CheckpointManager(model(0), tmp_path, 1, recycle=True)
    manager.save()
    manager.save()
    assert len(hidden(tmp_path)) == 1
    del manager
    gc.collect()
    assert hidden(tmp_path) == []


def test_nothing_is_removed_or_kept_before_the_new_one_is_durable(tmp_path, monkeypatch):
    manager = tb.CheckpointManager(model(0), tmp_path, 1, recycle=True)
    manager.save()
    seen = []
    sweep = Rotation.sweep
    monkeypatch.setattr(Rotation, "sweep", lambda self: seen.append(listed(tmp_path)))
    manager.save()
    assert {"ckpt-1.index", "ckpt-1.data-00000-of-00001", "ckpt-2.index"} <= set(*seen)
    monkeypatch.setattr(Rotation, "sweep", sweep)
    manager.save()
    assert manager.all_steps() == [3]
    manager.close()


def test_incremental_saves_share_files_that_are_never_written_into(tmp_path):
    frozen = np.random.default_rng(1).standard_normal(MIB)
    seeds = iter(range(100))

    def state():
        return {"frozen": frozen, "head": np.full(MIB, next(seeds))}

    with tb.CheckpointManager(state, tmp_path, 2, incremental=True, recycle=True) as manager:
        for _ in range(6):
            manager.save()
            assert tb.verify(manager.latest_checkpoint).ok
            assert tb.verify(manager.checkpoints[0]).ok
        assert manager.save_report.linked_bytes > 8_000_000
        assert manager.save_report.recycled_bytes > 0


def test_objects_of_a_checkpoint_are_recycled_too(tmp_path):
    weights = np.zeros(MIB)
    manager = tb.CheckpointManager(tb.Checkpoint(w=weights), tmp_path, 1, recycle=True)
    for _ in range(3):
        weights += 1
        manager.save(options={"num_shards": 1})
    assert manager.save_report.recycled_bytes > 8_000_000
    manager.close()


def test_what_writes_itself_cannot_be_recycled(tmp_path):
    class Own:
        def write(self, prefix): ...
        def restore(self, prefix): ...

    with pytest.raises(TypeError, match="Own writes itself"):
        tb.CheckpointManager(Own(), tmp_path, recycle=True)


def test_a_saver_recycles_what_it_removes(tmp_path):
    values = model(0)
    saver = tb.Saver(values, max_to_keep=1, recycle=True)
    for step in range(4):
        values["w"] += 1
        saver.save(None, str(tmp_path / "ckpt"), step)
        assert len(hidden(tmp_path)) == (step > 0)
    assert_all_same(tb.load(tmp_path / "ckpt-3"), values)
    inode = os.stat(tmp_path / hidden(tmp_path)[0]).st_ino
    saver.save(None, str(tmp_path / "ckpt"), 4)
    assert os.stat(tmp_path / "ckpt-4.data-00000-of-00001").st_ino == inode
    del saver
    gc.collect()
    assert hidden(tmp_path) == []
