"""What the kernel refuses each backend: space, direct I/O, io_uring, locked memory."""

from __future__ import annotations

import errno
import json
import subprocess
import threading

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import MIB, assert_all_same, assert_same, listing, run_python, snapshot

BACKENDS = ("auto", "buffered", "direct", "uring")

# ---- a full disk ----------------------------------------------------------------------------

# What does not fit into 24 MiB, and where that is found out.
TOO_MUCH = {
    "reserving": ({"a": np.ones(48 * MIB, np.uint8)}, {}),
    "reserving the second shard": (
        {f"{i}": np.ones(10 * MIB, np.uint8) for i in range(4)},
        {"num_shards": 4, "num_threads": 1},
    ),
    # Mostly gaps, so no space is reserved.
    "writing": ({f"{i}": np.ones(MIB, np.uint8) for i in range(40)}, {"alignment": 4 * MIB}),
    "writing from several threads": (
        {f"{i}": np.ones(MIB, np.uint8) for i in range(40)},
        {"alignment": 4 * MIB, "num_shards": 3, "num_threads": 3},
    ),
    "writing what is not contiguous": (
        {f"{i}": np.ones((MIB, 2), np.uint8).T for i in range(40)},
        {"alignment": 8 * MIB},
    ),
    "writing the index": (
        {"a": np.ones(9 * MIB, np.uint8)}
        | {f"{i}" + "n" * 100_000: np.uint8(i) for i in range(200)},
        {},
    ),
}


@pytest.mark.parametrize("why", TOO_MUCH)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_device_leaves_the_old_checkpoint_and_no_litter(small_ext4, backend, why):
    prefix = str(small_ext4.path / "ckpt")
    old = {"old": np.arange(1_250_000.0)}  # more than auto takes for small
    report = tb.save(prefix, old, backend=backend)
    assert (report.backend == "buffered") == (backend == "buffered"), report.backend_reason
    before = snapshot(prefix)
    tensors, options = TOO_MUCH[why]
    with pytest.raises(OSError) as caught:
        tb.save(prefix, tensors, backend=backend, **options)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.startswith(str(small_ext4.path))
    assert snapshot(prefix) == before
    assert_all_same(tb.load(prefix), old)
    del before
    tb.save(prefix, {"new": np.arange(3)}, backend=backend)  # the space is free again
    assert_all_same(tb.load(prefix), {"new": np.arange(3)})


# ---- no direct I/O --------------------------------------------------------------------------


@pytest.fixture
def far_directory(tmp_path, fuse_mount):
    (tmp_path / "near").mkdir()
    fuse_mount(tmp_path / "near", tmp_path / "far")
    yield tmp_path / "far"
    subprocess.run(["umount", "--lazy", tmp_path / "far"], check=False, capture_output=True)


@pytest.mark.parametrize("backend", ["direct", "uring"])
def test_a_network_file_system_refuses_direct_io_and_says_what_works(far_directory, backend):
    prefix = str(far_directory / "ckpt")
    tensors = {"a": np.ones(9 * MIB, np.uint8)}
    with pytest.raises(
        tb.UnsupportedError, match=r'fuse.*"buffered" and "auto" can'
    ) as caught:
        tb.save(prefix, tensors, backend=backend)
    assert (caught.value.code, caught.value.path) == ("UnsupportedBackend", str(far_directory))
    assert listing(prefix) == []
    report = tb.save(prefix, tensors)
    assert (report.backend, "fuse" in report.backend_reason) == ("buffered", True)
    with pytest.raises(tb.UnsupportedError, match=r'fuse.*"buffered" and "auto" can'):
        tb.load(prefix, backend=backend)
    loaded = tb.load(prefix)
    assert loaded.report.backend == "buffered"
    assert_all_same(loaded, tensors)


# ---- no io_uring ----------------------------------------------------------------------------

# Forbids io_uring_setup, number 425 on every architecture, to this process: EPERM, as the
# sandboxes of containers answer.
FORBID_URING = """
    import ctypes, struct
    LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
    PERM, ALLOW = 0x00050001, 0x7FFF0000
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, 425), (RETURN, 0, 0, PERM),
             (RETURN, 0, 0, ALLOW)]
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(program)
    filter = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0) != 0:
        print("no seccomp")
        raise SystemExit
"""

# Saves and loads with each backend; prints what the reports say.
SAVE_AND_LOAD = """
    import json, sys
    import numpy as np
    import tensorbundle as tb
    tensors = {"a": np.arange(5_000_000.0), "b": np.arange(7)}
    for backend in ("auto", "uring"):
        prefix = f"{sys.argv[1]}-{backend}"
        saved = tb.save(prefix, tensors, backend=backend)
        loaded = tb.load(prefix, backend="uring")
        assert all((loaded[name] == tensors[name]).all() for name in tensors)
        assert tb.verify(prefix).ok
        print(json.dumps([saved.backend, saved.backend_reason, loaded.report.backend]))
    print(json.dumps(tb.build_info()["io_uring"]))
"""


# Takes the right to lock memory past the limit away, where it is root's: capset(2).
LOCK_NO_MEMORY = """
    import ctypes, resource
    VERSION_3, CAP_IPC_LOCK = 0x20080522, 14
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then bits from 32 on
    assert libc.capget(header, sets) == 0
    for i in range(3):
        sets[i] &= ~(1 << CAP_IPC_LOCK)
    assert libc.capset(header, sets) == 0
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
"""


@pytest.fixture
def direct_prefix(prefix):
    """Give a prefix on a disk with direct I/O."""
    try:
        tb.save(prefix, {"a": np.zeros(9 * MIB, np.uint8)}, backend="direct")
    except tb.UnsupportedError as error:
        pytest.skip(f"no direct I/O for temporary files: {error}")
    return prefix


def test_where_io_uring_is_forbidden_direct_io_serves_and_the_report_says_why(direct_prefix):
    printed = run_python(FORBID_URING + SAVE_AND_LOAD, direct_prefix).splitlines()
    if printed == ["no seccomp"]:
        pytest.skip("this kernel has no seccomp filters")
    *reports, info = map(json.loads, printed)
    assert len(reports) == 2
    for saved, reason, loaded in reports:
        assert (saved, loaded) == ("direct", "direct")
        if tb.build_info()["io_uring"] is True:
            assert "Operation not permitted" in reason
        assert reason
    assert info is not True


def test_where_no_memory_may_be_locked_a_save_works_and_the_report_is_true(direct_prefix):
    printed = run_python(LOCK_NO_MEMORY + SAVE_AND_LOAD, direct_prefix)
    *reports, _ = map(json.loads, printed.splitlines())
    assert len(reports) == 2
    for saved, reason, loaded in reports:
        # A kernel before 5.12 charges a ring to the limit, and refuses it.
        assert (saved, bool(reason)) in (("uring", False), ("direct", True))
        assert loaded == saved


# ---- two saves at once ----------------------------------------------------------------------


@pytest.mark.parametrize("first", BACKENDS)
@pytest.mark.parametrize("second", BACKENDS)
def test_a_second_save_is_refused_at_once_whatever_the_backends(direct_prefix, first, second):
    tensors = {"a": np.arange(2_000_000.0)}
    refused = []

    def save_again(done, total):
        if refused:
            return
        thread = threading.Thread(target=lambda: refused.append(attempt()))
        thread.start()
        thread.join()  # the first save waits, so the second is refused while it runs

    def attempt():
        calls = []
        with pytest.raises(tb.LockedError, match="another save") as caught:
            tb.save(direct_prefix, {"b": np.ones(9 * MIB, np.uint8)}, backend=second,
                    progress=lambda *call: calls.append(call))  # fmt: skip
        assert calls == []  # nothing was written first
        return caught.value.code, caught.value.path

    tb.save(direct_prefix, tensors, backend=first, progress=save_again)
    assert refused == [("Locked", direct_prefix)]
    assert_same(tb.load(direct_prefix)["a"], tensors["a"])
    assert len(listing(direct_prefix)) == 2
