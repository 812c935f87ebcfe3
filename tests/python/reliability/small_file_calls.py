"""Disturbs each system call of a small file's: python small_file_calls.py DIR WHAT."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from system_calls import Call, Child, Fail, Meddler, Record, attempt

from tensorbundle.small_file import replace_file, sweep_unfinished

OLD, NEW = b"old", b"new content"
ABANDONED = ".file.tmp.0123456789abcdef"


class Sweep(Meddler):
    """Sweeps before the k-th call, as another process would."""

    def __init__(self, k: int, directory: str) -> None:
        self.k, self.directory = k, directory

    def before(self, call: Call, child: Child) -> None:
        self.k -= 1
        if self.k == 0:
            sweep_unfinished(self.directory, {"file"})


def order(directory: str) -> dict[str, list[str]]:
    """Which calls are made, on what."""
    made = {}
    for durable in (True, False):
        record = Record()
        replace(directory, record, durable=durable)
        made["durable" if durable else "fast"] = [
            f"{call.name} {named(call.path)}" for call in record.calls if call.name != "close"
        ]
    return made


def fail(directory: str) -> list[dict[str, Any]]:
    """Each call fails in turn; what is told, and what is there then."""
    found = []
    for name in ("open", "flock", "pwrite", "fdatasync", "close", "rename", "fsync"):
        for k in range(1, 10):
            fault = Fail(name, k, errno.ENOSPC)
            told = replace(directory, fault)
            if fault.failed is None:
                break
            found.append({"name": f"{name} {named(fault.failed.path)}", **told})
    return found


def shorten(directory: str) -> dict[str, Any]:
    """The first write does half of it."""
    return replace(directory, Fail("pwrite", 1, "short"))


def sweep(directory: str) -> list[dict[str, Any]]:
    """Another process sweeps before each call in turn."""
    found = []
    for k in range(1, 100):
        meddler = Sweep(k, directory)
        found.append(replace(directory, meddler))
        if meddler.k > 0:
            return found
    raise AssertionError("it makes fewer calls")


def no_locks(directory: str) -> dict[str, Any]:
    """A file system without locks, where somebody else's file may be under construction."""
    Path(directory, ABANDONED).touch()
    swept = lambda: sweep_unfinished(directory, {"file"})  # noqa: E731
    status, told = attempt(swept, directory, Fail("flock", 1, errno.ENOLCK, for_ever=True))
    found = replace(directory, Fail("flock", 1, errno.ENOLCK, for_ever=True))
    return {"swept": [status, told], **found}


def replace(directory: str, meddler: Meddler, *, durable: bool = True) -> dict[str, Any]:
    """Replace the file in a child, and tell what came of it."""
    path = Path(directory, "file")
    path.write_bytes(OLD)

    def act() -> list[Any] | None:
        try:
            replace_file(str(path), NEW, durable=durable)
        except OSError as error:
            return [error.errno, error.filename, str(error)]
        return None

    status, told = attempt(act, directory, meddler)
    assert status == 0, told
    left = sorted(other.name for other in Path(directory).iterdir() if other != path)
    return {"told": told, "content": path.read_bytes().decode(), "left": left}


def named(path: str) -> str:
    """Leave out what is random."""
    name = os.path.basename(path)
    return "hidden" if name.startswith(".file.tmp.") else name


if __name__ == "__main__":
    place, what = sys.argv[1:]
    os.makedirs(place)
    run: dict[str, Callable[[str], Any]] = {
        "order": order, "fail": fail, "shorten": shorten, "sweep": sweep, "no_locks": no_locks,
    }  # fmt: skip
    print(json.dumps(run[what](place)))
