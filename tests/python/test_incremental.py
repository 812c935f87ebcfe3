"""Incremental saves: what has not changed is linked, and every checkpoint stands alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import read_bundle

from .helpers import ALL_DTYPES, MIB, assert_all_same, listing, names_in, sample, strings


@pytest.fixture
def series(tmp_path):
    """Give the prefixes of three checkpoints in a directory that holds nothing else."""
    directory = tmp_path / "run"
    directory.mkdir()
    return [str(directory / f"ckpt-{i}") for i in range(3)]


def model(frozen_mib=9, trained_mib=1, step=0):
    """Make tensors of which nine tenths do not depend on the step."""
    frozen = {
        f"backbone/{i}": sample("float32", (frozen_mib * MIB // 40,), i) for i in range(10)
    }
    trained = {
        f"head/{i}": sample("float32", (trained_mib * MIB // 16,), 1000 * step + i)
        for i in range(4)
    }
    return {**frozen, **trained, "step": np.int64(step), "name": b"a model"}


def files(prefix):
    """Give (inode, size) of each data file, by name."""
    base = Path(prefix)
    return {
        path.name: (path.stat().st_ino, path.stat().st_size)
        for path in base.parent.glob(base.name + ".data-*")
    }


# ---- what it must show ----------------------------------------------------------------------


def test_a_frozen_backbone_costs_nothing_and_each_checkpoint_stands_alone(series, tf):
    models = [model(step=i) for i in range(3)]
    first = tb.save(series[0], models[0], incremental=True)
    assert first.linked_bytes == 0
    assert "No such file" in first.incremental_reason
    second = tb.save(series[1], models[1], incremental=series[0])
    third = tb.save(series[2], models[2], incremental=series[1])
    for report in (second, third):
        assert report.incremental_reason == ""
        assert report.written_bytes <= 0.11 * report.tensor_bytes
        assert report.linked_bytes >= 0.9 * report.tensor_bytes
        assert report.stages.fingerprint > 0
    for prefix, tensors in zip(series, models, strict=True):
        assert_all_same(tb.load(prefix), tensors)
        assert tb.verify(prefix).ok
        reader = tf.train.load_checkpoint(prefix)
        assert set(reader.get_variable_to_shape_map()) == set(tensors)
        for name in ("backbone/3", "head/1", "step"):
            assert reader.get_tensor(name).tobytes() == np.asarray(tensors[name]).tobytes()
    tb.remove_checkpoint(series[1])
    assert_all_same(tb.load(series[2]), models[2])
    tb.remove_checkpoint(series[2])
    assert_all_same(tb.load(series[0]), models[0])
    tb.remove_checkpoint(series[0])
    assert names_in(Path(series[0]).parent) == []


def test_the_oracle_reads_an_incremental_checkpoint(series):
    models = [model(2, 1, step=i) for i in range(2)]
    tb.save(series[0], models[0], incremental=True)
    assert tb.save(series[1], models[1], incremental=series[0]).linked_bytes > 0
    found = read_bundle(series[1])
    assert found[b"backbone/3"].tobytes() == models[1]["backbone/3"].tobytes()
    assert found[b"head/3"].tobytes() == models[1]["head/3"].tobytes()


def test_linked_files_are_the_same_files_and_never_written_to(series):
    tb.save(series[0], model(), incremental=True)
    (inode, size) = next(iter(files(series[0]).values()))
    path = next(Path(series[0]).parent.glob("ckpt-0.data*"))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    for step in range(1, 4):
        tb.save(series[1], model(step=step), incremental=series[0])
        assert (inode, size) in files(series[1]).values()
        tb.save(series[1], model(step=9))  # an ordinary save over it
        tb.save(series[1], model(step=step), incremental=True, backend="buffered")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_prefix_can_be_overwritten_incrementally(series):
    prefix = series[0]
    for step in range(5):
        report = tb.save(prefix, model(step=step), incremental=True)
        assert (report.linked_bytes > 0) == (step > 0)
        assert_all_same(tb.load(prefix), model(step=step))
    assert len(listing(prefix)) == 4  # index, fingerprints, frozen, trained


@pytest.mark.parametrize("prefix", ["ckpt", "./ckpt"])
def test_a_prefix_without_directory_works_too(tmp_path, monkeypatch, prefix):
    monkeypatch.chdir(tmp_path)
    for step in range(3):
        report = tb.save(prefix, model(step=step), incremental=True)
        assert (report.linked_bytes > 0) == (step > 0)
    assert (tmp_path / "ckpt.fingerprints").exists()


def test_every_kind_of_tensor_is_compared_by_its_bytes_in_the_file(series):
    tensors = {f"t{i}": sample(dtype, (40, 30), i) for i, dtype in enumerate(ALL_DTYPES)}
    tensors |= {
        "strided": sample("float32", (500, 40)).T,
        "big-endian": sample("int32", (300,)).astype(">i4"),
        "text": strings(b"one", b"two" * 1000),
        "empty": np.zeros((0, 3)),
        "scalar": np.float64(3),
    }
    tb.save(series[0], tensors, incremental=True)
    report = tb.save(series[1], {**tensors, "new": np.ones(3)}, incremental=series[0])
    assert report.linked_bytes > 0
    assert report.written_bytes < 4000  # index, fingerprints, the new tensor
    native = {**tensors, "big-endian": tensors["big-endian"].astype("i4")}
    assert_all_same(tb.load(series[1]), {**native, "new": np.ones(3)})
    assert tb.verify(series[1]).ok


def test_one_changed_bit_is_a_change(series):
    tensors = {"a": np.zeros(MIB, np.uint8), "b": np.zeros(100, np.uint8)}
    tb.save(series[0], tensors, incremental=True)
    for place in (0, 77, MIB - 1):
        changed = {**tensors, "a": tensors["a"].copy()}
        changed["a"][place] ^= 1
        report = tb.save(series[1], changed, incremental=series[0])
        assert report.linked_bytes == 0
        assert "half of its bytes" in report.incremental_reason
        assert_all_same(tb.load(series[1]), changed)


def test_another_dtype_or_shape_is_a_change(series):
    ones = np.ones((4, 4), np.int32)
    tb.save(series[0], {"a": ones, "b": ones}, incremental=True)
    changed = {"a": ones.view(np.uint32), "b": ones.reshape(2, 8)}
    assert tb.save(series[1], changed, incremental=series[0]).linked_bytes == 0
    assert_all_same(tb.load(series[1]), changed)


def test_a_file_of_which_less_than_half_is_alive_is_written_anew_and_then_shared(series):
    tensors = {f"t{i}": sample("uint8", (MIB,), i) for i in range(5)}
    tb.save(series[0], tensors, incremental=True)
    for i in range(3):
        tensors[f"t{i}"] = sample("uint8", (MIB,), 100 + i)
    report = tb.save(series[1], tensors, incremental=series[0])
    assert report.linked_bytes == 0
    assert report.num_shards == 2  # what had changed, and what had not
    tensors["t0"] = sample("uint8", (MIB,), 200)
    report = tb.save(series[2], tensors, incremental=series[1])
    assert report.linked_bytes == 5 * MIB  # t1 and t2 with the dead t0; t3 and t4
    assert_all_same(tb.load(series[2]), tensors)


def test_nothing_changed_writes_no_data(series):
    tb.save(series[0], model(), incremental=True, num_shards=3)
    report = tb.save(series[1], model(), incremental=series[0])
    assert report.written_bytes < 4000
    assert report.num_shards == 3
    assert_all_same(tb.load(series[1]), model())


def test_a_save_in_the_background_can_be_incremental(series):
    tb.save(series[0], model(), incremental=True)
    trained = model(step=1)
    handle = tb.save(series[1], trained, incremental=series[0], blocking=False)
    assert handle.result().written_bytes <= 0.11 * handle.result().tensor_bytes
    with tb.AsyncSaver(max_bytes=1 << 16) as saver:  # written from the tensors' own memory
        handle = saver.save(series[2], trained, incremental=series[1])
    assert handle.result().linked_bytes > 0
    assert_all_same(tb.load(series[2]), trained)


# ---- what makes it write everything ---------------------------------------------------------


def _no_fingerprints(prefix):
    Path(prefix + ".fingerprints").unlink()


def _of_another_index(prefix):
    kept = Path(prefix + ".fingerprints").read_bytes()
    tb.save(prefix, model(step=5), incremental=True)
    Path(prefix + ".fingerprints").write_bytes(kept)


def _damaged_fingerprints(prefix):
    path = Path(prefix + ".fingerprints")
    content = bytearray(path.read_bytes())
    content[70] ^= 1
    path.write_bytes(content)


def _cut_fingerprints(prefix):
    os.truncate(prefix + ".fingerprints", 33)


def _huge_fingerprints(prefix):
    os.truncate(prefix + ".fingerprints", 1 << 40)


def _fifo(prefix):
    Path(prefix + ".fingerprints").unlink()
    os.mkfifo(prefix + ".fingerprints")


def _damaged_index(prefix):
    path = Path(prefix + ".index")
    path.write_bytes(path.read_bytes()[:-9])


def _cut_data(prefix):
    (path,) = Path(prefix).parent.glob(Path(prefix).name + ".data*")
    os.truncate(path, 1000)


def _no_data(prefix):
    (path,) = Path(prefix).parent.glob(Path(prefix).name + ".data*")
    path.unlink()


def _ordinary(prefix):
    tb.save(prefix, model())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_no_fingerprints, "No such file"),
        (_of_another_index, "of another index"),
        (_damaged_fingerprints, "checksum is wrong"),
        (_cut_fingerprints, "not a file of fingerprints"),
        (_huge_fingerprints, "more fingerprints than"),
        (_fifo, "FIFO"),
        (_damaged_index, "magic"),
        (_cut_data, "half of its bytes"),
        (_no_data, "half of its bytes"),
        (_ordinary, "No such file"),
    ],
)
def test_an_earlier_checkpoint_that_is_no_use_makes_a_full_save(series, spoil, reason):
    tb.save(series[0], model(), incremental=True)
    spoil(series[0])
    report = tb.save(series[1], model(step=1), incremental=series[0])
    assert report.linked_bytes == 0
    assert reason in report.incremental_reason
    assert_all_same(tb.load(series[1]), model(step=1))


def test_another_file_system_makes_a_full_save_and_the_report_says_why(series, small_ext4):
    small = model(1, 1)
    tb.save(series[0], small, incremental=True)
    there = str(small_ext4.path / "ckpt")
    report = tb.save(there, small, incremental=series[0])
    assert report.linked_bytes == 0
    assert "cross-device" in report.incremental_reason
    assert_all_same(tb.load(there), small)
    assert tb.save(there + "-2", small, incremental=there).linked_bytes > 0


def test_an_ordinary_save_removes_fingerprints_that_are_no_longer_true(series):
    tb.save(series[0], model(), incremental=True)
    tb.save(series[0], model())
    assert listing(series[0]) == ["ckpt-0.data-00000-of-00002", "ckpt-0.index"]


def test_a_finer_alignment_than_asked_for_is_not_shared(series):
    tensors = {f"t{i}": sample("uint8", (101,), i) for i in range(9)}
    tb.save(series[0], tensors, incremental=True, alignment=1)
    report = tb.save(series[1], tensors, incremental=series[0])
    assert report.linked_bytes == 0
    with tb.open(series[1]) as bundle:
        assert all(bundle.entry(name).offset % 64 == 0 for name in bundle)


def test_snapshot_and_incremental_exclude_each_other(series):
    with pytest.raises(ValueError, match="not both"):
        tb.save(series[0], model(), incremental=True, snapshot=True)
    with pytest.raises(ValueError, match="ends in no name"):
        tb.save(series[0], model(), incremental="")


# ---- crashes --------------------------------------------------------------------------------


def test_killed_at_any_time_nothing_is_lost(series):
    code = """
        import os, sys
        import numpy as np
        import tensorbundle as tb
        directory = sys.argv[1]
        frozen = {f"f{i}": np.full(1 << 16, i, np.int32) for i in range(8)}
        previous = True
        print("ready", flush=True)
        for step in range(1_000_000):
            prefix = f"{directory}/ckpt-{step}"
            tb.save(prefix, {**frozen, "t": np.full(1 << 14, step)}, incremental=previous)
            if step >= 2:
                tb.remove_checkpoint(f"{directory}/ckpt-{step - 2}")
            previous = prefix
            print(step, flush=True)
    """
    directory = Path(series[0]).parent
    for kill_after in (3, 8, 20):
        program = [sys.executable, "-c", textwrap.dedent(code), str(directory)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
            saved = -1
            for line in process.stdout:
                if line.strip().isdigit():
                    saved = int(line)
                if saved >= kill_after:
                    break
            process.send_signal(signal.SIGKILL)
        for step in (saved - 1, saved):
            found = tb.load(str(directory / f"ckpt-{step}"))
            assert all((found[f"f{i}"] == i).all() for i in range(8))
            assert (found["t"] == step).all()
        report = tb.save(directory / "next", found, incremental=directory / f"ckpt-{saved}")
        assert report.linked_bytes > 0
        for path in directory.iterdir():
            path.unlink()


# ---- the manager ----------------------------------------------------------------------------


def test_a_manager_saves_incrementally_and_rotates(tmp_path, tf):
    state = {k: v for k, v in model().items() if k != "name"}
    with tb.CheckpointManager(state, tmp_path / "run", 2, incremental=True) as manager:
        for step in range(5):
            state["head/0"][:] = step
            prefix = manager.save()
            report = manager.save_report
            assert (report.linked_bytes > 0) == (step > 0)
            assert step == 0 or report.written_bytes <= 0.11 * report.tensor_bytes
    assert {name.split(".")[0] for name in names_in(tmp_path / "run")} == {
        "checkpoint", "ckpt-4", "ckpt-5",
    }  # fmt: skip
    assert prefix.endswith("ckpt-5")
    found = tf.train.load_checkpoint(str(tmp_path / "run")).get_tensor("head/0")
    assert (found == 4).all()
    assert tb.verify(prefix).ok


def test_a_manager_saves_objects_incrementally_in_the_background(tmp_path):
    frozen, head = sample("float32", (MIB,)), np.zeros(100, np.float32)
    checkpoint = tb.Checkpoint(frozen=frozen, head=head)
    with tb.CheckpointManager(checkpoint, tmp_path / "run", 2, incremental=True) as manager:
        for step in range(3):
            head[:] = step
            handle = manager.save(blocking=False)
            assert (handle.result().linked_bytes > 0) == (step > 0)
        assert manager.save(incremental=False) is not None
        assert manager.save_report.linked_bytes == 0
        head[:] = -1
        manager.restore(3)
    assert (head == 2).all()


def test_what_writes_itself_cannot_be_managed_incrementally(tmp_path, tf):
    checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
    with pytest.raises(TypeError, match=r"tensorbundle\.Checkpoint"):
        tb.CheckpointManager(checkpoint, tmp_path, incremental=True)
    manager = tb.CheckpointManager({"a": np.ones(3)}, tmp_path)
    with pytest.raises(TypeError, match="mapping"):
        manager.save(options=tf.train.CheckpointOptions(), incremental=True)
