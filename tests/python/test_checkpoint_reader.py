"""TensorFlow's functions to look into a checkpoint, where there is no TensorFlow.

That they agree with TensorFlow's own is shown in test_interop_tensorflow.py.
"""

from __future__ import annotations

import gc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from reference.table import build_table, read_table

from .helpers import assert_same, data_file, flip_byte, sample, strings

TENSORS = {
    "b/kernel": sample("float32", (2, 3)),
    "a": sample("bfloat16", (4,)),
    "step": np.array(5, np.int64),
    "text": strings(b"x", b"y"),
    "word": b"scalar",
}


@pytest.fixture
def saved(prefix):
    tb.save(prefix, TENSORS)
    (Path(prefix).parent / "checkpoint").write_text('model_checkpoint_path: "ckpt"\n')
    return prefix


@pytest.fixture(params=["prefix", "path", "directory"])
def given(request, saved):
    """Name the checkpoint in each way there is."""
    directory = Path(saved).parent
    return {"prefix": saved, "path": Path(saved), "directory": directory}[request.param]


def test_variables_are_listed_with_their_shapes(given):
    assert tb.list_variables(given) == [
        ("a", [4]), ("b/kernel", [2, 3]), ("step", []), ("text", [2]), ("word", []),
    ]  # fmt: skip


def test_a_variable_is_loaded_by_name(given):
    for name in ("b/kernel", "a", "step", "text"):
        assert_same(tb.load_variable(given, name), TENSORS[name])
    assert tb.load_variable(given, "word") == b"scalar"


def test_a_colon_and_number_after_the_name_are_dropped(given):
    assert_same(tb.load_variable(given, "b/kernel:0"), TENSORS["b/kernel"])


def test_the_reader_has_tensorflows_methods(given):
    reader = tb.load_checkpoint(given)
    assert isinstance(reader, tb.CheckpointReader)
    assert reader.has_tensor("a")
    assert not reader.has_tensor("c")
    assert not reader.has_tensor("")
    assert reader.get_variable_to_shape_map() == dict(tb.list_variables(given))
    assert reader.get_variable_to_dtype_map() == {
        "a": np.dtype(ml_dtypes.bfloat16),
        "b/kernel": np.dtype("float32"),
        "step": np.dtype("int64"),
        "text": np.dtype(object),
        "word": np.dtype(object),
    }
    lines = reader.debug_string().splitlines()
    assert b"b/kernel (DT_FLOAT) [2,3]" in lines
    assert b"step (DT_INT64) []" in lines
    assert len(lines) == len(TENSORS)


def test_the_reader_gives_arrays_of_the_callers_own(saved):
    reader = tb.load_checkpoint(saved)
    array = reader.get_tensor("b/kernel")
    array += 1
    assert_same(reader.get_tensor("b/kernel"), TENSORS["b/kernel"])


def test_the_reader_keeps_to_the_checkpoint_it_opened(saved):
    reader = tb.load_checkpoint(saved)
    tb.save(saved, {"b/kernel": np.zeros((7, 7))})
    assert reader.get_variable_to_shape_map()["b/kernel"] == [2, 3]
    try:
        found = reader.get_tensor("b/kernel")
    except (tb.MissingShardError, tb.CheckpointGoneError):
        return  # replaced before it was mapped: told, not mixed up
    assert_same(found, TENSORS["b/kernel"])


def test_shapes_and_dtypes_of_all_ranks_are_those_of_the_entries(prefix):
    tensors = {
        f"{dtype}/{shape}": np.zeros(shape, dtype)
        for shape in [(), (3,), (0, 300), (1,) * 32, (2, 1, 70_000)]
        for dtype in ["uint8", "float64"]
    }
    tb.save(prefix, tensors)
    reader, bundle = tb.load_checkpoint(prefix), tb.open(prefix)
    assert reader.get_variable_to_shape_map() == {
        name: list(bundle.entry(name).shape) for name in bundle
    }
    assert reader.get_variable_to_dtype_map() == {
        name: bundle.entry(name).dtype for name in bundle
    }


def test_listing_leaves_the_garbage_collector_as_it_was(saved):
    for is_enabled in (False, True):
        (gc.enable if is_enabled else gc.disable)()
        try:
            tb.list_variables(saved)
            assert gc.isenabled() == is_enabled
        finally:
            gc.enable()


def test_a_damaged_record_is_told_by_name_when_all_are_listed(saved):
    index = Path(saved + ".index")
    entries = dict(read_table(index.read_bytes()))
    entries[b"step"] = entries[b"step"].replace(b"\x08\x09", b"\x08\x63", 1)  # dtype 99
    index.write_bytes(build_table(entries.items()))
    assert list(tb.open(saved)) == sorted(TENSORS)
    for listing in (tb.list_variables, lambda path: tb.load_checkpoint(path).debug_string()):
        with pytest.raises(tb.CorruptionError, match="step") as caught:
            listing(saved)
        assert (caught.value.code, caught.value.key) == ("BadDType", "step")
        assert caught.value.path == str(index)


def test_the_reader_verifies(saved):
    entry = tb.open(saved).entry("b/kernel")
    flip_byte(data_file(saved), entry.offset)
    with pytest.raises(tb.CorruptionError, match="b/kernel"):
        tb.load_variable(saved, "b/kernel")


def test_a_missing_variable_is_a_missing_tensor(given):
    with pytest.raises(tb.MissingTensorError, match="did you mean 'b/kernel'"):
        tb.load_variable(given, "b/kernels")


def test_a_directory_without_checkpoints_is_told(tmp_path):
    for function in (tb.list_variables, tb.load_checkpoint):
        with pytest.raises(ValueError, match="checkpoint") as caught:
            function(tmp_path)
        assert str(tmp_path) in str(caught.value)


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tb.list_variables(tmp_path / "nothing")
    assert caught.value.filename == str(tmp_path / "nothing.index")


def test_a_prefix_that_is_also_a_directory_is_the_checkpoint(tmp_path):
    (tmp_path / "variables").mkdir()
    tb.save(tmp_path / "variables", {"v": 1})
    assert tb.list_variables(tmp_path / "variables") == [("v", [])]


def test_names_that_are_not_text_can_be_listed_and_loaded(prefix):
    tb.save(prefix, {b"\xff\xfe": np.float32(1), "größe": np.float32(2)})
    names = [name for name, _ in tb.list_variables(prefix)]
    assert [tb.load_variable(prefix, name) for name in names] == [2, 1]
    assert "größe (DT_FLOAT) []".encode() in tb.load_checkpoint(prefix).debug_string()
    assert b"\xff\xfe (DT_FLOAT) []" in tb.load_checkpoint(prefix).debug_string()
