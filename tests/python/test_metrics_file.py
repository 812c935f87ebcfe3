"""Metrics beside a checkpoint: JSON that any program reads, and never trusted."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest

from tensorbundle.metrics_file import as_numbers, read_metrics, remove_metrics, write_metrics

from .helpers import listed


def test_metrics_are_read_back(prefix, tmp_path):
    values = {"loss": 0.1, "größe": -1e300, "nan": math.nan, "up": math.inf, "down": -math.inf}
    write_metrics(prefix, 3, values)
    found = read_metrics(prefix)
    assert math.isnan(found.pop("nan")) and math.isnan(values.pop("nan"))
    assert found == values
    assert listed(tmp_path / "checkpoints") == ["ckpt.metrics.json"]


def test_the_file_is_strict_json(prefix):
    def refuse(constant):
        raise AssertionError(constant)

    write_metrics(prefix, 3, {"a": math.nan, "b": 1.0})
    with open(prefix + ".metrics.json") as file:
        content = json.load(file, parse_constant=refuse)
    assert content == {"step": 3, "metrics": {"a": "nan", "b": 1.0}}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", b'{"metrics": 3}', b'{"metrics": {"a": "x"}}',
     b'{"metrics": {"a": []}}', b"[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_counts_as_none(prefix, content, caplog):
    with open(prefix + ".metrics.json", "wb") as file:
        file.write(content)
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        assert read_metrics(prefix) == {}
    assert "ckpt.metrics.json: ignored" in caplog.text


def test_there_may_be_none(prefix, caplog):
    assert read_metrics(prefix) == {}
    remove_metrics(prefix)
    write_metrics(prefix, None, {"a": 1.0})
    remove_metrics(prefix)
    assert read_metrics(prefix) == {} and caplog.records == []


def test_anything_that_is_one_number_will_do(torch):
    given = {
        "a": 1,
        "b": np.float32(0.5),
        "c": np.array(2),
        "d": torch.tensor(3.0),
        "e": True,
    }
    assert as_numbers(given) == {"a": 1, "b": 0.5, "c": 2, "d": 3, "e": 1}
    for wrong in ({"a": None}, {"a": "x"}, {1: 2.0}):
        with pytest.raises((TypeError, ValueError)):
            as_numbers(wrong)
