"""Names that are no text, and paths that look like patterns: used as they are, everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import read_bundle, write_bundle
from reference.v1 import write_v1
from tensorbundle.cli.main import main

from .helpers import assert_same, data_file, flip_byte, listed

# As bytes, and as Python has them.
NAMES = {
    b"\xff\xfe": "\udcff\udcfe",
    b"latin-1 \xe4": "latin-1 \udce4",
    b"cut \xf0\x9f": "cut \udcf0\udc9f",
    b"surrogate \xed\xa0\x80": "surrogate \udced\udca0\udc80",
    b"zero\x00 and \x1b[31m": "zero\x00 and \x1b[31m",
    "größe".encode(): "größe",
}
ARRAYS = {name: np.full(3, i) for i, name in enumerate(NAMES)}


def run(*arguments):
    """Run the command with arguments as bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "tensorbundle", *arguments], capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def saved(prefix):
    tb.save(prefix, ARRAYS)
    return prefix


def test_names_go_to_the_file_as_their_bytes_and_come_back(saved, tmp_path):
    assert set(read_bundle(saved)) == set(NAMES)
    texts = [NAMES[name] for name in sorted(NAMES)]
    assert list(tb.load(saved)) == texts
    assert list(tb.open(saved)) == texts
    assert {name for name, _ in tb.list_variables(saved)} == set(texts)
    # What was loaded is saved under the same names.
    tb.save(tmp_path / "again", tb.load(saved))
    assert tb.diff(saved, tmp_path / "again").same
    write_bundle(tmp_path / "theirs", ARRAYS)
    assert tb.diff(saved, tmp_path / "theirs").same


@pytest.mark.parametrize("name", NAMES)
def test_each_function_takes_text_and_bytes(saved, name):
    text, expected = NAMES[name], ARRAYS[name]
    bundle, reader = tb.open(saved), tb.load_checkpoint(saved)
    for key in (text, name):
        assert key in bundle
        assert_same(bundle[key], expected)
        assert_same(tb.load(saved, [key])[key], expected)
        assert bundle.entry(key).shape == (3,)
    assert_same(tb.load_variable(saved, text), expected)
    assert reader.has_tensor(text)
    assert reader.get_variable_to_shape_map()[text] == [3]
    assert name in reader.debug_string()
    mine = np.zeros(3, np.int64)
    tb.load(saved, into={text: mine})
    assert_same(mine, expected)


def test_faults_have_the_name(saved):
    name = b"latin-1 \xe4"
    flip_byte(data_file(saved), tb.open(saved).entry(name).offset)
    (fault,) = tb.verify(saved).faults
    assert fault.name == NAMES[name]
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(saved)
    assert caught.value.key == NAMES[name]
    assert r"latin-1 \xe4" in str(caught.value)
    with pytest.raises(tb.MissingTensorError):
        tb.load(saved, [b"\xfd"])


def test_the_command_line_prints_and_takes_them(saved):
    status, out, _ = run("ls", saved)
    assert status == 0
    for shown in (r"\xff\xfe", r"latin-1 \xe4", r"zero\x00 and \x1b[31m", "größe"):
        assert shown in out
    assert "\x1b" not in out
    rows = json.loads(run("ls", saved, "--json")[1])["tensors"]
    assert [row["name"] for row in rows] == [NAMES[name] for name in sorted(NAMES)]
    for argument in (b"latin-1 \xe4", rb"latin-1 \xe4"):  # the bytes, and as it is listed
        status, out, _ = run("cat", saved, argument)
        assert status == 0
        assert out.splitlines()[-1] == "[1 1 1]"
    found = json.loads(run("cat", saved, b"\xff\xfe", "--json")[1])
    assert found["name"].encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_the_command_line_does_without_utf8(saved):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tensorbundle", "ls", saved],
        capture_output=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert rb"latin-1 \xe4" in done.stdout


# Each with a name that it would match if it were a pattern.
PATTERNS = [
    ("ck*pt", "ckxpt"),
    ("ck?pt", "ckxpt"),
    ("ck[x]pt", "ckxpt"),
    ("ck\\xpt", "ckxpt"),
    ("ck-?????-of-00001", "ck-00000-of-00001"),
    ("[", "x"),
]


@pytest.mark.parametrize(("name", "other"), PATTERNS)
def test_a_path_is_no_pattern(tmp_path, name, other):
    prefix, decoy = str(tmp_path / name), str(tmp_path / other)
    tb.save(decoy, {"decoy": np.zeros(1)})
    for i in range(2):  # the second replaces the first
        tb.save(prefix, {"own": np.full(2, i)})
    assert_same(tb.load(prefix)["own"], np.full(2, 1))
    assert tb.verify(prefix).ok
    assert tb.checkpoint_exists(prefix)
    assert list(tb.load(decoy)) == ["decoy"]
    tb.update_checkpoint_state(str(tmp_path), prefix)
    assert tb.latest_checkpoint(tmp_path) == prefix
    assert tb.rename(prefix, {"own": "mine"}).num_tensors == 1
    assert run("ls", prefix)[1].splitlines()[1].startswith("mine")
    assert json.loads(run("ls", str(tmp_path), "--json")[1])["prefix"] == prefix
    tb.remove_checkpoint(prefix)
    assert not tb.checkpoint_exists(prefix)
    assert list(tb.load(decoy)) == ["decoy"]


# And one that is no text.
PLACES = [*(name for name, _ in PATTERNS), "latin-\udce4", "new\nline", " -x"]


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """Give a prefix with such a name, in a directory with one as well, beside decoys."""
    directory = tmp_path / "run[1]\udcff*"
    directory.mkdir()
    for decoy in "ckxpt", "x", "run1*":
        tb.save(directory / decoy, {"decoy": np.zeros(1)})
    return str(directory / request.param)


def told(capsys, *arguments):
    """Run the command here, and give the object that it prints."""
    assert main([*arguments, "--json"]) in (0, 1)
    return json.loads(capsys.readouterr().out)


def test_every_command_takes_a_path_as_it_is(place, capsys):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    tb.save(place, {"own": array})
    again, third = place + "[2]", place + "*"
    assert [row["name"] for row in told(capsys, "ls", place)["tensors"]] == ["own"]
    assert told(capsys, "cat", place, "own[1, :2]")["values"] == [4, 5]
    assert told(capsys, "cat", place, "own", "--verify")["prefix"] == place
    assert told(capsys, "verify", place)["num_tensors"] == 1
    assert told(capsys, "merge", again, place)["prefix"] == again
    found = told(capsys, "rename", again, "s/own/mine/", "--output", third)
    assert found["output"] == third
    assert told(capsys, "rename", third, "s/mine/own/")["renamed"] == [["mine", "own"]]
    assert told(capsys, "diff", place, third, "--values")["same"]
    merged = told(capsys, "merge", again, place, "--delete-sources", "--overwrite")
    assert merged["remains"] == []
    assert not os.path.exists(place + ".index")
    for path in again, third:
        assert_same(tb.load(path)["own"], array)
        assert told(capsys, "verify", path)["ok"]
    for decoy in "ckxpt", "x", "run1*":
        assert list(tb.load(os.path.join(os.path.dirname(place), decoy))) == ["decoy"]


def test_every_function_takes_a_path_as_it_is(place):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    with tb.Writer(place) as writer:
        writer.add("whole", array)
        writer.add_slice("parts", (3, 4), (0, 0), array[:1])
        writer.add_slice("parts", (3, 4), (1, 0), array[1:])
    mine = np.zeros_like(array)
    tb.load(place, into={"whole": mine})
    assert_same(mine, array)
    with tb.open(place, verify=True) as bundle:
        for name in "whole", "parts":
            assert_same(tb.load(place, mmap=True)[name], array)
            assert_same(tb.load_variable(place, name), array)
            assert_same(bundle.read_slice(name, np.s_[1:]), array[1:])
    assert dict(tb.list_variables(place)) == {"whole": [3, 4], "parts": [3, 4]}
    assert tb.load_checkpoint(place).has_tensor("parts")
    assert tb.verify(place).ok
    second, merged = place + "-2", place + "?"
    report = tb.save(second, {"own": array}, blocking=False).result()
    assert report.prefix == second
    assert tb.save(second + "b", {"own": array}, incremental=second).num_tensors == 1
    tb.merge([place, second], merged)
    tb.rename(merged, {"own": "mine"}, output=merged + "[")
    assert tb.diff(merged, merged + "[").removed[0].name == "own"
    assert_same(tb.load(merged + "[")["mine"], array)
    assert tb.checkpoint_exists(merged)
    tb.remove_checkpoint(merged)
    assert not tb.checkpoint_exists(merged)
    assert tb.checkpoint_exists(merged + "[")
    write_v1(place + ".v1", {b"old": array})
    assert_same(tb.load(place + ".v1")["old"], array)


def test_every_command_takes_names_that_are_no_text(saved, tmp_path, capsys):
    """Of tensors stored whole and in parts."""
    rows = np.arange(12).reshape(3, 4)
    other = str(tmp_path / "parts")
    with tb.Writer(other) as writer:
        for name in NAMES:
            writer.add_slice(name + b"/p", (3, 4), (1, 0), rows[1:])
            writer.add_slice(name + b"/p", (3, 4), (0, 0), rows[:1])
    merged = str(tmp_path / "merged")
    assert told(capsys, "merge", merged, saved, other)["num_tensors"] == 2 * len(NAMES)
    for name, text in NAMES.items():
        assert told(capsys, "cat", merged, text + "/p[1, 2:]")["values"] == [6, 7]
        assert told(capsys, "cat", merged, text + "[-1]")["name"] == text
        assert_same(tb.open(merged).read_slice(name + b"/p", np.s_[1]), rows[1])
    found = told(capsys, "diff", merged, saved)
    assert {spec["name"] for spec in found["removed"]} == {t + "/p" for t in NAMES.values()}
    rule = "s/^\udcff\udcfe/\udcfd/"
    renamed = told(capsys, "rename", merged, rule)["renamed"]
    assert renamed == [["\udcff\udcfe", "\udcfd"], ["\udcff\udcfe/p", "\udcfd/p"]]
    assert_same(read_bundle(merged)[b"\xfd/p"], rows)
    flip_byte(data_file(merged, 1), 0)
    faults = told(capsys, "verify", merged)["faults"]
    assert len(faults) == 1
    assert faults[0]["name"].encode("utf-8", "surrogateescape").removesuffix(b"/p") in {
        *NAMES, b"\xfd",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ck*pt", "ck[0-9]pt", "ck\\pt", "ck?"])
def test_rotation_deletes_nothing_that_a_pattern_would_match(tmp_path, name):
    directory = tmp_path / "run[1]*"
    directory.mkdir()
    for decoy in ("ckxpt-1", "ck5pt-1", "ckpt-1", "ckx-1"):
        tb.save(directory / decoy, {"decoy": np.zeros(1)})
    decoys = listed(directory)
    checkpoint = tb.Checkpoint(x=np.zeros(2))
    with tb.CheckpointManager(
        checkpoint, directory, max_to_keep=1, checkpoint_name=name
    ) as manager:
        for _ in range(3):
            manager.save()
        assert manager.latest_checkpoint == str(directory / f"{name}-3")
    assert tb.latest_checkpoint(directory) == str(directory / f"{name}-3")
    left = [found for found in listed(directory) if found.startswith(f"{name}-")]
    assert sorted({found.partition(".")[0] for found in left}) == [f"{name}-3"]
    assert set(decoys) <= set(listed(directory))
