"""Saving tensor by tensor: bounded memory, any order, all or nothing."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import (
    ALL_DTYPES,
    MIB,
    assert_all_same,
    assert_same,
    listing,
    names_in,
    run_python,
    sample,
    snapshot,
    strings,
)
from .partitions import cut


def everything():
    tensors = {dtype.name: sample(dtype, (13, 7), i) for i, dtype in enumerate(ALL_DTYPES)}
    tensors["strings"] = strings(b"", b"a", b"b" * 3000)
    tensors["scalar"] = np.array(7)
    tensors["empty"] = np.zeros((0, 5))
    tensors["transposed"] = sample("float32", (300, 200)).T
    tensors["big-endian"] = sample("float64", (50,)).astype(">f8")
    tensors["large"] = sample("uint8", (5 * MIB + 13,))
    tensors["large and strided"] = sample("int16", (2048, 3001))[:, ::2]
    return tensors


def native(tensors):
    return {
        name: np.ascontiguousarray(a, a.dtype.newbyteorder("=")).reshape(a.shape)
        if a.dtype != object else a
        for name, a in tensors.items()
    }  # fmt: skip


# ---- what is written ------------------------------------------------------------------------


@pytest.mark.parametrize("num_shards", [None, 3])
@pytest.mark.parametrize("alignment", [1, 64, 4096])
def test_every_kind_of_tensor_comes_back(prefix, num_shards, alignment):
    tensors = everything()
    with tb.Writer(prefix, num_shards=num_shards, alignment=alignment) as writer:
        for name, array in tensors.items():
            writer.add(name, array)
    assert_all_same(tb.load(prefix), native(tensors))
    assert tb.verify(prefix).ok
    for name in tensors:
        assert tb.open(prefix).entry(name).offset % alignment == 0


def test_tensorflow_reads_it(tf, prefix):
    tensors = {"b": sample("float32", (3, 4)), "a": sample("int64", (MIB,))}
    grid = sample("float64", (30, 40))
    with tb.Writer(prefix) as writer:
        for name, array in tensors.items():
            writer.add(name, array)
        for begin, part in reversed(cut(grid, [7], [1, 39])):
            writer.add_slice("grid", grid.shape, begin, part)
    for name, array in {**tensors, "grid": grid}.items():
        assert_same(tf.train.load_variable(prefix, name), array)


def test_packed_densely_the_files_are_those_of_a_save(tmp_path):
    tensors = everything()
    tensors["in parts"] = sample("float32", (9, 9))
    parts = cut(tensors["in parts"], [2], [3, 4])
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    with tb.Writer(tmp_path / "ours/ckpt", alignment=1) as writer:
        for name, array in tensors.items():
            if name != "in parts":
                writer.add(name, array)
        for begin, part in parts:
            writer.add_slice("in parts", (9, 9), begin, part)
    tensors["in parts"] = tb.Partitioned((9, 9), parts)
    tb.save(tmp_path / "theirs/ckpt", tensors, alignment=1)
    ours, theirs = snapshot(tmp_path / "ours/ckpt"), snapshot(tmp_path / "theirs/ckpt")
    assert list(ours) == list(theirs)
    assert all(ours[name] == theirs[name] for name in ours)


@pytest.mark.parametrize("backend", ["buffered", "direct", "uring"])
def test_every_backend_writes_the_same(prefix, backend):
    tensors = everything()
    try:
        writer = tb.Writer(prefix, backend=backend, alignment=1, num_threads=2)
    except tb.UnsupportedError as error:
        pytest.skip(str(error))
    with writer:
        for name, array in tensors.items():
            writer.add(name, array)
    assert_all_same(tb.load(prefix), native(tensors))
    assert writer.report.backend in (backend, "direct")


def test_tensors_of_all_frameworks_are_taken(prefix, torch, tf, jax):
    array = sample("float32", (3, 4))
    with tb.Writer(prefix) as writer:
        writer.add("torch", torch.from_numpy(array))
        writer.add("tf", tf.constant(array))
        writer.add("jax", jax.numpy.asarray(array))
        writer.add("text", "word")
        writer.add(b"\xff", 7)
    loaded = tb.load(prefix)
    for name in "torch", "tf", "jax":
        assert_same(loaded[name], array)
    assert loaded["text"][()] == b"word"
    assert loaded["\udcff"] == 7


def test_what_was_added_may_change(prefix):
    small, large = np.zeros(100), np.zeros(MIB)
    with tb.Writer(prefix) as writer:
        for i in range(5):
            small[...] = i
            large[...] = i
            writer.add(f"small/{i}", small)
            writer.add(f"large/{i}", large)
            writer.add_slice("rows", (5, 100), (i, 0), small.reshape(1, 100))
    loaded = tb.load(prefix)
    for i in range(5):
        assert (loaded[f"small/{i}"] == i).all()
        assert (loaded[f"large/{i}"] == i).all()
        assert (loaded["rows"][i] == i).all()


def test_the_report_tells_what_was_done(prefix):
    tensors = everything()
    with tb.Writer(prefix, num_shards=2, backend="buffered") as writer:
        assert writer.report is None
        for name, array in tensors.items():
            writer.add(name, array)
        for row in range(3):
            writer.add_slice("rows", (3, 100), (row, 0), np.ones((1, 100)))
    report = writer.report
    stored = [tb.open(prefix).entry(name).size for name in tensors]
    assert report.num_tensors == len(tensors) + 1
    assert report.tensor_bytes == sum(stored) + 3 * 100 * 8
    assert report.zero_copy_bytes + report.staged_bytes == report.tensor_bytes
    assert report.zero_copy_bytes > 4 * MIB
    assert report.file_bytes == sum(map(len, snapshot(prefix).values()))
    assert (report.num_shards, report.durability, report.prefix) == (2, "full", prefix)
    assert 0 < report.write_seconds <= report.seconds
    assert report.as_dict()["gb_per_second"] > 0


def test_a_writer_of_nothing_makes_an_empty_checkpoint(prefix):
    with tb.Writer(prefix, num_shards=3):
        pass
    assert tb.load(prefix) == {}


@pytest.mark.parametrize("size", [1000, 3 * MIB, 40 * MIB])
def test_memory_is_bounded_whatever_is_added(tmp_path, size):
    used = run_python(
        """
        import sys
        import numpy as np
        import tensorbundle as tb

        def peak():
            (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
            return int(line.split()[1])

        prefix, size = sys.argv[1], int(sys.argv[2])
        array = np.ones(size, np.uint8)
        with tb.Writer(prefix + "-warm") as writer:
            writer.add("a", array)
        before = peak()
        with tb.Writer(prefix, durability="none") as writer:
            for i in range(min(3000, (400 << 20) // size)):
                writer.add(f"t{i}", array)
        print(peak() - before)
        """,
        tmp_path / "ckpt",
        size,
    )
    assert int(used) < 56 * 1024, "KiB"


# ---- what is refused ------------------------------------------------------------------------


def test_what_is_refused_changes_nothing(prefix):
    array = sample("float32", (4, 6))
    with tb.Writer(prefix) as writer:
        writer.add("a", array)
        writer.add_slice("v", (4, 6), (0, 0), array[:2])
        add, add_slice = writer.add, writer.add_slice
        refused = [
            (lambda: add("a", array), ValueError, "the name is given twice"),
            (lambda: add("v", array), ValueError, "whole and in parts"),
            (lambda: add("", array), ValueError, "name is empty"),
            (lambda: add(7, array), TypeError, "must be str"),
            (lambda: add("b", object()), TypeError, "'b': cannot save"),
            (lambda: add_slice("a", (4, 6), (2, 0), array[2:]), ValueError, "whole and"),
            (lambda: add_slice("v", (4, 6), (0, 0), array[:2]), ValueError, "twice"),
            (lambda: add_slice("v", (4, 6), (1, 0), array[1:3]), ValueError, "overlap"),
            (lambda: add_slice("v", (4, 6), (3, 0), array[:2]), ValueError, "inside"),
            (lambda: add_slice("v", (5, 6), (2, 0), array[2:]), ValueError, "whole shape"),
            (lambda: add_slice("v", (4, 6), (2, 0), array[2:] > 0), ValueError, "dtype"),
            (lambda: add_slice("v", (4, 6), (2,), array[2:]), ValueError, "1 offsets"),
            (lambda: add_slice("v", 4, (2,), array[2:]), TypeError, "full_shape"),
            (writer.finish, ValueError, "12 of the 24 elements"),
        ]
        for call, error, told in refused:
            with pytest.raises(error, match=told):
                call()
        writer.add_slice("v", (4, 6), (2, 0), array[2:])
    assert_all_same(tb.load(prefix), {"a": array, "v": array})
    for call in (
        lambda: writer.add("c", 1),
        lambda: writer.add_slice("c", (2,), (0,), np.ones(1)),
        writer.finish,
    ):
        with pytest.raises(ValueError, match="the writer is finished"):
            call()
    writer.abort()
    assert_all_same(tb.load(prefix), {"a": array, "v": array})


def test_gaps_are_written_where_they_are_asked_for(prefix):
    with tb.Writer(prefix, partial=True) as writer:
        writer.add_slice("v", (4, 6), (2, 0), np.ones((2, 6)))
    assert tb.open(prefix).read_slice("v", 3).tolist() == [1] * 6


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"alignment": 3}, ValueError),
        ({"num_shards": 0}, ValueError),
        ({"num_shards": 100_000}, ValueError),
        ({"durability": "some"}, ValueError),
        ({"backend": "fast"}, ValueError),
        ({"num_threads": 1.5}, TypeError),
        ({"block_size": 1000}, ValueError),
    ],
    ids=str,
)
def test_bad_options_are_named_and_nothing_is_touched(prefix, options, error):
    with pytest.raises(error, match=next(iter(options))):
        tb.Writer(prefix, **options)
    assert listing(prefix) == []


# ---- all or nothing -------------------------------------------------------------------------


@pytest.fixture
def old(prefix):
    """Save a checkpoint that a writer is to replace."""
    tb.save(prefix, {"old": sample("int32", (100,))})
    return snapshot(prefix)


def test_until_it_finishes_the_old_checkpoint_is_there(prefix, old):
    writer = tb.Writer(prefix)
    writer.add("new", np.ones(2 * MIB))
    assert_same(tb.load(prefix)["old"], sample("int32", (100,)))
    with pytest.raises(tb.LockedError):
        tb.save(prefix, {})
    with pytest.raises(tb.LockedError):
        tb.Writer(prefix)
    writer.finish()
    assert list(tb.load(prefix)) == ["new"]
    assert len(listing(prefix)) == 2


def test_an_exception_in_the_block_aborts(prefix, old):
    with pytest.raises(KeyError, match="mine"), tb.Writer(prefix) as writer:
        writer.add("new", np.ones(2 * MIB))
        raise KeyError("mine")
    assert snapshot(prefix) == old
    assert "ended" in repr(writer)
    with pytest.raises(ValueError, match="the writer was aborted"):
        writer.add("more", 1)


def test_a_block_that_lacks_parts_aborts(prefix, old):
    with pytest.raises(ValueError, match="elements"), tb.Writer(prefix) as writer:
        writer.add_slice("v", (4,), (0,), np.ones(2))
    assert snapshot(prefix) == old


def test_a_writer_may_be_finished_or_aborted_within_its_block(prefix, old):
    with tb.Writer(prefix) as writer:
        writer.add("new", 1)
        writer.abort()
        writer.abort()
    assert snapshot(prefix) == old
    with tb.Writer(prefix) as writer:
        writer.add("new", 1)
        report = writer.finish()
    assert writer.report is report
    assert list(tb.load(prefix)) == ["new"]


def test_one_that_is_forgotten_is_aborted_with_a_warning(prefix, old):
    writer = tb.Writer(prefix)
    writer.add("new", np.ones(2 * MIB))
    with pytest.warns(ResourceWarning, match="neither finished nor aborted"):
        del writer
        gc.collect()
    assert snapshot(prefix) == old


def test_one_that_is_open_at_the_end_of_the_program_leaves_nothing(prefix, old):
    done = run_python(
        """
        import sys
        import numpy as np
        import tensorbundle as tb

        writer = tb.Writer(sys.argv[1])
        writer.add("new", np.ones(1 << 20))
        """,
        prefix,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert snapshot(prefix) == old


def test_a_full_disk_ends_it_and_leaves_nothing(small_disk):
    prefix = small_disk.path / "ckpt"
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)
    writer = tb.Writer(prefix)
    with pytest.raises(OSError, match="No space left") as caught:
        add_many(writer)
    assert caught.value.filename.startswith(str(small_disk.path))
    assert snapshot(prefix) == before
    with pytest.raises(ValueError, match=r"ended when this failed: .*No space left"):
        writer.add("more", 1)


def add_many(writer):
    for i in range(20):
        writer.add(f"t{i}", np.ones(MIB))


def run_until_ready(code, *arguments):
    """Start a program and wait for its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


WAITING = """
    import sys
    import numpy as np
    import tensorbundle as tb

    writer = tb.Writer(sys.argv[1], num_shards=2)
    for i in range(4):
        writer.add(f"new{i}", np.ones(1 << 20))
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_one_that_is_killed_leaves_what_the_next_save_sweeps(prefix, old):
    process = run_until_ready(WAITING, prefix)
    assert len(listing(prefix)) > len(old)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert_same(tb.load(prefix)["old"], sample("int32", (100,)))
    tb.save(prefix, {"new": np.arange(3)})
    assert len(names_in(Path(prefix).parent)) == 2


def test_ctrl_c_ends_it_and_leaves_nothing(prefix, old):
    code = """
        import sys
        import numpy as np
        import tensorbundle as tb

        try:
            with tb.Writer(sys.argv[1], durability="none") as writer:
                writer.add("first", np.ones(1 << 20))
                print("ready", flush=True)
                for i in range(1_000_000_000):
                    writer.add(f"t{i}", np.ones(100))
        except KeyboardInterrupt:
            sys.exit(42)
    """
    process = run_until_ready(code, prefix)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 42
    assert snapshot(prefix) == old


# ---- threads and processes ------------------------------------------------------------------


def test_one_that_ctrl_c_has_left_half_made_goes_quietly(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    tb.Writer.__new__(tb.Writer)  # and nothing of __init__
    gc.collect()
    assert told == []


def test_threads_may_add_at_once_and_another_finish(prefix):
    tensors = {f"t{i}": sample("float32", (200, i + 1), i) for i in range(60)}
    tensors.update({f"large{i}": np.full(MIB, i, np.float64) for i in range(4)})
    writer = tb.Writer(prefix, num_shards=2)
    names, failures = iter(list(tensors)), []
    lock = threading.Lock()

    def add():
        try:
            while True:
                with lock:
                    name = next(names, None)
                if name is None:
                    return
                writer.add(name, tensors[name])
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    finishing = threading.Thread(target=writer.finish)
    finishing.start()
    finishing.join()
    assert_all_same(tb.load(prefix), tensors)


def test_a_forked_child_cannot_use_it_and_does_no_harm(prefix):
    told = run_python(
        """
        import gc, os, sys
        import numpy as np
        import tensorbundle as tb

        writer = tb.Writer(sys.argv[1])
        writer.add("a", np.arange(1 << 20))
        child = os.fork()
        if child == 0:
            for call in (lambda: writer.add("b", 1), writer.finish):
                try:
                    call()
                except RuntimeError as error:
                    print(error, flush=True)
            writer.abort()
            print(writer, flush=True)
            del writer
            gc.collect()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        writer.add("c", np.arange(1 << 20))
        writer.finish()
        tb.save(sys.argv[1] + "-other", {"x": 1})
        """,
        prefix,
    )
    assert told.count("belongs to the parent process") == 2
    assert sorted(tb.load(prefix)) == ["a", "c"]
    assert tb.verify(prefix).ok


def test_two_writers_of_different_prefixes_do_not_meet(tmp_path):
    with tb.Writer(tmp_path / "a") as first, tb.Writer(tmp_path / "b") as second:
        first.add("x", 1)
        second.add("x", 2)
    assert tb.load(tmp_path / "a")["x"] == 1
    assert tb.load(tmp_path / "b")["x"] == 2


def test_the_directory_is_made_and_goes_again(tmp_path):
    prefix = tmp_path / "new" / "ckpt"
    tb.Writer(prefix).abort()
    assert not prefix.parent.exists()
    with tb.Writer(prefix) as writer:
        writer.add("a", 1)
    assert tb.load(prefix)["a"] == 1
    with pytest.raises(FileNotFoundError):
        tb.Writer(tmp_path / "no" / "such" / "ckpt")
    assert os.path.basename(writer.prefix) == "ckpt"
