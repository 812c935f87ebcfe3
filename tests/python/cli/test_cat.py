from __future__ import annotations

import io
import json
import os
import resource

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.cli.main import main


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("step", "step  int64  ()\n7\n"),
        ("title", "title  string  ()\nb'hello'\n"),
        ("text", "text  string  (2,)\n[b'one' b'two\\n']\n"),
        ("text[-1]", "text[-1]  string  ()\nb'two\\n'\n"),
        ("half", "half  bfloat16  (3,)\n[1 -2.5 3]\n"),
        ("dense/kernel[-1,1:3]", "dense/kernel[-1,1:3]  float32  (2,)\n[ 9. 10.]\n"),
        ("dense/kernel[0, 0]", "dense/kernel[0, 0]  float32  ()\n0.\n"),
        ("dense/kernel[..., 0]", "dense/kernel[..., 0]  float32  (3,)\n[0. 4. 8.]\n"),
        ("dense/kernel[::-2,0]", "dense/kernel[::-2,0]  float32  (2,)\n[8. 0.]\n"),
        ("dense/kernel[9:]", "dense/kernel[9:]  float32  (0, 4)\n[]\n"),
        ("odd[0]", "odd[0]  int16  (3,)\n[0 1 2]\n"),
        ("odd[0][2]", "odd[0][2]  int16  ()\n2\n"),
    ],
)
def test_prints_a_tensor_or_a_slice(run, prefix, tensor, expected):
    assert run("cat", prefix, tensor) == (0, expected, "")


def test_takes_a_name_as_it_is_listed(run, prefix):
    listed = r"bell\x07\\name"
    outcome = run("cat", prefix, listed)
    assert outcome.status == 0
    assert outcome.out.endswith("bool  ()\nTrue\n")
    assert "\x07" not in outcome.out
    assert run("cat", prefix, "bell\x07\\name").status == 0
    assert run("cat", prefix, listed + "[...]").status == 0


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        ("dense/kernel[0,0,0]", "too many indices"),
        ("dense/kernel[3]", "out of bounds"),
        ("dense/kernel[-4]", "out of bounds"),
        ("dense/kernel[x]", "bad slice [x]"),
        ("dense/kernel[]", "bad slice []"),
        ("step[0]", "too many indices"),
        ("dense/kernal", "did you mean 'dense/kernel'"),
        ("dense/kernal[0]", "did you mean 'dense/kernel'"),
        ("odd", "not in the bundle"),
        ("", "not in the bundle"),
    ],
)
def test_a_bad_name_or_slice_is_one_line(run, prefix, tensor, told):
    outcome = run("cat", prefix, tensor)
    assert outcome.status == 2
    assert outcome.out == ""
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_large_tensors_are_summarised_unless_full(run, tmp_path):
    tb.save(tmp_path / "c", {"w": np.arange(2000), "s": "x" * 999})
    assert "..." in run("cat", tmp_path / "c", "w").out
    assert run("cat", tmp_path / "c", "s").out.endswith("... (999 bytes)\n")
    full = run("cat", tmp_path / "c", "w", "--full").out
    assert "..." not in full
    assert full.split()[-1] == "1999]"
    assert "x" * 999 in run("cat", tmp_path / "c", "s", "--full").out


def test_a_damaged_tensor_is_not_shown_unless_asked(run, prefix, damage):
    path, *_ = damage(prefix, "dense/kernel")
    outcome = run("cat", prefix, "dense/kernel")
    assert outcome.status == 1
    assert outcome.out == ""
    assert path in outcome.err
    assert run("cat", prefix, "dense/kernel", "--no-verify").status == 0
    assert run("cat", prefix, "step").status == 0  # the others are sound


def test_variants_are_printed_as_bytes(run, golden):
    outcome = run("cat", golden / "variants", "scalar")
    assert outcome.status == 0
    assert "tensorflow::TensorList" in outcome.out


def test_big_endian_tensors_are_printed_as_numbers(run, golden):
    outcome = run("cat", golden / "big_endian", "dtypes/uint16/vector[3:]")
    assert outcome.out.splitlines()[-1] == "[    2 65534 65535]"


def test_a_partitioned_tensor_is_put_together(run, golden):
    outcome = run("cat", golden / "partitioned", "wide")
    assert outcome.status == 0
    assert outcome.out.startswith("wide  int64  (300,)\n[  0   1   2 ")
    outcome = run("cat", golden / "partitioned", "grid[1:3, ::2]")
    assert outcome.out == "grid[1:3, ::2]  float32  (2, 3)\n[[ 6.  8. 10.]\n [12. 14. 16.]]\n"


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("dense/kernel", np.arange(12, dtype=np.float32).reshape(3, 4)),
        ("dense/kernel[:, ::2]", np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]),
        ("step", np.array(7)),
    ],
)
def test_npy_round_trip(run, prefix, tmp_path, tensor, expected):
    target = tmp_path / "out" / "t.npy"
    target.parent.mkdir()
    target.write_text("old")
    outcome = run("cat", prefix, tensor, "--npy", target)
    assert outcome.status == 0
    assert str(target) in outcome.out
    loaded = np.load(target, allow_pickle=False)
    assert loaded.dtype == expected.dtype
    np.testing.assert_array_equal(loaded, expected)
    assert os.listdir(target.parent) == ["t.npy"]  # noqa: PTH208


def test_npy_goes_to_standard_output(prefix, capfdbinary):
    assert main(["cat", prefix, "dense/kernel[1:]", "--npy", "-"]) == 0
    out = capfdbinary.readouterr().out
    np.testing.assert_array_equal(
        np.load(io.BytesIO(out)), np.arange(4, 12, dtype=np.float32).reshape(2, 4)
    )


@pytest.mark.parametrize(("tensor", "told"), [("half", "bfloat16"), ("text", "strings")])
def test_npy_refuses_what_it_cannot_describe(run, prefix, tmp_path, tensor, told):
    target = tmp_path / "t.npy"
    outcome = run("cat", prefix, tensor, "--npy", target)
    assert outcome.status == 2
    assert told in outcome.err
    assert "tensorbundle.load" in outcome.err
    assert not target.exists()


@pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.float8_e4m3fn])
def test_npy_refuses_every_dtype_of_ml_dtypes(run, tmp_path, dtype):
    tb.save(tmp_path / "c", {"w": np.ones(4, dtype)})
    assert run("cat", tmp_path / "c", "w", "--npy", tmp_path / "t.npy").status == 2


def test_a_failed_npy_leaves_what_was_there(run, prefix, tmp_path, monkeypatch):
    target = tmp_path / "out" / "t.npy"
    target.parent.mkdir()
    target.write_text("old")

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    assert run("cat", prefix, "step", "--npy", target).status == 130
    assert [p.name for p in target.parent.iterdir()] == ["t.npy"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("place", "told"),
    [("no/t.npy", "No such file or directory"), (".", "Is a directory")],
)
def test_npy_that_cannot_be_written_is_an_error_of_the_path_given(
    run, prefix, tmp_path, place, told
):
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / place
    outcome = run("cat", prefix, "step", "--npy", target)
    assert outcome == (2, "", f"tensorbundle: error: {target}: {told}\n")
    assert not list(tmp_path.rglob("*.tmp"))


def test_npy_that_does_not_fit_is_an_error_of_the_path_given(run, tmp_path):
    tb.save(tmp_path / "c", {"w": np.ones(20_000)})
    target = tmp_path / "t.npy"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        outcome = run("cat", tmp_path / "c", "w", "--npy", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert outcome == (2, "", f"tensorbundle: error: {target}: File too large\n")
    assert not list(tmp_path.glob("t.npy*"))


@pytest.mark.parametrize(
    ("array", "dtype", "values"),
    [
        (np.arange(4).reshape(2, 2), "int64", [[0, 1], [2, 3]]),
        (np.float32(0.5), "float32", 0.5),
        (np.array([np.nan, np.inf, -np.inf]), "float64", ["NaN", "Infinity", "-Infinity"]),
        (np.array([1 + 2j, np.nan]), "complex128", [[1, 2], ["NaN", 0]]),
        (np.array([True, False]), "bool", [True, False]),
        (np.array([1.5, -2], ml_dtypes.bfloat16), "bfloat16", [1.5, -2]),
        (np.array([-8, 7], ml_dtypes.int4), "int4", [-8, 7]),
        (np.array([2**63], np.uint64), "uint64", [2**63]),
        (np.array([b"\xc3\xa4", b"\xff"], object), "string", ["\xe4", "\udcff"]),
        (np.zeros((2, 0)), "float64", [[], []]),
    ],
)
def test_json_has_every_element(run, tmp_path, array, dtype, values):
    tb.save(tmp_path / "c", {"x": array})
    outcome = run("cat", tmp_path / "c", "x", "--json")
    assert outcome.status == 0
    assert json.loads(outcome.out) == {
        "prefix": str(tmp_path / "c"),
        "name": "x",
        "slice": None,
        "dtype": dtype,
        "shape": list(np.shape(array)),
        "verified": True,
        "values": values,
    }


def test_json_of_a_slice_tells_which(run, prefix):
    found = json.loads(run("cat", prefix, "dense/kernel[-1, 1:3]", "--json").out)
    assert (found["name"], found["slice"]) == ("dense/kernel", "[-1, 1:3]")
    assert (found["shape"], found["values"]) == ([2], [9, 10])
    assert json.loads(run("cat", prefix, "odd[0]", "--json").out)["slice"] is None


@pytest.mark.parametrize(
    ("arguments", "verified"),
    [
        (["dense/kernel"], True),
        (["dense/kernel", "--no-verify"], False),
        (["dense/kernel[0]"], False),
        (["dense/kernel[0]", "--verify"], True),
        (["dense/kernel[0]", "--no-verify"], False),
    ],
)
def test_json_tells_whether_the_tensor_was_verified(run, prefix, arguments, verified):
    assert json.loads(run("cat", prefix, *arguments, "--json").out)["verified"] is verified


def test_json_and_npy_exclude_each_other(run, prefix):
    assert run("cat", prefix, "step", "--json", "--npy", "-").status == 2
