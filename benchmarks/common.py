"""What the scripts share: cases run in turn, their table, the machine, files, fio."""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import CDLL, c_size_t, c_ubyte, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from tensorbundle.cli.machine import file_system_of, num_processors
from tensorbundle.cli.model import Model, shapes_of
from tensorbundle.cli.output import Column, format_range, format_seconds, print_table

FIRST_64MB = "a_first_of_64_mb"
MIN_BYTES_OF_FIRST = 64_000_000
_FIO = ["--bs=16M", "--direct=1", "--ioengine=io_uring", "--iodepth=8", "--output-format=json"]


@dataclass
class Case:
    """Something measured: `run` is timed, or itself gives the seconds where `own_clock`."""

    name: str
    run: Callable[[], Any]
    num_bytes: int = 0  # moved by `run`: gives GB/s
    before: Callable[[], Any] | None = None
    after: Callable[[], Any] | None = None
    own_clock: bool = False
    seconds: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("nan")


def parse_arguments(doc: str, **extra: dict[str, Any]) -> argparse.Namespace:
    """Read the options that all scripts have, and those in `extra` by name."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, options in extra.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    parser.add_argument("--dir", default=".", help="directory on the disk to be measured")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each case")
    parser.add_argument("--json", metavar="FILE", help="write the seconds of every run too")
    return parser.parse_args()


@contextmanager
def scratch_in(directory: str) -> Iterator[str]:
    """Give a new directory that is removed at the end, killed by SIGTERM or not."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tensorbundle-bench-", dir=directory) as path:
        yield os.path.abspath(path)


def interleave(cases: Sequence[Case], runs: int) -> None:
    """Run all cases in turn: once unmeasured, to warm memory, then `runs` times.

    A case that fails is left out from then on; its row will say why.
    """
    for number in range(runs + 1):
        for case in cases:
            if not case.failure:
                print(f"{number}/{runs} {case.name}", file=sys.stderr, flush=True)
                _run_once(case, measured=number > 0)


def _run_once(case: Case, *, measured: bool) -> None:
    try:
        if case.before:
            case.before()
        gc.collect()
        wait_until_quiet()
        start = time.perf_counter()
        result = case.run()
        seconds = time.perf_counter() - start
        if measured:
            case.seconds.append(result if case.own_clock else seconds)
        del result
        if case.after:
            case.after()
    except Exception as error:  # noqa: BLE001 - a peer may raise anything
        case.failure = f"{type(error).__name__}: {str(error).splitlines()[0]}"


def wait_until_quiet(at_most: float = 30.0) -> None:
    """Wait while other programs have more than a tenth of the processors."""
    end = time.monotonic() + at_most
    while time.monotonic() < end:
        before = _processor_ticks()
        time.sleep(0.25)
        idle, total = (new - old for new, old in zip(_processor_ticks(), before, strict=True))
        if idle >= 0.9 * total:
            return
    print(f"  still busy after {at_most:g} s", file=sys.stderr)


def _processor_ticks() -> tuple[int, int]:
    """Give the ticks that the processors idled or waited for a disk, and those of all."""
    ticks = [int(text) for text in _lines("/proc/stat")[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks)


def print_cases(title: str, cases: Sequence[Case], base: Case) -> None:
    """Print a table; the last column is the time of each case over that of `base`."""
    columns = ("", "median", "min-max", "GB/s", f"time / {base.name}")
    rows = []
    for case in cases:
        if case.failure or not case.seconds:
            rows.append([case.name, "-", "-", "-", case.failure or "not run"])
            continue
        rate = f"{case.num_bytes / 1e9 / case.median:.2f}" if case.num_bytes else "-"
        spread = format_range(min(case.seconds), max(case.seconds), case.median)
        ratio = f"{case.median / base.median:.2f}" if base.seconds else "-"
        rows.append([case.name, format_seconds(case.median), spread, rate, ratio])
    print(f"\n{title}")
    print_table([Column(text, right=i > 0) for i, text in enumerate(columns)], rows)


def write_json(path: str | None, cases: Sequence[Case], directory: str, **more: Any) -> None:
    """Write machine, seconds of each run, and `more`, where a path was given."""
    if path:
        results = {c.name: {"seconds": c.seconds, "failure": c.failure} for c in cases}
        content = {"machine": machine_line(directory), "cases": results, **more}
        Path(path).write_text(json.dumps(content, indent=1) + "\n")


def machine_line(directory: str) -> str:
    """Describe processor, memory, kernel, file system, commit and the load before we ran."""
    cpu = next(
        (line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    memory = int(_lines("/proc/meminfo")[0].split()[1]) * 1024
    kind = file_system_of(os.path.abspath(directory))
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"{cpu.split(':')[-1].strip()}, {num_processors()} cores, {memory / 1e9:.0f} GB, "
        f"Linux {platform.release()}, {kind}, Python {platform.python_version()}, "
        f"commit {commit or '?'}, load {os.getloadavg()[0]:.1f}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def make_pool(gb: float, *, huge_pages: bool = True) -> np.ndarray[Any, Any]:
    """Make random float32 values; their memory is written, and starts at a page.

    NumPy asks for huge pages for arrays of its own, so they are the default; torch does not.
    """
    size = int(gb * 1e9) // 64 * 64
    mapping = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # else shared memory
    mapping.madvise(mmap.MADV_HUGEPAGE if huge_pages else mmap.MADV_NOHUGEPAGE)
    pool = np.frombuffer(mapping, dtype=np.float32)
    np.random.default_rng(0).standard_normal(out=pool, dtype=np.float32)
    return pool


def model_of(pool: np.ndarray[Any, Any], gb: float) -> Model:
    """Cut a model of `gb` out of the pool: 85 tensors, the first of 64 MB where they fit."""
    first = MIN_BYTES_OF_FIRST if gb > 0.2 else 64 * int(gb * 1e6)
    shapes = {FIRST_64MB: (first // 4,), **shapes_of(gb - first / 1e9 - 1e-5)}
    tensors, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        tensors[name] = pool[start : start + size].reshape(shape)
        start += -(-size // 16) * 16  # 64-byte aligned, as frameworks allocate
    return Model(tensors)


def warm_memory(num_bytes: int) -> None:
    """Touch memory and free it: the first touch on a virtual machine waits for the host."""
    with mmap.mmap(-1, num_bytes) as memory:
        np.frombuffer(memory, dtype=np.uint8)[:: mmap.PAGESIZE].fill(1)


def touch_all(arrays: Mapping[str, Any]) -> int:
    """Read every byte; NumPy's XOR over 64-bit words goes at memory speed."""
    return sum(int(np.bitwise_xor.reduce(_words(array))) for array in arrays.values())


def _words(array: Any) -> np.ndarray[Any, Any]:
    words = np.asarray(array).reshape(-1).view(np.uint8)
    return words.view(np.uint64) if words.nbytes % 8 == 0 else words


def remove_files(directory: str) -> None:
    """Empty a directory and wait until its blocks are free, so that no later case does."""
    for path in Path(directory).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    sync(directory)


def sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def drop_cache(directory: str) -> None:
    """Put all files of a directory out of the page cache, and see that they are out."""
    gc.collect()  # mapped pages stay
    for path in Path(directory).iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        resident = resident_pages(str(path))
        if resident:
            raise RuntimeError(f"{path}: {resident} pages are still cached")


def fill_cache(directory: str) -> None:
    """Bring all files of a directory into the page cache, however they were written."""
    for path in Path(directory).iterdir():
        with path.open("rb", buffering=0) as file:
            buffer = bytearray(1 << 22)
            while file.readinto(buffer):
                pass


def resident_pages(path: str) -> int:
    """Count the pages of a file that are in the page cache, by mincore(2)."""
    size = Path(path).stat().st_size
    if size == 0:
        return 0
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
    address = np.frombuffer(mapping, dtype=np.uint8).ctypes.data
    pages = (c_ubyte * -(-size // mmap.PAGESIZE))()
    if CDLL(None, use_errno=True).mincore(c_void_p(address), c_size_t(size), pages) != 0:
        raise OSError("mincore failed")
    return int((np.frombuffer(pages, dtype=np.uint8) & 1).sum())


def fio_seconds(direction: str, path: str, size: int, *, huge_pages: bool = True) -> float:
    """Give the seconds of fio's sequential O_DIRECT "write" or "read" of so many bytes.

    fio moves whole requests of 16 MiB, so its time is scaled to the bytes asked for. A
    write ends with an fsync. Its own start is not counted. Its buffers are of huge pages
    unless told otherwise (glibc 2.35), which a device can be twice as fast with.
    """
    if shutil.which("fio") is None:
        raise FileNotFoundError("fio is not installed")
    command = ["fio", "--name=floor", f"--rw={direction}", f"--filename={path}", *_FIO]
    command += [f"--size={size}"]
    command += ["--end_fsync=1"] if direction == "write" else ["--readonly"]
    tunables = {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={int(huge_pages)}"}
    done = subprocess.run(
        command, env={**os.environ, **tunables}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError((done.stderr or done.stdout or "fio failed").strip())
    job = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0][direction]
    return job["runtime"] / 1e3 * size / job["io_bytes"]
