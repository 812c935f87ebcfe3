"""What cannot be saved is told by name before any file is touched; nothing is imported."""

from __future__ import annotations

import collections
import types

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import assert_same, names_in, run_python, strings

FRAMEWORKS = ["torch", "jax", "keras", "tensorflow"]

BAD_VALUES = {
    "objects": strings(1, 2),
    "objects among strings": strings("a", 3),
    "None among strings": strings("a", None),
    "missing text": np.array(["a", np.nan], np.dtypes.StringDType(na_object=np.nan)),
    "datetime": np.zeros(3, "datetime64[s]"),
    "timedelta": np.zeros(3, "timedelta64[s]"),
    "datetime scalar": np.datetime64("2026-01-01"),
    "long double": np.zeros(3, np.longdouble),
    "long double scalar": np.longdouble(1),
    "complex long double": np.zeros(3, np.clongdouble),
    "structured": np.zeros(3, [("a", "f4"), ("b", "i4")]),
    "raw bytes": np.zeros(3, "V7"),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "list": [1.0, 2.0],
    "tuple": (1.0,),
    "None": None,
    "object": object(),
    "set": {1, 2},
    "type": np.float32,
    "dtype": np.dtype("f4"),
    "huge integer": 2**64,
    "very negative integer": -(2**63) - 1,
    "bytearray": bytearray(b"x"),
}


def assert_refused(directory, tensors, kind, match):
    """Check that the save raises, and that not even its directory is made."""
    target = directory / "new" / "ckpt"
    with pytest.raises(kind, match=match):
        tb.save(target, tensors)
    assert names_in(directory) == []


@pytest.mark.parametrize("what", BAD_VALUES)
def test_what_the_format_lacks_is_told_by_name(tmp_path, what):
    tensors = {"fine": np.ones(3), "layers/bad one": BAD_VALUES[what]}
    assert_refused(tmp_path, tensors, TypeError, "layers/bad one")


@pytest.mark.parametrize("value", [[1, 2], (), {3}, None, [np.ones(2)]], ids=repr)
def test_who_saves_lists_and_none_is_told(tmp_path, value):
    tensors = {"o": {"param_groups": value}}
    told = r"'o/param_groups': cannot save a .*tensorbundle\.torch\.save .*\.Checkpoint"
    assert_refused(tmp_path, tensors, TypeError, told)


def test_integers_of_any_kind_are_names(prefix):
    tb.save(prefix, {"a": {key: np.ones(1) for key in (1, np.int64(2), np.uint8(3), False)}})
    assert tb.load(prefix).keys() == {"a/1", "a/2", "a/3", "a/False"}


def test_a_refused_save_leaves_the_old_checkpoint(prefix):
    tb.save(prefix, {"a": 1})
    with pytest.raises(TypeError):
        tb.save(prefix, {"a": 2, "b": None})
    assert tb.load(prefix) == {"a": 1}


@pytest.mark.parametrize(
    "tensors",
    [
        {"a/b": 1, "a": {"b": 2}},
        {"a": {"b/c": 1}, "a/b": {"c": 2}},
        {"a": 1, b"a": 2},
        {1: 1, "1": 2},
    ],
    ids=str,
)
def test_a_name_given_twice_is_refused(tmp_path, tensors):
    assert_refused(tmp_path, tensors, ValueError, r'tensor ".+": the name is given twice')


@pytest.mark.parametrize("tensors", [{"": 1}, {b"": 1}, {"a": 1, "": 2}], ids=str)
def test_an_empty_name_is_refused(tmp_path, tensors):
    assert_refused(tmp_path, tensors, ValueError, "empty")


@pytest.mark.parametrize("key", [None, 1.5, ("a", "b"), frozenset()], ids=repr)
@pytest.mark.parametrize("nested", [False, True])
def test_a_name_that_is_no_text_is_refused(tmp_path, key, nested):
    tensors = {"a": {key: 1}} if nested else {key: 1}
    assert_refused(tmp_path, tensors, TypeError, "name")


def test_a_name_that_cannot_be_encoded_is_refused(tmp_path):
    assert_refused(tmp_path, {"a\ud800": 1}, ValueError, "surrogates")


def test_a_mapping_that_holds_itself_is_refused(tmp_path):
    tensors = {"a": {"b": 1}}
    tensors["a"]["c"] = tensors
    assert_refused(tmp_path, tensors, (ValueError, RecursionError), r".")


def test_the_key_of_a_part_is_refused_as_a_name(tmp_path):
    # OrderedCode: the key under which TensorFlow stores the slice [0:2, :] of "v".
    key = bytes.fromhex("00 760001 0102 8082 807f")
    assert_refused(tmp_path, {key: 1}, ValueError, "partitioned")


@pytest.mark.parametrize("tensors", [[("a", 1)], None, np.ones(3), "abc"], ids=repr)
def test_what_is_no_mapping_is_refused(tmp_path, tensors):
    assert_refused(tmp_path, tensors, TypeError, "mapping")


@pytest.mark.parametrize(
    "make",
    [
        collections.OrderedDict,
        types.MappingProxyType,
        collections.UserDict,
        collections.ChainMap,
    ],
)
def test_any_mapping_will_do(prefix, make):
    tb.save(prefix, make({"a": make({"b": 1})}))
    assert tb.load(prefix) == {"a/b": 1}


def test_the_order_given_is_the_order_in_the_file(prefix):
    tb.save(prefix, {"z": 1, "a": {"c": 2, "b": 3}, "y": 4})
    bundle = tb.open(prefix)
    assert sorted(bundle, key=lambda n: bundle.entry(n).offset) == ["z", "a/c", "a/b", "y"]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_arrays_are_saved_as_arrays(prefix):
    class Tagged(np.ndarray):
        pass

    array = np.arange(6.0).reshape(2, 3)
    tb.save(prefix, {"tagged": array.view(Tagged), "matrix": np.asmatrix(array)})
    found = tb.load(prefix)
    assert_same(found["tagged"], array)
    assert_same(found["matrix"], array)


# ---- imports --------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_heavy():
    printed = run_python(
        """
        import sys
        import tensorbundle
        heavy = ["numpy", "ml_dtypes", "tensorbundle._core", "torch", "jax", "tensorflow"]
        print([name for name in heavy if name in sys.modules])
        """
    )
    assert printed == "[]\n"


def test_no_framework_is_imported_that_the_caller_has_not(tmp_path):
    printed = run_python(
        """
        import sys
        import numpy as np
        import tensorbundle as tb

        prefix = sys.argv[1]
        tb.save(prefix, {"a": np.ones(3), "s": "text", "n": 3})
        tb.load(prefix)
        tb.load(prefix, mmap=True, into=None)
        tb.load(prefix, into={"a": np.ones(3)})
        tb.verify(prefix)
        tb.list_variables(prefix)
        tb.latest_checkpoint(prefix)
        frameworks = ("torch", "jax", "keras", "tensorflow")
        print([name for name in frameworks if name in sys.modules])
        """,
        tmp_path / "ckpt",
    )
    assert printed == "[]\n"


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_one_framework_does_not_bring_another(tmp_path, framework):
    pytest.importorskip(framework, reason=f"{framework} is not installed")
    make = {"torch": "torch.ones(3)", "jax": "jax.numpy.ones(3)"}[framework]
    others = [name for name in FRAMEWORKS if name != framework]
    printed = run_python(
        f"""
        import sys
        import {framework}
        import tensorbundle as tb

        tb.save(sys.argv[1], {{"a": {make}}})
        print([name for name in {others} if name in sys.modules])
        """,
        tmp_path / "ckpt",
    )
    assert printed == "[]\n"
