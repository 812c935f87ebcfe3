"""Maps end with their last array; forks, threads and two savers at once do no harm."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import (
    MIB,
    assert_all_same,
    assert_same,
    data_file,
    listing,
    names_in,
    run_python,
    sample,
    snapshot,
)


def is_mapped(path):
    """Tell whether this process has the file mapped, also after its removal."""
    gc.collect()
    return str(path) in Path("/proc/self/maps").read_text()


def open_files():
    """Give the paths of the files that this process has open."""
    gc.collect()
    paths = set()
    for name in names_in("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            paths.add(os.readlink(f"/proc/self/fd/{name}"))
    return paths


@pytest.fixture
def saved(prefix):
    tb.save(prefix, {"a": sample("float32", (100, 100)), "b": sample("int64", (50,))})
    return prefix


# ---- maps -----------------------------------------------------------------------------------


def test_an_array_outlives_its_bundle(saved):
    bundle = tb.open(saved)
    gone = weakref.ref(bundle)
    array = bundle["a"]
    del bundle
    gc.collect()
    assert gone() is None
    assert_same(array, sample("float32", (100, 100)))


def test_an_array_outlives_its_files(saved):
    array = tb.load(saved, mmap=True)["a"]
    for name in listing(saved):
        os.unlink(Path(saved).parent / name)
    assert_same(array, sample("float32", (100, 100)))


@pytest.mark.parametrize("take", [lambda p: dict(tb.open(p)), lambda p: tb.load(p, mmap=True)])
def test_the_map_goes_with_its_last_array(saved, take):
    path = data_file(saved)
    tensors = take(saved)
    assert is_mapped(path)
    view = tensors["a"][3:, ::2].T
    tensors.clear()
    assert is_mapped(path)
    del view
    assert not is_mapped(path)
    assert not is_mapped(saved + ".index")


@pytest.mark.parametrize("overwrites", [1, 2, 3, 4])
@pytest.mark.parametrize("num_shards", [1, 2])
def test_an_open_bundle_never_gives_the_bytes_of_another_checkpoint(
    prefix, overwrites, num_shards
):
    old = {"a": np.full(1000, 1.0), "b": np.full(1000, 1.0)}
    tb.save(prefix, old, num_shards=num_shards)
    bundle = tb.open(prefix)
    for _ in range(overwrites):  # the names of data files come round again
        tb.save(
            prefix, {"a": np.full(1000, 2.0), "b": np.full(1000, 2.0)}, num_shards=num_shards
        )
    try:
        found = bundle["a"]
    except (tb.MissingShardError, tb.CheckpointGoneError):
        return  # replaced before it was mapped: told, not mixed up
    assert_same(found, old["a"])


def test_a_closed_bundle_keeps_no_file(saved):
    with tb.open(saved) as bundle:
        array = bundle["b"]
        assert saved + ".index" in open_files()
        assert not is_mapped(saved + ".index")  # a map of it could end the process
    assert saved + ".index" not in open_files()
    assert is_mapped(data_file(saved))
    del array
    assert not is_mapped(data_file(saved))


def test_read_arrays_keep_no_file_mapped_or_open(saved):
    before = set(names_in("/proc/self/fd"))
    tensors = tb.load(saved)
    assert not is_mapped(data_file(saved))
    assert set(names_in("/proc/self/fd")) == before
    assert len(tensors) == 2


def test_the_memory_of_read_arrays_lives_as_long_as_any_of_them(saved):
    tensors = tb.load(saved)
    b = tensors["b"]
    del tensors
    gc.collect()
    assert_same(b, sample("int64", (50,)))


def test_no_file_stays_open_after_a_failure(saved):
    before = set(names_in("/proc/self/fd"))
    os.unlink(data_file(saved))
    for read in (tb.load, lambda p: tb.load(p, mmap=True), lambda p: tb.open(p)["a"]):
        with pytest.raises(tb.MissingShardError):
            read(saved)
    with pytest.raises(ZeroDivisionError):
        tb.save(saved, {"a": np.ones(9 * MIB, np.uint8)}, progress=lambda *_: 1 // 0)
    gc.collect()
    assert set(names_in("/proc/self/fd")) == before


def test_a_save_keeps_no_tensor_alive(prefix):
    array = np.ones(1000)
    gone = weakref.ref(array)
    tb.save(prefix, {"a": array})
    del array
    gc.collect()
    assert gone() is None


# ---- processes ------------------------------------------------------------------------------


def use_everything(prefix, directory):
    """Save and load in parallel: what a child process may do."""
    tensors = tb.load(prefix)
    other = os.path.join(directory, f"child-{os.getpid()}")
    tb.save(
        other, {name: np.tile(a.ravel(), 500) for name, a in tensors.items()}, num_shards=2
    )
    assert tb.verify(other).ok
    assert_all_same(tb.load(prefix, mmap=True), tensors)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_can_use_the_library(saved, tmp_path):
    bundle, array = tb.open(saved), tb.load(saved, mmap=True)["a"]
    use_everything(saved, tmp_path)
    child = os.fork()
    if child == 0:  # no pytest here: only the exit status counts
        status = 1
        try:
            use_everything(saved, tmp_path)
            assert_same(array, bundle["a"])
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    use_everything(saved, tmp_path)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_fork_during_a_save_neither_holds_its_lock_nor_its_files(prefix):
    children = []

    def progress(done, total):
        if children:
            return
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)

    try:
        tb.save(prefix, {"a": np.ones(8 * MIB, np.uint8)}, progress=progress)
        tb.save(prefix, {"a": np.zeros(8 * MIB, np.uint8)})  # the child is still there
        assert not tb.load(prefix)["a"].any()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_spawned_processes_can_use_the_library(saved, tmp_path):
    run_python(
        """
        import multiprocessing, os, sys
        import numpy as np
        import tensorbundle as tb

        prefix, directory = sys.argv[1:]
        loaded = tb.load(prefix)
        tb.save(os.path.join(directory, "parent"), loaded)
        pool = multiprocessing.get_context("spawn").Pool(2)
        found = pool.map(tb.load, [prefix] * 4)  # arrays, pickled back
        assert all((f["a"] == loaded["a"]).all() for f in found)
        try:
            pool.apply(tb.load, (prefix, ["nothing"]))
        except tb.MissingTensorError as error:
            assert error.key == "nothing"
        else:
            raise AssertionError
        pool.terminate()
        """,
        saved,
        tmp_path,
    )


# ---- threads --------------------------------------------------------------------------------


def run_threads(functions):
    """Run all at once; raise what any of them raised."""
    failures = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_many_threads_save_at_once(prefix):
    model = {f"{i}": sample("float32", (500, 700), i) for i in range(4)}
    model["strided"] = sample("float32", (500, 700), 9).T

    def save(i):
        for _ in range(3):
            tb.save(f"{prefix}-{i}", model, num_shards=1 + i % 3)

    run_threads([lambda i=i: save(i) for i in range(8)])
    for i in range(8):
        assert_all_same(tb.load(f"{prefix}-{i}"), model)
    assert not [name for name in listing(prefix) if ".tmp" in name or "lock" in name]


def test_many_threads_load_one_checkpoint_at_once(saved):
    expected = tb.load(saved)
    bundle = tb.open(saved, verify=True)

    def read():
        assert_all_same(tb.load(saved), expected)
        assert_all_same(dict(bundle), expected)
        assert tb.verify(saved).ok

    run_threads([read] * 8)


def test_a_second_save_of_the_same_prefix_is_refused(prefix):
    tb.save(prefix, {"old": np.ones(3)})
    refused = []

    def progress(done, total):
        with pytest.raises(tb.LockedError) as caught:
            tb.save(prefix, {"second": np.ones(3)})
        refused.append(caught.value)
        tb.save(prefix + "-other", {"other": np.ones(3)})

    first = {"first": np.ones(4 * MIB, np.uint8)}
    tb.save(prefix, first, progress=progress)
    assert refused
    assert refused[0].code == "Locked"
    assert refused[0].path == prefix
    assert_all_same(tb.load(prefix), first)
    tb.save(prefix, {"third": np.ones(3)})
    assert list(tb.load(prefix)) == ["third"]
    assert not [name for name in listing(prefix) if "tmp" in name or "lock" in name]


def test_another_process_is_refused_as_well(prefix):
    answers = []

    def progress(done, total):
        if not answers:
            answers.append(run_python(
                """
                import sys, tensorbundle as tb
                try:
                    tb.save(sys.argv[1], {"second": 1})
                except tb.LockedError as error:
                    print(error.code)
                """,
                prefix,
            ))  # fmt: skip

    tb.save(prefix, {"first": np.ones(3)}, progress=progress)
    assert answers == ["Locked\n"]
    assert list(tb.load(prefix)) == ["first"]


def test_readers_beside_a_writer_see_whole_checkpoints(prefix):
    size, rounds = 50_000, 30
    tb.save(prefix, {"a": np.full(size, 0), "b": np.full(size, 0)})
    over = threading.Event()
    seen = []

    def write():
        try:
            for i in range(1, rounds):
                tb.save(
                    prefix, {"a": np.full(size, i), "b": np.full(size, i)}, durability="none"
                )
        finally:
            over.set()

    def read():
        while not over.is_set():
            try:
                found = tb.load(prefix)
            except (tb.MissingShardError, tb.CheckpointGoneError):
                continue  # replaced between its index and its data: told, not mixed up
            (value,) = np.unique(np.concatenate([found["a"], found["b"]]))
            seen.append(int(value))

    run_threads([write, read, read])
    assert seen
    assert tb.load(prefix)["a"][0] == rounds - 1


# ---- what a crash leaves --------------------------------------------------------------------


def test_a_killed_save_leaves_the_old_checkpoint_and_the_next_one_sweeps(prefix):
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)
    done = run_python(
        """
        import os, signal, sys
        import numpy as np
        import tensorbundle as tb

        def progress(done, total):
            if done:
                os.kill(os.getpid(), signal.SIGKILL)

        tb.save(sys.argv[1], {"new": np.ones(1 << 27, np.uint8)}, progress=progress)
        """,
        prefix,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    left = snapshot(prefix)
    assert before.items() <= left.items()
    assert len(left) > len(before)  # it was killed in the middle
    assert_same(tb.load(prefix)["old"], np.arange(10))
    tb.save(prefix, {"new": np.arange(3)})
    assert listing(prefix) == ["ckpt.data-00000-of-00002", "ckpt.index"]


# ---- the global interpreter lock ------------------------------------------------------------


# One thread each: the counting one needs a processor too.
CALLS = {
    "save": lambda prefix, array: tb.save(prefix, {"a": array}, num_threads=1),
    "strided save": lambda prefix, array: tb.save(prefix, {"a": array.T}, num_threads=1),
    "load": lambda prefix, array: tb.load(prefix, num_threads=1),
    "verified map": lambda prefix, array: tb.load(
        prefix, mmap=True, verify=True, num_threads=1
    ),
    "verify": lambda prefix, array: tb.verify(prefix, num_threads=1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_other_threads_run_meanwhile(prefix, call):
    # With this interval no thread loses the lock but by giving it up itself, which the other
    # one does in each system call, and this one only where the library releases it.
    array = np.ones((8192, 8192), np.float32)  # 256 MiB
    tb.save(prefix, {"a": array})
    count, started, over = [0], threading.Event(), threading.Event()

    def run():
        while not over.is_set():
            os.stat("/")
            count[0] += 1
            started.set()

    thread = threading.Thread(target=run)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        thread.start()
        started.wait()
        before = count[0]
        call(prefix, array)
        counted = count[0] - before
    finally:
        over.set()
        sys.setswitchinterval(interval)
        thread.join()
    assert counted > 100  # a call that holds the lock counts none
