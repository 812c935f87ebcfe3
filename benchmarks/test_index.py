"""What do 100,000 entries cost: gather, adapt, save, open, look up, list?

In memory (/dev/shm) and unsynced, so that the work of the program shows, not the disk's.
"""

from __future__ import annotations

import os
import random
import tempfile

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import tensors as adapters

COUNT = 100_000


@pytest.fixture(scope="module")
def tensors():
    values = np.random.default_rng(0).standard_normal((COUNT, 16), dtype=np.float32)
    return {f"layer_{i // 100:05}/tensor_{i:08}": values[i] for i in range(COUNT)}


@pytest.fixture(scope="module")
def directory():
    where = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=where) as path:
        yield path


@pytest.fixture(scope="module")
def saved(directory, tensors):
    prefix = os.path.join(directory, "saved")
    tb.save(prefix, tensors, durability="none")
    return prefix


@pytest.fixture(scope="module")
def names(tensors):
    return random.Random(0).sample(list(tensors), 1000)


def test_gather_100k(benchmark, tensors):
    benchmark(lambda: adapters.gather(tensors))


def test_gather_100k_by_python(benchmark, tensors):
    """What the core does not take as it is: here names of bytes."""
    named = {name.encode(): array for name, array in tensors.items()}
    benchmark(lambda: adapters.gather(named))


def test_adapt_100k(benchmark, tensors):
    items = list(tensors.items())
    assert len(benchmark(lambda: [adapters.adapt(*item) for item in items])) == COUNT


def test_save_100k(benchmark, directory, tensors):
    prefix = os.path.join(directory, "again")
    benchmark(lambda: tb.save(prefix, tensors, durability="none"))


def test_open_and_one_entry(benchmark, saved, names):
    assert benchmark(lambda: tb.open(saved).entry(names[0])).shape == (16,)


def test_open_and_one_array(benchmark, saved, names):
    assert benchmark(lambda: tb.open(saved)[names[0]]).shape == (16,)


def test_open_and_list_100k(benchmark, saved):
    assert len(benchmark(lambda: list(tb.open(saved)))) == COUNT


def test_1000_random_entries(benchmark, saved, names):
    bundle = tb.open(saved)
    benchmark(lambda: [bundle.entry(name) for name in names])


def test_1000_random_arrays(benchmark, saved, names):
    bundle = tb.open(saved)
    benchmark(lambda: [bundle[name] for name in names])


def test_map_100k(benchmark, saved):
    assert len(benchmark(lambda: tb.load(saved, mmap=True))) == COUNT


def test_load_100k(benchmark, saved):
    assert len(benchmark(lambda: tb.load(saved))) == COUNT
