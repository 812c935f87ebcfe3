"""Rows tell median and spread; ratios are to the floor of the same place and size."""

from __future__ import annotations

import json

import pytest

from tensorbundle.cli.bench.results import Result, Settings, read_result
from tensorbundle.cli.errors import CommandError


def test_a_row_tells_median_spread_and_rate(make_row):
    row = make_row("save", [1.0, 2.0, 4.0], Settings("uring"))
    assert (row.median, row.spread, row.is_noisy, row.gb_per_second) == (2.0, 1.5, True, 0.5)
    assert not make_row("save", [1.0, 1.1, 1.2], Settings("uring")).is_noisy
    assert make_row("first-tensor", [1.0], Settings("uring")).gb_per_second is None


def test_ratios_are_to_the_floor_of_the_same_workload(make_row, make_result):
    floors = [
        make_row("floor-write", [0.5]),
        make_row("floor-copy", [0.1]),
        make_row("floor-write", [9.0], workload="other"),
        make_row("floor-write", [0.7], engine="fio"),
    ]
    save = make_row("save", [1.0], Settings("uring"))
    memory = make_row("save", [1.0], Settings("memory"))
    cold = make_row("cold-load", [1.0], Settings("uring"))
    mapped = make_row("map", [1.0], Settings("buffered"), cache="warm")
    mapped_cold = make_row("map", [1.0], Settings("buffered"), cache="cold")
    make_result(*floors, save, memory, cold, mapped, mapped_cold)
    assert (mapped.floor_ratio, mapped_cold.floor_ratio) == (0.1, None)
    assert (save.floor_ratio, memory.floor_ratio, cold.floor_ratio) == (0.5, 0.1, None)


def test_a_result_comes_back_from_its_json(result, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(result.as_dict()))
    again = read_result(str(path))
    assert again == result
    assert isinstance(again, Result)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "places": 3, "rows": []}', "\xff"]
)
def test_what_is_no_result_is_named(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CommandError, match=r"a\.json: "):
        read_result(str(path))
