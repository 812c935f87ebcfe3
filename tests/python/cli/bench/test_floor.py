"""Our own floor moves exactly the bytes it says, as fio's does."""

from __future__ import annotations

import numpy as np
import pytest

from tensorbundle.cli.bench import fio, floor
from tensorbundle.cli.memory import make_pool

SIZE = (33 << 20) + 12_345  # three requests, the last one not of whole pages


@pytest.fixture(scope="module")
def pool():
    return make_pool(SIZE + 64)


@pytest.fixture(params=[False, True], ids=["buffered", "direct"])
def direct(request, tmp_path, pool):
    if request.param:
        try:
            floor.write_seconds(str(tmp_path / "probe"), pool, 4096, direct=True)
        except OSError as error:
            pytest.skip(f"no direct I/O for temporary files: {error}")
    return request.param


def test_a_write_writes_the_pool(tmp_path, pool, direct):
    path = tmp_path / "floor"
    assert floor.write_seconds(str(path), pool, SIZE, direct=direct) > 0
    moved = SIZE // 4096 * 4096 if direct else SIZE
    assert path.read_bytes() == pool.view(np.uint8)[:moved].tobytes()


def test_a_read_reads_everything(tmp_path, pool, direct, monkeypatch):
    path = tmp_path / "floor"
    path.write_bytes(pool.view(np.uint8)[:SIZE].tobytes())
    moved = []
    real = floor.os.preadv
    monkeypatch.setattr(
        floor.os, "preadv", lambda *a: moved.append(real(*a)) or moved[-1], raising=True
    )
    assert floor.read_seconds(str(path), direct=direct) > 0
    assert sum(moved) == SIZE


def test_a_copy_copies(pool):
    target = np.zeros(SIZE, np.uint8)
    assert floor.copy_seconds(pool.view(np.uint8)[:SIZE], target) > 0
    np.testing.assert_array_equal(target, pool.view(np.uint8)[:SIZE])


def test_a_disk_that_fails_is_an_error(tmp_path, pool):
    with pytest.raises(FileNotFoundError):
        floor.write_seconds(str(tmp_path / "nope" / "floor"), pool, SIZE, direct=False)


@pytest.mark.skipif(not fio.has_fio(), reason="fio is not installed")
def test_fio_writes_and_reads_the_same_file(tmp_path, direct):
    path = str(tmp_path / "floor")
    size = 64 << 20
    assert 0 < fio.fio_seconds("write", path, size, direct=direct) < 60
    assert (tmp_path / "floor").stat().st_size >= size - (16 << 20)
    assert 0 < fio.fio_seconds("read", path, size, direct=direct) < 60


@pytest.mark.skipif(not fio.has_fio(), reason="fio is not installed")
def test_what_fio_says_is_passed_on():
    with pytest.raises(OSError, match="No such file or directory"):
        fio.fio_seconds("write", "/proc/nope", 1 << 24)
