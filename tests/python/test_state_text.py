"""The text of a state file: character for character what protocol buffers write."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tensorbundle.state_text import CheckpointState, format_state, parse_state

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)


@settings(max_examples=300, deadline=None)
@given(
    newest=TEXTS,
    paths=st.lists(TEXTS),
    times=st.lists(st.floats()),
    last=st.floats(),
)
@example(
    newest="\x00\x1f\x7f\t\n\r\"'\\größe\u2028\U0001f600", paths=[], times=[5e-324], last=-0.0
)
@example(
    newest="ckpt-1", paths=["ckpt-1"], times=[1.0, 1e16, 1e-5, 1795217185.1729722], last=0
)
def test_the_text_is_protobufs(tf, newest, paths, times, last):
    from google.protobuf import text_format
    from tensorflow.python.training import checkpoint_state_pb2

    theirs = checkpoint_state_pb2.CheckpointState(
        model_checkpoint_path=newest,
        all_model_checkpoint_paths=paths,
        all_model_checkpoint_timestamps=times,
        last_preserved_timestamp=last,
    )
    ours = format_state(CheckpointState(newest, paths, times, last))
    assert ours == text_format.MessageToString(theirs)
    again = parse_state(ours)
    assert format_state(again) == ours
    assert (again.model_checkpoint_path, again.all_model_checkpoint_paths) == (newest, paths)


def test_a_path_that_is_not_unicode_is_refused():
    with pytest.raises(ValueError, match="is not Unicode"):
        format_state(CheckpointState("a\udcff"))
