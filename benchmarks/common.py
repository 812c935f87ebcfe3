"""What the scripts share: cases run in turn, their table, the machine, files, fio."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from tensorbundle.cli import memory
from tensorbundle.cli.bench.fio import fio_seconds
from tensorbundle.cli.cases import Case, interleave
from tensorbundle.cli.files import drop_cache, fill_cache, remove_files, resident_pages, sync
from tensorbundle.cli.machine import file_system_of, num_processors
from tensorbundle.cli.memory import touch_all, warm_memory
from tensorbundle.cli.model import Model, shapes_of
from tensorbundle.cli.output import Column, format_range, format_seconds, print_table
from tensorbundle.cli.scratch import scratch_directories

__all__ = [
    "FIRST_64MB",
    "Case",
    "drop_cache",
    "fill_cache",
    "fio_seconds",
    "interleave",
    "machine_line",
    "make_pool",
    "model_of",
    "parse_arguments",
    "print_cases",
    "remove_files",
    "resident_pages",
    "scratch_in",
    "sync",
    "touch_all",
    "warm_memory",
    "write_json",
]

FIRST_64MB = "a_first_of_64_mb"
MIN_BYTES_OF_FIRST = 64_000_000


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
    """Give a new directory that is removed at the end, killed by a signal or not."""
    with scratch_directories([directory], "benchmark") as (path,):
        yield os.path.abspath(path)


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
    """Make so many GB of random float32 values, in huge pages unless told otherwise."""
    return memory.make_pool(int(gb * 1e9), huge_pages=huge_pages)


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
