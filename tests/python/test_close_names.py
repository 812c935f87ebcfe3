"""Names that are told with a missing one are like it by more than their common ending."""

from __future__ import annotations

import pytest

import tensorbundle as tb
from tensorbundle.close_names import close_names

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("layer/kernal", ["head/bias", "layer/kernel", "x"], ["layer/kernel"]),
        ("save_counter" + VALUE, ["model/optimizer/_variables/9" + VALUE], []),
        (
            "model/kernels" + VALUE,
            ["a" + VALUE, "model/kernel" + VALUE],
            ["model/kernel" + VALUE],
        ),
        ("model/kernel", ["a" + VALUE, "model/kernel" + VALUE], ["model/kernel" + VALUE]),
        (
            "counter",
            ["counter/.ATTRIBUTES/A", "counter/.ATTRIBUTES/B", "counters"],
            ["counter/.ATTRIBUTES/A", "counter/.ATTRIBUTES/B", "counters"],
        ),
        (
            "w",
            [f"w/.ATTRIBUTES/{i}" for i in range(9)],
            [f"w/.ATTRIBUTES/{i}" for i in range(3)],
        ),
        (VALUE, ["a" + VALUE], []),
        ("", [], []),
    ],
)
def test_names_are_compared_without_their_attribute(name, names, expected):
    assert close_names(name, names) == expected


def test_of_a_million_names_those_that_begin_alike_are_compared():
    names = [f"model/layer_{i:06}/kernel{VALUE}" for i in range(1_000_000)]
    found = close_names("model/layer_765432/kernal" + VALUE, names)
    assert found[0] == names[765432]
    assert close_names("zzz", names) == close_names("aaa", names) == []


def test_a_missing_name_is_told_with_those(tmp_path):
    prefix = tmp_path / "c"
    tb.save(prefix, {"model/optimizer/_variables/9" + VALUE: 1, "model/step" + VALUE: 2})
    with pytest.raises(tb.MissingTensorError) as caught:
        tb.load(prefix, ["save_counter" + VALUE])
    assert "did you mean" not in str(caught.value)
    with pytest.raises(tb.MissingTensorError) as caught:
        tb.load(prefix, ["model/step"])
    assert f"did you mean 'model/step{VALUE}'?" in str(caught.value)
