"""Text and its bytes: whatever they are, they come back."""

from __future__ import annotations

import pytest

from tensorbundle.stored_text import as_bytes, as_text


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (b"", ""),
        ("ä/日本".encode(), "ä/日本"),
        (b"a\xff\x80b", "a\udcff\udc80b"),
        (b"\0", "\0"),
    ],
)
def test_bytes_become_text_and_the_same_bytes_again(stored, text):
    assert as_text(stored) == text
    assert as_bytes(text) == stored


def test_what_is_of_the_kind_already_stays():
    assert as_bytes(b"\xff") == b"\xff" and as_text("\udcff") == "\udcff"


def test_a_surrogate_that_stands_for_no_byte_is_refused():
    with pytest.raises(UnicodeEncodeError):
        as_bytes("\ud800")
