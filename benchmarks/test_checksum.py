"""How fast are the checksum and the checksummed copy, beside ISA-L and memcpy?

And the fingerprint, beside the SHA-256 that it stands in for.

256 KiB stays in a core's cache; 1 GB comes from memory. One thread.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib

import numpy as np
import pytest

from tensorbundle import _core

SIZES = pytest.mark.parametrize("size", [1 << 18, 10**9], ids=["256KiB", "1GB"])
_MOST_PER_CALL = 1 << 30  # ISA-L takes an int


@pytest.fixture(scope="module")
def source():
    return np.random.default_rng(0).integers(0, 255, 10**9, dtype=np.uint8)


@pytest.fixture(scope="module")
def target(source):
    return np.ones_like(source)


@pytest.fixture(scope="module")
def isal():
    path = ctypes.util.find_library("isal")
    if path is None:
        pytest.skip("ISA-L is not installed (Debian: libisal2)")
    function = ctypes.CDLL(path).crc32_iscsi
    function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
    function.restype = ctypes.c_uint
    return function


def run(benchmark, size, function, *arguments):
    """Measure; a small piece many times per round, so that the clock is not what counts."""
    benchmark.extra_info["bytes"] = size
    repeat = 200 if size < 1 << 20 else 1
    benchmark.pedantic(function, arguments, rounds=15, iterations=repeat, warmup_rounds=1)
    benchmark.extra_info["GB/s"] = round(size / benchmark.stats["median"] / 1e9, 1)
    print(f"\n{benchmark.name}: {benchmark.extra_info['GB/s']} GB/s")


@SIZES
def test_crc32c(benchmark, source, size):
    benchmark.group = f"crc {size}"
    run(benchmark, size, _core.crc32c, source[:size])


@SIZES
def test_crc32c_isal(benchmark, source, isal, size):
    benchmark.group = f"crc {size}"
    assert size < _MOST_PER_CALL
    assert ~isal(source.ctypes.data, 1 << 18, 0xFFFFFFFF) & 0xFFFFFFFF == _core.crc32c(
        source[: 1 << 18]
    )
    run(benchmark, size, isal, source.ctypes.data, size, 0xFFFFFFFF)


@SIZES
def test_fingerprint(benchmark, source, size):
    benchmark.group = f"fingerprint {size}"
    run(benchmark, size, _core.fingerprint, source[:size])


@SIZES
def test_sha256(benchmark, source, size):
    benchmark.group = f"fingerprint {size}"
    run(benchmark, size, hashlib.sha256, source[:size])


@SIZES
def test_copy_crc32c(benchmark, source, target, size):
    benchmark.group = f"copy {size}"
    run(benchmark, size, _core.copy_crc32c, target[:size], source[:size])


@SIZES
def test_memcpy(benchmark, source, target, size):
    benchmark.group = f"copy {size}"
    run(benchmark, size, np.copyto, target[:size], source[:size])
