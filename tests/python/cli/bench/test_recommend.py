"""What is recommended was measured, beats the defaults surely, and is read by save()."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.cli.bench.recommend import best, to_toml
from tensorbundle.cli.bench.results import Settings
from tensorbundle.cli.errors import CommandError
from tensorbundle.config import read_config


def test_the_surely_fastest_is_recommended_and_is_read_by_save(
    make_row, make_result, tmp_path
):
    fast = Settings("buffered", num_shards=2, num_threads=1, block_size=1 << 20)
    result = make_result(
        make_row("save", [1.0, 1.1, 1.2], Settings("uring")),
        make_row("save", [0.5, 0.6, 0.7], fast),
        make_row("save", [0.1, 0.1, 0.1], Settings("memory"), durable=False),
        make_row("save", [0.1, 0.1, 0.1], Settings("buffered"), durable=False),
        make_row("cold-load", [1.0], Settings("direct"), num_bytes=10**9),
        make_row("cold-load", [0.1], Settings("uring"), num_bytes=10**6),
    )
    place = result.places[0]
    choices = best(result, place)
    assert choices["save"].settings == fast
    assert choices["load"].settings == Settings("direct")  # of the largest size
    assert "1.83 times as fast as the defaults" in choices["save"].why
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(choices, place))
    assert read_config(path) == {
        "save": {
            "backend": "buffered", "num_threads": 1, "num_shards": 2, "block_size": 1 << 20,
        },
        "load": {"backend": "direct"},
    }  # fmt: skip
    prefix = str(tmp_path / "ckpt")
    report = tb.save(prefix, {"a": np.ones(10), "b": np.ones(10)}, config=path)
    assert report.num_shards == 2


def test_the_defaults_stay_where_runs_overlap(make_row, make_result):
    result = make_result(
        make_row("save", [1.0, 1.1, 1.2], Settings("uring")),
        make_row("save", [0.8, 0.9, 1.0], Settings("uring", num_threads=4)),
    )
    choice = best(result, result.places[0])["save"]
    assert choice.settings == Settings("uring")
    assert "nothing was surely faster" in choice.why


@pytest.mark.parametrize("runs", [1, 2])
def test_a_run_or_two_are_not_called_sure(make_row, make_result, runs):
    result = make_result(
        make_row("save", [1.0] * runs, Settings("uring"), num_busy=1),
        make_row("save", [0.1] * runs, Settings("uring", num_threads=4)),
    )
    choice = best(result, result.places[0])["save"]
    assert choice.settings == Settings("uring")
    told = {1: "1 run", 2: "2 runs"}[runs]
    assert choice.why == (
        "the defaults; fewer than 3 runs of each tell nothing better "
        f"({told} of 1 GB, with other programs busy in 1)"
    )


def test_warm_loads_are_judged_where_nothing_is_cold(make_row, make_result):
    result = make_result(make_row("warm-load", [1.0], Settings("buffered")))
    assert best(result, result.places[0])["load"].settings.backend == "buffered"


def test_nothing_measured_is_nothing_recommended(make_row, make_result):
    result = make_result(make_row("save", [], Settings("uring"), failure="x"))
    with pytest.raises(CommandError, match="nothing was measured"):
        to_toml(best(result, result.places[0]), result.places[0])


def test_a_path_cannot_leave_its_comment(make_row, make_result, tmp_path):
    result = make_result(make_row("save", [1.0], Settings("uring")))
    place = result.places[0]
    place.path = result.rows[0].path = '/a\n[load]\nbackend = "magic"\udcff'
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(best(result, place), place))
    assert read_config(path) == {"save": {"backend": "uring", "num_shards": 1}, "load": {}}
