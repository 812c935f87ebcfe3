"""The `checkpoint` file: read as TensorFlow reads it, and never trusted."""

from __future__ import annotations

import logging
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tensorbundle as tb

from .helpers import listed

FULL = """
model_checkpoint_path: "ckpt-4"
all_model_checkpoint_paths: "ckpt-3"
all_model_checkpoint_paths: "ckpt-4"
all_model_checkpoint_timestamps: 1795217185.1729722
all_model_checkpoint_timestamps: 1795217185.1935785
last_preserved_timestamp: 1795217184.1557195
"""


def write(directory, text, name="checkpoint"):
    content = text if isinstance(text, bytes) else text.encode()
    (directory / name).write_bytes(content)


def test_every_field_is_read(tmp_path):
    write(tmp_path, FULL)
    state = tb.get_checkpoint_state(tmp_path)
    assert state == tb.CheckpointState(
        model_checkpoint_path=str(tmp_path / "ckpt-4"),
        all_model_checkpoint_paths=[str(tmp_path / "ckpt-3"), str(tmp_path / "ckpt-4")],
        all_model_checkpoint_timestamps=[1795217185.1729722, 1795217185.1935785],
        last_preserved_timestamp=1795217184.1557195,
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('model_checkpoint_path: "a"', "a"),
        ("model_checkpoint_path: 'a'", "a"),
        ('  model_checkpoint_path:"a";', "a"),
        ('model_checkpoint_path: "a" # the newest\n', "a"),
        ('# model_checkpoint_path: "b"\nmodel_checkpoint_path: "a"', "a"),
        ('model_checkpoint_path: "a" "b"\n "c"', "abc"),
        (r'model_checkpoint_path: "a\"b\\c\n\101\x42"', 'a"b\\c\nAB'),
        (r'model_checkpoint_path: "gr\303\266\303\237e"', "größe"),
        ('model_checkpoint_path: "größe"', "größe"),
        (r'model_checkpoint_path: "\x4x\x41x\u00f6\U0001f600"', "\x04xAxö\U0001f600"),
        (r'model_checkpoint_path: "\q\8"', r"\q\8"),
        ('model_checkpoint_path: "a" last_preserved_timestamp:0.', "a"),
        ('model_checkpoint_path: "a" all_model_checkpoint_paths: ["a", "b"]', "a"),
        (
            'model_checkpoint_path: "a" all_model_checkpoint_timestamps: [1, 2.5, -3e4, .5]',
            "a",
        ),
        ('model_checkpoint_path: "a" all_model_checkpoint_timestamps: [-inf, inf, 1f]', "a"),
    ],
)
def test_the_text_format_is_read_as_protobuf_reads_it(tf, tmp_path, text, path):
    write(tmp_path, text)
    ours, theirs = tb.get_checkpoint_state(tmp_path), tf.train.get_checkpoint_state(tmp_path)
    assert ours.model_checkpoint_path == theirs.model_checkpoint_path == str(tmp_path / path)
    assert ours.all_model_checkpoint_paths == list(theirs.all_model_checkpoint_paths)
    assert ours.all_model_checkpoint_timestamps == list(theirs.all_model_checkpoint_timestamps)


BAD_STATES = {
    "unknown field": 'model_checkpoint_path: "a" colour: "red"',
    "number for text": "model_checkpoint_path: 3",
    "text for number": 'model_checkpoint_path: "a" last_preserved_timestamp: "x"',
    "no value": "model_checkpoint_path:",
    "no colon": 'model_checkpoint_path "a"',
    "open string": 'model_checkpoint_path: "a',
    "open list": 'model_checkpoint_path: "a" all_model_checkpoint_paths: ["a"',
    "stray mark": '} model_checkpoint_path: "a"',
    "list for one": 'model_checkpoint_path: ["a", "b"]',
    "not text": b'model_checkpoint_path: "\xff"',
    "binary": bytes(range(256)),
    "comma at the end": 'model_checkpoint_path: "a" all_model_checkpoint_paths: ["a",]',
    "list without commas": 'model_checkpoint_path: "a" last_preserved_timestamp: [1 2]',
    "two marks": 'model_checkpoint_path: "a";; last_preserved_timestamp: 1',
    "mark first": '; model_checkpoint_path: "a"',
    "octal number": 'model_checkpoint_path: "a" last_preserved_timestamp: 010',
    "escape beyond a byte": r'model_checkpoint_path: "a\501"',
    "escape without number": r'model_checkpoint_path: "a\x"',
    "surrogate": r'model_checkpoint_path: "a\ud800"',
    "character beyond Unicode": r'model_checkpoint_path: "a\UFFFFFFFF"',
}


@pytest.mark.parametrize("what", BAD_STATES)
def test_a_file_that_cannot_be_read_is_no_state(tf, tmp_path, caplog, what):
    write(tmp_path, BAD_STATES[what])
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        assert tb.get_checkpoint_state(tmp_path) is None
        assert tb.latest_checkpoint(tmp_path) is None
    assert str(tmp_path / "checkpoint") in caplog.text


@pytest.mark.parametrize("what", set(BAD_STATES) - {"not text", "binary"})
def test_tensorflow_cannot_read_it_either(tf, tmp_path, what):
    write(tmp_path, BAD_STATES[what])
    assert tf.train.get_checkpoint_state(tmp_path) is None


def test_a_missing_file_is_no_state(tmp_path, caplog):
    assert tb.get_checkpoint_state(tmp_path) is None
    assert tb.get_checkpoint_state(tmp_path / "nowhere") is None
    assert tb.latest_checkpoint(tmp_path) is None
    assert caplog.records == []


@pytest.mark.parametrize("text", ["", 'all_model_checkpoint_paths: "a"'])
def test_a_state_without_a_newest_checkpoint_is_refused(tf, tmp_path, text):
    write(tmp_path, text)
    for library in (tb, tf.train):
        with pytest.raises(ValueError):
            library.get_checkpoint_state(tmp_path)
    with pytest.raises(ValueError, match="checkpoint: names no newest"):
        tb.latest_checkpoint(tmp_path)


@pytest.mark.parametrize("kind", ["directory", "fifo", "huge"])
def test_what_is_no_small_file_is_no_state(tmp_path, kind, caplog):
    path = tmp_path / "checkpoint"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b'model_checkpoint_path: "a"\n')
        os.truncate(path, (1 << 26) + 1)
    assert tb.get_checkpoint_state(tmp_path) is None
    assert "checkpoint" in caplog.text


def test_absolute_paths_stay_as_they_are(tmp_path):
    write(tmp_path, 'model_checkpoint_path: "/elsewhere/ckpt"')
    assert tb.get_checkpoint_state(tmp_path).model_checkpoint_path == "/elsewhere/ckpt"


def test_the_newest_checkpoint_must_exist(tmp_path, caplog):
    write(tmp_path, 'model_checkpoint_path: "ckpt-4"')
    assert tb.latest_checkpoint(tmp_path) is None
    assert "ckpt-4" in caplog.text
    tb.save(tmp_path / "ckpt-4", {"a": 1})
    assert tb.latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-4")
    assert tb.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-4")


def test_a_checkpoint_of_the_v1_format_exists_too(tf, tmp_path):
    write(tmp_path, 'model_checkpoint_path: "old.ckpt"')
    (tmp_path / "old.ckpt").write_bytes(b"")
    assert tb.latest_checkpoint(tmp_path) == tf.train.latest_checkpoint(tmp_path)


def test_the_file_may_have_another_name(tf, tmp_path):
    write(tmp_path, 'model_checkpoint_path: "ckpt-4"', "other")
    tb.save(tmp_path / "ckpt-4", {"a": 1})
    assert tb.latest_checkpoint(tmp_path) is None
    assert tb.latest_checkpoint(tmp_path, "other") == str(tmp_path / "ckpt-4")
    assert tb.latest_checkpoint(tmp_path, "other") == tf.train.latest_checkpoint(
        tmp_path, "other"
    )


def test_a_relative_directory_gives_relative_paths(tf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    write(tmp_path / "run", 'model_checkpoint_path: "ckpt-4"')
    tb.save("run/ckpt-4", {"a": 1})
    assert tb.latest_checkpoint("run") == tf.train.latest_checkpoint("run") == "run/ckpt-4"
    write(tmp_path, 'model_checkpoint_path: "run/ckpt-4"')
    for here in (".", ""):
        assert tb.latest_checkpoint(here) == tf.train.latest_checkpoint(here)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    paths=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1
    ),
    times=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
)
@example(paths=['"', "\\", "\n", "'", "\x7f", "größe"], times=[-0.0, 1e300, -5e-324])
def test_what_protobuf_writes_is_read_back(tf, tmp_path, paths, times):
    from google.protobuf import text_format
    from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

    written = CheckpointState(
        model_checkpoint_path=paths[-1],
        all_model_checkpoint_paths=paths,
        all_model_checkpoint_timestamps=times,
    )
    for as_utf8 in (True, False):
        write(tmp_path, text_format.MessageToString(written, as_utf8=as_utf8))
        state = tb.get_checkpoint_state(tmp_path)
        assert state.model_checkpoint_path == os.path.join(tmp_path, paths[-1])
        assert state.all_model_checkpoint_paths == [os.path.join(tmp_path, p) for p in paths]
        assert state.all_model_checkpoint_timestamps == times


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.sampled_from([*"\"\\:[],;# \n'x1.-e", "model_checkpoint_path", '"a"', "\\x", "\\8"])
    )
)
def test_nonsense_is_refused_in_order(tmp_path, parts):
    write(tmp_path, "".join(parts))
    try:
        tb.get_checkpoint_state(tmp_path)
    except ValueError as error:
        assert "names no newest" in str(error)


# ---- Written ------------------------------------------------------------------------------

WRITES = {
    "absolute": ("{d}", "{d}/c-2", ["{d}/c-1", "{d}/c-2"], {}),
    "outside": ("{d}/run", "{d}/c-2", None, {"save_relative_paths": True}),
    "relative": ("{d}", "{d}/c-2", ["{d}/c-1", "{d}/c-2"], {"save_relative_paths": True}),
    "newest not last": ("{d}", "c-2", ["c-2", "c-1"], {}),
    "newest only": ("{d}", "c-2", [], {"last_preserved_timestamp": 0.0}),
    "relative directory": ("run", "run/c-2", ["run/c-1", "c-2"], {}),
    "here": ("", "c-2", ["c-1"], {}),
    "times": ("{d}", "c-2", ["c-1", "c-2"], {"all_model_checkpoint_timestamps": [1.5, 2e9],
                                             "last_preserved_timestamp": 1795217184.1557195}),
    "another name": ("{d}", 'gr"öße', None, {"latest_filename": "other"}),
}  # fmt: skip


@pytest.mark.parametrize("what", WRITES)
def test_the_file_is_tensorflows_byte_for_byte(tf, tmp_path, monkeypatch, what):
    from tensorflow.python.checkpoint import checkpoint_management

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    directory, newest, paths, options = WRITES[what]
    directory, newest = (text.format(d=tmp_path) for text in (directory, newest))
    texts = []
    theirs = checkpoint_management.update_checkpoint_state_internal
    for update in (tb.update_checkpoint_state, theirs):
        given_paths = [p.format(d=tmp_path) for p in paths or []]
        update(directory, newest, all_model_checkpoint_paths=given_paths, **options)
        name = options.get("latest_filename", "checkpoint")
        with open(os.path.join(directory, name), "rb") as file:
            texts.append(file.read())
        os.unlink(os.path.join(directory, name))
    assert texts[0] == texts[1]
    assert listed(tmp_path) == ["run"]


def test_absolute_paths_are_right_where_tensorflows_are_not(tf, tmp_path, monkeypatch):
    # It takes them relative to a relative directory twice, and names what is not there.
    from tensorflow.python.checkpoint import checkpoint_management

    monkeypatch.chdir(tmp_path)
    tb.save("run/c-2", {"a": 1})
    latest = []
    theirs = checkpoint_management.update_checkpoint_state_internal
    for update in (tb.update_checkpoint_state, theirs):
        absolute = str(tmp_path / "run" / "c-2")
        update("run", absolute, all_model_checkpoint_paths=[], save_relative_paths=True)
        latest.append(tf.train.latest_checkpoint("run"))
    assert latest == ["run/c-2", None]


def test_the_callers_list_stays_as_it_is(tmp_path):
    paths = ["c-1"]
    tb.update_checkpoint_state(tmp_path, "c-2", paths)
    assert paths == ["c-1"]


def test_times_are_as_many_as_paths(tmp_path):
    write(tmp_path, FULL)
    with pytest.raises(ValueError, match="1 timestamps for 2 checkpoints"):
        tb.update_checkpoint_state(
            tmp_path, "c-2", ["c-1"], all_model_checkpoint_timestamps=[1.0]
        )
    assert (tmp_path / "checkpoint").read_text() == FULL


def test_the_newest_cannot_have_the_state_files_path(tf, tmp_path):
    for update in (tb.update_checkpoint_state, tf.compat.v1.train.update_checkpoint_state):
        with pytest.raises(RuntimeError):
            update(str(tmp_path), str(tmp_path / "checkpoint"))
    assert listed(tmp_path) == []


def test_a_state_file_of_many_checkpoints_is_read_back(tmp_path):
    paths = [f"a-rather-long-name-{step}" for step in range(30_000)]
    tb.update_checkpoint_state(tmp_path, paths[-1], paths)
    assert (tmp_path / "checkpoint").stat().st_size > 1 << 20
    assert len(tb.get_checkpoint_state(tmp_path).all_model_checkpoint_paths) == len(paths)
