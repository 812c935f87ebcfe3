from __future__ import annotations

import numpy as np
import pytest

from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.slices import parse_index, split_slice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", np.index_exp[0]),
        ("-1", np.index_exp[-1]),
        ("0:10,:,3", np.index_exp[0:10, :, 3]),
        (" 1 : 2 , ::-1", np.index_exp[1:2, ::-1]),
        (":", np.index_exp[:]),
        ("::", np.index_exp[::]),
        ("5:", np.index_exp[5:]),
        (":-5:2", np.index_exp[:-5:2]),
        ("...", np.index_exp[...]),
        ("...,+1", np.index_exp[..., 1]),
    ],
)
def test_reads_what_numpy_reads(text, expected):
    assert parse_index(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ",", "1,", "a", "1:2:3:4", "1.5", "0x1", "1_0", "--1", "1 2", "....",
        "...,...", "None", "::0", "True", "__import__('os')", "\u0661", "9" * 19, "1;2", "[1]",
    ],
)  # fmt: skip
def test_refuses_anything_else(text):
    with pytest.raises(CommandError, match="bad slice"):
        parse_index(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a[0]", ("a", "0")),
        ("a[0][1:2]", ("a[0]", "1:2")),
        ("a", None),
        ("a[0", None),
        ("a]", None),
        ("[0]", None),
        ("a[0]b", None),
    ],
)
def test_the_slice_begins_at_the_last_bracket(text, expected):
    assert split_slice(text) == expected
