"""The same bytes through the core and through the oracle, for a short while.

What is made, and what has to agree, is in `tests/python/fuzz/differential_target.py`; `make
fuzz` goes on for longer.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from tests.python.fuzz.differential_target import (
    DATA,
    LISTS,
    WORDS,
    Input,
    compare,
    inputs,
    list_entry,
    of_core,
    of_oracle,
)

import tensorbundle as tb
from reference.proto import Header, encode_entry, encode_header


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_input=inputs())
def test_the_core_and_the_oracle_agree(tmp_path_factory, given_input):
    compare(tmp_path_factory.mktemp("differential"), given_input)


@pytest.mark.parametrize("kind", LISTS[False])
@pytest.mark.parametrize("big_endian", LISTS)
def test_the_data_has_the_words_that_it_is_said_to_have(tmp_path, kind, big_endian):
    entry = encode_entry(list_entry(kind, big_endian))
    header = encode_header(Header(1, big_endian))
    assert compare(tmp_path, Input(header, [(b"s", entry)], DATA, ())) == ""
    assert list(of_oracle(str(tmp_path / "ckpt"))[b"s"]) == WORDS
    assert list(of_core(str(tmp_path / "ckpt"), ())[b"s"]) == WORDS
    with pytest.raises(tb.BundleError):
        tb.load(tmp_path / "ckpt", ["nothing"])
