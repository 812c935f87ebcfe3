"""The floor by fio: the same bytes in one file, without checksums. Its own start is free."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from tensorbundle.cli.machine import num_processors

__all__ = ["fio_seconds", "has_fio"]

_REQUEST = 16 << 20  # bytes; what benchmarks/README.md calls the floor
_DEPTH = 8  # requests in flight


def has_fio() -> bool:
    """Tell whether fio is installed."""
    return shutil.which("fio") is not None


def fio_seconds(
    direction: str, path: str, size: int, *, huge_pages: bool = True, direct: bool = True
) -> float:
    """Give the seconds of fio's sequential "write" or "read" of so many bytes.

    With O_DIRECT it has eight requests of 16 MiB in flight by io_uring; else it writes with
    one thread and reads with one per processor, as ``floor.py`` does. fio moves whole
    requests, so its time is scaled to the bytes asked for. A write ends with an fsync. Its
    buffers are of huge pages unless told otherwise (glibc 2.35), which a device can be
    twice as fast with.

    Raises
    ------
    FileNotFoundError
        fio is not installed.
    OSError
        fio failed; the message is its own.
    """
    if not has_fio():
        raise FileNotFoundError("fio is not installed")
    command = ["fio", "--name=floor", f"--rw={direction}", f"--filename={path}"]
    command += [*_engine_options(direction, size, direct=direct), "--output-format=json"]
    command += ["--end_fsync=1"] if direction == "write" else ["--readonly"]
    tunables = {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={int(huge_pages)}"}
    done = subprocess.run(
        command, env={**os.environ, **tunables}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError((done.stderr or done.stdout or "fio failed").strip())
    job = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0][direction]
    if not job["io_bytes"] or not job["runtime"]:
        raise OSError("fio moved nothing in a time that it can tell")
    return float(job["runtime"] / 1e3 * size / job["io_bytes"])


def _engine_options(direction: str, size: int, *, direct: bool) -> list[str]:
    if direct:
        return [
            f"--bs={_REQUEST}", "--direct=1", "--ioengine=io_uring", f"--iodepth={_DEPTH}",
            f"--size={size}",
        ]  # fmt: skip
    # Of buffered writes to one file the kernel does one at a time.
    jobs = num_processors() if direction == "read" else 1
    share = size // jobs
    # Nor is space reserved beforehand: on tmpfs that would be most of the work.
    return [
        f"--bs={min(_REQUEST, share)}", "--ioengine=psync", f"--size={share}",
        f"--numjobs={jobs}", f"--offset_increment={share}", "--fallocate=none",
        "--invalidate=0", "--group_reporting",
    ]  # fmt: skip
