"""Asks every public call about a checkpoint, each checkpoint in a process of its own.

    python tests/hostile/judge.py   reads questions and writes answers, a JSON text per line

A question is ``{"prefix", "bad", "good", "as_nobody"}``, or ``{"directory"}`` to ask about its
state file and then to save there; its answer has what each call said,
how much memory all of them together took, and the slowest how much processor time, and how
the process ended. A process that does not
answer in time, or wants far more address space than the files have bytes, is ended.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tensorbundle as tb
from tensorbundle.cli.main import main as command

_SECONDS = 60
_ADDRESS_SPACE = 2 << 30  # bytes, beside a few times those of the files
_NOBODY = 65534


def main() -> None:
    _warm_up()
    for line in sys.stdin:
        print(json.dumps(_in_child(json.loads(line))), flush=True)


def _warm_up() -> None:
    """Import what is imported late: it is not to be counted, and nobody may read it."""
    with tempfile.TemporaryDirectory() as directory:
        tb.save(f"{directory}/ckpt", {"good": np.ones(4), "s": np.array([b"x"], object)})
        for name in ("good", "s", "missing"):
            for call in _calls(
                {"prefix": f"{directory}/ckpt", "bad": name, "good": []}
            ).values():
                _say(call)


def _in_child(question: dict[str, Any]) -> dict[str, Any]:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        signal.alarm(_SECONDS)  # its default is to end the process
        try:
            answer = _answer(question)
        except BaseException as error:  # noqa: BLE001
            answer = {"died_of": repr(error)}
        with os.fdopen(write_end, "w") as pipe:
            pipe.write(json.dumps(answer))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    return {
        **(json.loads(text) if text else {}),
        "ended": ended,
        "hung": ended == -signal.SIGALRM,
    }


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    if question.get("as_nobody"):
        os.seteuid(_NOBODY)
    directory = Path(question.get("directory") or os.path.dirname(question["prefix"]))
    sizes = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    space = _status("VmSize") + _ADDRESS_SPACE + 4 * sizes
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    before = _status("VmRSS")
    log = io.StringIO()
    logging.getLogger("tensorbundle").addHandler(logging.StreamHandler(log))
    said, slowest = {}, 0.0
    for name, call in _calls(question).items():
        start = time.process_time()
        said[name] = _say(call)
        slowest = max(slowest, time.process_time() - start)
    return {
        "said": said,
        "slowest": slowest,
        "grown": _status("VmHWM") - before,
        "log": log.getvalue(),
    }


def _status(field: str) -> int:
    text = Path("/proc/self/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) << 10


def _state_calls(directory: str) -> dict[str, Callable[[], Any]]:
    """Ask about a directory's state file; then save over what it says, keeping one."""

    def state() -> Any:
        found = tb.get_checkpoint_state(directory)
        return None if found is None else found.model_checkpoint_path

    def manager() -> tb.CheckpointManager:
        return tb.CheckpointManager({"w": np.ones(2)}, directory, max_to_keep=1)

    def save_twice() -> Any:
        with manager() as saving:
            return [saving.save(), saving.save()]

    return {
        "state": state,
        "latest": lambda: tb.latest_checkpoint(directory),
        "latest valid": lambda: tb.latest_checkpoint(directory, valid=True),
        "iterate": lambda: list(tb.checkpoints_iterator(directory, timeout=0))[:1],
        "manager": lambda: [manager().latest_checkpoint, manager().checkpoints],
        "ls": lambda: _run("ls", directory),
        "save": save_twice,
        "manager again": lambda: [manager().latest_checkpoint, manager().checkpoints],
    }


def _calls(question: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    if "directory" in question:
        return _state_calls(question["directory"])
    prefix, bad, good = question["prefix"], question["bad"], question["good"]
    calls: dict[str, Callable[[], Any]] = {
        "open": lambda: tb.open(prefix).num_shards,
        "list": lambda: tb.list_variables(prefix),
        "load": lambda: sorted(tb.load(prefix)),
        "mmap": lambda: sorted(tb.load(prefix, mmap=True)),
        "verify": lambda: _faults(tb.verify(prefix)),
        "ls": lambda: _run("ls", prefix),
        "ls --json": lambda: _run("ls", prefix, "--json"),
        "command verify": lambda: _run("verify", prefix),
    }
    for name in ([] if bad is None else [bad]) + good:
        calls |= {
            f"entry {name}": lambda name=name: tb.open(prefix).entry(name).size,
            f"load {name}": lambda name=name: _value(tb.load(prefix, [name])[name]),
            f"mmap {name}": lambda name=name: _value(tb.load(prefix, [name], mmap=True)[name]),
            f"open {name}": lambda name=name: _value(tb.open(prefix, verify=True)[name]),
            f"slice {name}": lambda name=name: _value(
                tb.open(prefix, verify=True).read_slice(name, ...)
            ),
            f"cat {name}": lambda name=name: _run("cat", prefix, name),
            f"cat {name}[...]": lambda name=name: _run("cat", prefix, f"{name}[...]"),
        }
    return calls


def _value(array: Any) -> Any:
    array = np.asarray(array)
    if array.nbytes > 1 << 20:
        return f"{array.nbytes} bytes"
    if array.dtype == object:
        return [element.hex() for element in array.flat]
    return array.tobytes().hex()


def _faults(report: tb.VerifyReport) -> dict[str, list[dict[str, Any]]]:
    return {
        kind: [
            {"name": f.name, "code": f.code, "message": f.message, "path": f.path}
            for f in faults
        ]
        for kind, faults in (("faults", report.faults), ("unchecked", report.unchecked))
    }


def _run(*arguments: str) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = command([*arguments[:1], *arguments[1:]])
    return {"status": status, "out": out.getvalue()[:100_000], "err": err.getvalue()}


def _say(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": call()}
    except Exception as error:  # noqa: BLE001
        places = ("code", "path", "key", "shard", "offset", "errno", "filename")
        return {
            "error": type(error).__name__,
            "kinds": [kind.__name__ for kind in type(error).__mro__],
            "text": str(error),
            **{place: getattr(error, place, None) for place in places},
        }


if __name__ == "__main__":
    main()
