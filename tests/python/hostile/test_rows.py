"""Every row of the checklist of hostile checkpoints, through every public call.

What a row is, and what has to be said to it, is in `tests/hostile`: ``make_hostile.py DIR``
writes them all. Here each is asked about in a process of its own, whose memory is counted.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from hostile import checklist, state_rows
from hostile.bundles import BAD_BYTES
from hostile.case import ACCEPT, BLOCK, DATA, ENTRY, GOOD, INDEX, PARTS
from hostile.make_hostile import ALL, make

TESTS = Path(__file__).resolve().parents[2]
MIB = 1 << 20
SOUND = {"good": GOOD.tobytes(), "bad": BAD_BYTES}
READS = ("load", "mmap", "open", "slice")


class Answer:
    """What the judge said, checked against what the row wants."""

    def __init__(self, case, directory, answer):
        self.case = case
        self.prefix = str(directory / "ckpt")
        self.said = answer["said"]

    def value(self, call):
        assert "value" in self.said[call], (call, self.said[call])
        return self.said[call]["value"]

    def error(self, call):
        assert "error" in self.said[call], (call, self.said[call])
        return self.said[call]

    def check_error(self, call, *, path, key=None, offset=None):
        """The named fault with its place, in fields and in the text."""
        error = self.error(call)
        assert error["code"] in self.case.codes, (call, error)
        kind = "OSError" if error["code"] == "System" else "BundleError"
        assert kind in error["kinds"], (call, error)
        assert error["path"] == path, (call, error)
        assert error["key"] == key, (call, error)
        if offset is not None:
            assert error["offset"] == offset, (call, error)
        assert "\n" not in error["text"]
        assert path in error["text"], (call, error)

    def check_command(self, call, status, *, path):
        """Told in one line, and by the exit status; listed tensors are still told."""
        done = self.value(call)
        assert done["status"] == status, (call, done)
        assert path in done["err"] + done["out"], (call, done)
        return done

    def path(self):
        """Give the file that is at fault, where it is not a data file."""
        return self.prefix + (
            self.case.file.removeprefix("ckpt") if self.case.file else ".index"
        )


def fault_status(code):
    """Give the exit status that the command line has for a fault of that code."""
    return 2 if code == "System" or code.startswith("Unsupported") else 1


@pytest.mark.parametrize("case", ALL, ids=[case.id for case in ALL])
def test_row(case, judge, tmp_path, open_directory, described):
    if case.needs == "nobody" and os.geteuid() != 0:
        pytest.skip("another user can only be become by root")
    directory = open_directory if case.needs else tmp_path / "hostile"
    make(case, directory)
    before = described(directory)
    answer = judge.ask(
        prefix=str(directory / "ckpt"),
        bad=case.key,
        good=sorted({*case.good, *case.values}),
        as_nobody=case.needs == "nobody",
    )
    assert not answer["hung"], "a call did not return"
    assert answer["ended"] == 0, "the process died"
    assert "died_of" not in answer, answer
    assert described(directory) == before, "something was changed"
    index = directory / "ckpt.index"
    index_size = min(index.stat().st_size, 64 * MIB) if index.is_file() else 0
    assert answer["grown"] < 64 * MIB + 2 * index_size, f"{answer['grown'] >> 20} MiB"
    assert answer["slowest"] < 1, "a call took more than a second of the processor"
    CHECKS[case.level](Answer(case, directory, answer))


def check_index(answer):
    """No call gets past the opening."""
    case = answer.case
    path = answer.path()
    for call in answer.said:
        if call in ("ls", "ls --json", "command verify") or call.startswith("cat "):
            code = answer.error("open")["code"]
            answer.check_command(call, fault_status(code), path=path)
        else:
            answer.check_error(call, path=path, key=case.key)


def check_block(answer):
    """What needs that block fails; the tensors of others are readable."""
    path = answer.prefix + ".index"
    answer.value("open")
    for call in ("list", "load", "mmap", "verify"):
        answer.check_error(call, path=path)
        assert answer.error(call)["offset"] is not None
    for call in ("ls", "command verify"):
        answer.check_command(call, 1, path=path)
    for call in ("entry", "load", "mmap", "open", "slice"):
        answer.check_error(f"{call} zed", path=path, key="zed")
    check_good(answer)


def check_entry(answer):
    """The tensor is named wherever it is asked for; all others are readable."""
    path, key = answer.path(), answer.case.key
    answer.value("open")
    calls = ["list", "load", "mmap", *(f"{call} {key}" for call in ("entry", *READS))]
    for call in calls:
        answer.check_error(call, path=path, key=key)
    listed = answer.check_command("ls", 1, path=path)
    assert "good" in listed["out"]
    rows = json.loads(answer.value("ls --json")["out"])["tensors"]
    (bad_row,) = (row for row in rows if row["name"] == key)
    assert bad_row["error"]["code"] in answer.case.codes
    for call in (f"cat {key}", f"cat {key}[...]"):
        answer.check_command(call, 1, path=path)
    check_verified(answer, path)
    check_good(answer)


def check_parts(answer):
    """Listing asks for no part; reading names the tensor, and the index that lacks one."""
    case, path = answer.case, answer.path()
    for call in ("open", "list", f"entry {case.key}"):
        answer.value(call)
    assert answer.value("ls")["status"] == 0
    for call in ("load", "mmap", *(f"{call} {case.key}" for call in READS)):
        answer.check_error(call, path=path, key=case.key)
    for call in (f"cat {case.key}", f"cat {case.key}[...]"):
        answer.check_command(call, 1, path=path)
    check_verified(answer, path)
    check_good(answer)


def check_data(answer):
    """Listing knows nothing of it; reading names tensor, file, shard and offset."""
    case = answer.case
    entry = answer.said[f"entry {case.key}"]
    assert "value" in entry, entry
    answer.value("open")
    answer.value("list")
    assert answer.value("ls")["status"] == 0
    calls = ["load", *(f"{call} {case.key}" for call in ("load", "open"))]
    # A slice may have a rank that NumPy has, so it is the index that is at fault.
    calls += [] if case.code == "UnsupportedRank" else [f"slice {case.key}"]
    calls += [] if case.maps else ["mmap", f"mmap {case.key}"]
    for call in calls:
        error = answer.error(call)
        path = error["path"]
        assert path.startswith(answer.prefix + ".data-"), (call, error)
        answer.check_error(call, path=path, key=error["key"])
        assert error["key"] == case.key or not case.good, (call, error)
        assert error["shard"] is not None, (call, error)
        assert error["code"] in ("System", "MissingShard", "NotRegularFile") or (
            error["offset"] is not None
        ), (call, error)
    check_verified(answer, answer.error(f"load {case.key}")["path"])
    check_good(answer)


def check_verified(answer, path):
    """A verification names the tensor, and but for it finds nothing."""
    case = answer.case
    verified = answer.value("verify")
    told = {fault["name"]: fault for fault in verified["faults"]}
    if case.unchecked:
        assert not told, told
        return
    assert told[case.key]["code"] in {*case.codes, *_os_errors(case.codes)}, told
    assert told[case.key]["path"] == path
    if case.good:
        assert set(told) == {case.key}
    command = answer.check_command("command verify", 1, path=path)
    assert case.key in command["out"]


def _os_errors(codes):
    return {"OSError", "PermissionError"} if "System" in codes else set()


def check_good(answer):
    for name in answer.case.good:
        check_value(answer, name, SOUND[name])


def check_value(answer, name, expected):
    data = [e.hex() for e in expected] if isinstance(expected, list) else expected.hex()
    for call in READS:
        assert answer.value(f"{call} {name}") == data
    assert answer.value(f"cat {name}")["status"] == 0
    # In a bad block nobody knows whether there is a tensor that is named so.
    assert answer.case.level == BLOCK or answer.value(f"cat {name}[...]")["status"] == 0
    assert answer.value(f"entry {name}") is not None


def check_accepted(answer):
    """All calls are content, and the values are the right ones."""
    case = answer.case
    for call in ("open", "list", "load", "mmap"):
        answer.value(call)
    assert answer.value("verify")["faults"] == []
    assert answer.value("ls")["status"] == 0
    assert answer.value("command verify")["status"] == 0
    for name, expected in case.values.items():
        check_value(answer, name, expected)
        assert name in answer.value("load") and name in answer.value("mmap")
    check_good(answer)
    for call in ("ls", "command verify"):
        done = answer.value(call)
        assert all(c.isprintable() or c == "\n" for c in done["out"] + done["err"])


CHECKS = {
    INDEX: check_index,
    BLOCK: check_block,
    ENTRY: check_entry,
    PARTS: check_parts,
    DATA: check_data,
    ACCEPT: check_accepted,
}


@pytest.mark.parametrize("row", checklist.ROWS)
def test_every_row_of_the_checklist_is_a_file_or_a_test(row):
    rows = {case.row[:4] for case in [*ALL, *state_rows.ROWS]}
    if row in rows:
        assert row not in checklist.NO_FILES
        return
    why, path, name = checklist.NO_FILES[row]
    assert why
    assert re.search(rf"\b{name}\b", (TESTS.parent / path).read_text()), (path, name)


def test_every_row_has_a_name_of_its_own():
    rows = [case.row for case in [*ALL, *state_rows.ROWS]]
    assert len(set(rows)) == len(rows)
    assert len({case.id for case in [*ALL, *state_rows.ROWS]}) == len(rows)
