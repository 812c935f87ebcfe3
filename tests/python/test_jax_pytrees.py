"""tensorbundle.jax: pytrees in and out, by names that anybody can read."""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict, defaultdict, namedtuple

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb

from .helpers import (
    EXTENSION_DTYPES,
    assert_same,
    data_file,
    flip_byte,
    listing,
    run_python,
    sample,
)

STRUCTURE = "_TENSORBUNDLE_JAX"
Moments = namedtuple("Moments", "mu nu")
Empty = namedtuple("Empty", "")


@pytest.fixture(scope="module")
def tbj(jax):
    import tensorbundle.jax

    return tensorbundle.jax


@pytest.fixture(scope="module")
def make(jax):
    """Give what makes a state like those of flax and optax."""

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Params:
        w: jax.Array
        b: jax.Array
        name: str = dataclasses.field(metadata={"static": True}, default="net")

    def state(number=1):
        full = jax.numpy.full
        return {
            "params": Params(full((2, 3), number, jax.numpy.bfloat16), full((3,), number)),
            "opt": (Moments(full((2,), number), {"x": full((), number)}), Empty(), ()),
            "layers": [{"w": full((70, 1000), number)}, None, []],
            "step": number,
            "lr": 0.5 * number,
            "name": "größe",
            "key": jax.random.split(jax.random.key(number), 3),
            "host": np.arange(4) * number,
            "one": np.float16(number),
        }

    return state


def leaves(jax, tree):
    """Flatten a tree, so that trees can be compared: keys as their data."""
    found, structure = jax.tree_util.tree_flatten(tree, is_leaf=lambda v: v is None)
    typed = []
    for leaf in found:
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(
            leaf.dtype, jax.dtypes.prng_key
        ):
            leaf = jax.random.key_data(leaf)
        typed.append((type(leaf), leaf))
    return typed, structure


def assert_equal(jax, found, expected):
    found, expected = leaves(jax, found), leaves(jax, expected)
    assert found[1] == expected[1]
    for (kind, value), (wanted, other) in zip(found[0], expected[0], strict=True):
        assert kind is wanted
        if value is not None:
            assert_same(value, other)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_state_comes_back_into_one_like_it(jax, tbj, prefix, make, mmap):
    report = tbj.save(make(3), prefix)
    assert report.zero_copy_bytes == 280_000
    assert_equal(jax, tbj.load(prefix, make(0), mmap=mmap), make(3))


def test_shapes_will_do_to_say_what_is_wanted(jax, tbj, prefix):
    def state():
        return {"w": jax.numpy.ones((3, 4)), "key": jax.random.key(7, impl="rbg")}

    tbj.save(state(), prefix)
    assert_equal(jax, tbj.load(prefix, jax.eval_shape(state)), state())


def test_plain_containers_come_back_as_they_were(jax, tbj, prefix):
    tree = {
        "b": [1, (2.5, True, None), 1j], "a": {3: np.arange(2), -1: [], 10: {}, 2: ()},
        "o": OrderedDict(z=jax.numpy.ones(2), a=b"\xff\0"), "d": defaultdict(list, k="k"),
        "key": jax.random.key(1, impl="unsafe_rbg"), "scalar": np.int8(3),
        "text": np.array(["a", "b"]),
    }  # fmt: skip
    tbj.save(tree, prefix)
    found = tbj.load(prefix)
    assert jax.random.key_impl(found["key"]) == jax.random.key_impl(tree["key"])
    expected = {**tree, "o": dict(tree["o"]), "d": dict(tree["d"])}
    expected["text"] = np.array([b"a", b"b"], object)
    assert_equal(jax, found, expected)
    for leaf in (5, "x", None, np.arange(3)):
        tbj.save(leaf, prefix)
        assert_equal(jax, tbj.load(prefix), leaf)


def test_classes_come_as_dicts_where_nobody_has_them(jax, tbj, prefix, make):
    tbj.save(make(2), prefix)
    found = tbj.load(prefix)
    assert found["params"].keys() == {"w", "b"}
    assert_same(found["params"]["w"], make(2)["params"].w)
    assert type(found["opt"][0]).__name__ == "Moments" and found["opt"][0]._fields == (
        "mu", "nu",
    )  # fmt: skip
    assert found["opt"][1:] == ((), ()) and type(found["opt"][1]).__name__ == "Empty"


def test_names_are_where_the_leaves_are_and_tensorflow_reads_them(tf, tbj, prefix, make):
    tbj.save(make(3), prefix)
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    assert shapes.keys() == {
        STRUCTURE, "params/w", "params/b", "opt/0/mu", "opt/0/nu/x", "layers/0/w", "step",
        "lr", "name", "key", "host", "one",
    }  # fmt: skip
    assert reader.get_tensor("step") == 3 and reader.get_tensor("name") == "größe".encode()
    assert reader.get_tensor("params/w").tolist() == [[3] * 3] * 2
    structure = json.loads(reader.get_tensor(STRUCTURE))
    assert (structure["format"], structure["version"]) == ("tensorbundle.jax", 1)
    assert ["step", {"leaf": "step", "kind": "int"}] in structure["tree"]["dict"]


def test_a_checkpoint_of_others_is_loaded_by_names(jax, tbj, prefix):
    tb.save(prefix, {"model/0/w": np.ones((2, 3), np.float32), "other": 1})
    like = {"model": [{"w": jax.ShapeDtypeStruct((2, 3), np.float32)}]}
    found = tbj.load(prefix, like)
    assert_equal(jax, found, {"model": [{"w": jax.numpy.ones((2, 3))}]})
    with pytest.raises(tb.UnsupportedError, match="like="):
        tbj.load(prefix)


@pytest.mark.parametrize("dtype", EXTENSION_DTYPES, ids=str)
def test_narrow_dtypes_come_back(jax, tbj, prefix, dtype):
    array = jax.numpy.asarray(sample(dtype))
    tbj.save({"a": array}, prefix)
    assert_equal(jax, tbj.load(prefix), {"a": array})


def test_wide_dtypes_are_refused_unless_jax_has_them(jax, tbj, prefix):
    tb.save(prefix, {"w": np.arange(3.0)})
    with pytest.raises(ValueError, match=r"w: dtype float64 .* float32 here"):
        tbj.load(prefix, {"w": jax.ShapeDtypeStruct((3,), np.float32)})
    code = """
        import jax, sys
        jax.config.update("jax_enable_x64", True)
        import tensorbundle.jax as tbj
        tbj.save({"w": jax.numpy.arange(3.0)}, sys.argv[1])
        assert tbj.load(sys.argv[1])["w"].dtype == "float64"
    """
    run_python(code, prefix)
    with pytest.raises(ValueError, match="jax_enable_x64"):
        tbj.load(prefix)


def test_a_number_of_pythons_becomes_an_array_of_the_width_that_is_wanted(jax, tbj, prefix):
    def state():
        return {"step": 0, "lr": 0.5, "on": False, "z": 1j}

    tbj.save({"step": 3, "lr": 0.1, "on": True, "z": 2j}, prefix)
    found = tbj.load(prefix, jax.eval_shape(state))
    numbers = [jax.numpy.int32(3), jax.numpy.float32(0.1), jax.numpy.bool_(1), 2j]
    expected = dict(
        zip(("step", "lr", "on", "z"), map(jax.numpy.asarray, numbers), strict=True)
    )
    assert_equal(jax, found, expected)
    given = [np.zeros((), np.int16), np.float64(0), jax.ShapeDtypeStruct((), np.complex64)]
    for like in given + [jax.numpy.zeros((), kind) for kind in ("bfloat16", "int4")]:
        value = tbj.load(prefix, {"step": like})["step"]
        assert value.dtype == like.dtype and value == 3
    assert type(tbj.load(prefix)["step"]) is int


def test_a_number_that_does_not_fit_is_told(jax, tbj, prefix):
    values = {
        "big": 3_000_000_000,
        "odd": 2**24 + 1,
        "far": 1e300,
        "part": 0.5,
        "n": 7,
        "s": "x",
    }
    tbj.save({**values, "inf": np.inf, "array": np.arange(3), "wide": np.int64(1)}, prefix)
    kinds = {"big": "int32", "odd": "float32", "far": "float32", "part": "int32", "n": "bool",
             "s": "int32", "inf": "float16", "wide": "int32"}  # fmt: skip
    like = {name: jax.ShapeDtypeStruct((), kind) for name, kind in kinds.items()}
    with pytest.raises(ValueError, match="does not fit") as failure:
        tbj.load(prefix, {**like, "array": np.zeros(3, np.int32)})
    for told in (
        "big: 3000000000 in the checkpoint, which int32 cannot hold",
        "odd: 16777217 in the checkpoint, which float32 cannot hold",
        "far: 1e+300 in the checkpoint, which float32 cannot hold",
        "part: a Python float in the checkpoint, dtype int32 here",
        "n: a Python int in the checkpoint, dtype bool here",
        "s: dtype object", "wide: dtype int64", "array: dtype int64",
    ):  # fmt: skip
        assert told in str(failure.value)
    assert "inf:" not in str(failure.value)
    with pytest.raises(ValueError, match=r"n: shape \(\) in the checkpoint, \(2,\) here"):
        tbj.load(prefix, {"n": np.zeros(2, np.int32)})


# ---- Memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ["float32", "bool", "bfloat16", "float8_e5m2"])
def test_a_loaded_array_is_the_memory_that_was_read_or_mapped(
    jax, tbj, prefix, monkeypatch, mmap, name
):
    from tensorbundle.loading import Loader

    array = jax.numpy.asarray(sample(getattr(ml_dtypes, name, name), (300, 5)))
    tbj.save({"a": array, "b": jax.numpy.ones(3)}, prefix)
    read, loaded = Loader.read, []

    def keep(*arguments):
        loaded.append(read(*arguments))
        return loaded[0]

    monkeypatch.setattr(Loader, "read", keep)
    found = tbj.load(prefix, mmap=mmap)
    for name, array in found.items():
        assert array.unsafe_buffer_pointer() == loaded[0][name].ctypes.data


def test_a_mapped_array_may_be_donated_and_the_file_stays(jax, tbj, prefix):
    tbj.save({"w": jax.numpy.ones(100_000)}, prefix)
    before = data_file(prefix).read_bytes()
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    for mmap in (True, False):
        found = tbj.load(prefix, mmap=mmap)["w"]
        assert float(add(found).sum()) == 200_000
    assert data_file(prefix).read_bytes() == before
    assert tb.verify(prefix).ok


def test_in_the_background_arrays_may_be_donated_at_once(jax, tbj, prefix):
    w = jax.numpy.ones(100_000)
    handle = tbj.save({"w": w}, prefix, blocking=False)
    jax.block_until_ready(jax.jit(lambda x: x * 2, donate_argnums=0)(w))
    handle.result()
    assert float(tbj.load(prefix)["w"].sum()) == 100_000


# ---- What cannot be -------------------------------------------------------------------------


def test_what_cannot_be_saved_is_told_by_its_place(jax, tbj, prefix):
    deleted = jax.numpy.ones(2)
    deleted.delete()
    around = []
    around.append(around)
    for tree, kind, told in [
        ({"a": [1, object()]}, TypeError, r"tree\['a'\]\[1\]: a builtins.object"),
        ({"a": {1.5: 2}}, TypeError, r"tree\['a'\]: a key that is a float"),
        (
            {"a": [{1: 2, "b": 3}]},
            TypeError,
            r"tree\['a'\]\[0\]: .* all strings or all integers",
        ),
        ({"f": len}, TypeError, r"tree\['f'\]"),
        ({"a": deleted}, TypeError, "'a': the array was deleted"),
        ({"n": 2**64}, TypeError, "'n': an integer of more than 64 bits"),
        ({"a/b": 1, "a": {"b": 2}}, ValueError, r"tree\['a/b'\] and tree\['a'\]\['b'\] would"),
        (around, ValueError, "nested more than 100"),
    ]:
        with pytest.raises(kind, match=told):
            tbj.save(tree, prefix)
    assert listing(prefix) == []


def test_what_does_not_fit_is_told_all_at_once(jax, tbj, prefix):
    tbj.save({"a": jax.numpy.ones((2, 3)), "b": jax.numpy.ones(2), "n": 1.5, "s": "x"}, prefix)
    shape = jax.ShapeDtypeStruct
    with pytest.raises(ValueError, match="does not fit") as failure:
        tbj.load(prefix, {
            "a": shape((3, 2), np.float32), "b": shape((2,), np.int32), "n": 3,
            "s": shape((), np.float32),
        })  # fmt: skip
    for told in ("a: shape (2, 3) in the checkpoint, (3, 2) here", "b: dtype float32", "n:",
                 "s: dtype object"):  # fmt: skip
        assert told in str(failure.value)
    with pytest.raises(tb.MissingTensorError, match="2 leaves are not in the checkpoint"):
        tbj.load(prefix, {"a": shape((2, 3), np.float32), "x": 1, "y": [2]})
    with pytest.raises(TypeError, match=r"tree\['a'\]: cannot load a builtins.object"):
        tbj.load(prefix, {"a": object()})


BAD = {
    "no JSON": b"{",
    "no text": b"\xff",
    "nested": b"[" * 100_000,
    "not ours": json.dumps({"format": "x", "version": 1, "tree": None}).encode(),
    "no tree": json.dumps({"format": "tensorbundle.jax", "version": 1}).encode(),
    **{
        name: json.dumps({"format": "tensorbundle.jax", "version": 1, "tree": tree}).encode()
        for name, tree in {
            "text": "x", "kind": {"leaf": "a", "kind": "os"}, "no kind": {"leaf": "a"},
            "missing": {"leaf": "b", "kind": "jax"}, "name": {"leaf": 1, "kind": "jax"},
            "int": {"leaf": "a", "kind": "int"}, "key": {"leaf": "a", "kind": "key"},
            "impl": {"leaf": "k", "kind": "key", "impl": "os"},
            "list": {"list": {}}, "tuple": {"tuple": 1}, "pairs": {"dict": [[1]]},
            "keys": {"dict": [[[], None]]}, "nothing": {},
            "fields": {"namedtuple": "A", "fields": ["a"], "items": []},
            "code": {"namedtuple": "A", "fields": ["a=1"], "items": [None]},
            "keyword": {"namedtuple": "A", "fields": ["class"], "items": [None]},
            "twice": {"namedtuple": "A", "fields": ["a", "a"], "items": [None, None]},
            "node": {"node": "os.system", "children": [["a"]]},
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_structure_that_describes_nothing_is_named(tbj, prefix, what):
    tb.save(prefix, {STRUCTURE: BAD[what], "a": np.ones(2), "k": np.ones(2, np.uint32)})
    with pytest.raises(tb.CorruptionError, match=STRUCTURE):
        tbj.load(prefix)


def test_a_deep_structure_is_refused(tbj, prefix):
    tree = None
    for _ in range(102):
        tree = {"list": [tree]}
    text = json.dumps({"format": "tensorbundle.jax", "version": 1, "tree": tree})
    tb.save(prefix, {STRUCTURE: text})
    with pytest.raises(tb.CorruptionError, match="nested more than 100"):
        tbj.load(prefix)


def test_a_later_version_is_named(tbj, prefix):
    tb.save(prefix, {STRUCTURE: json.dumps({"format": "tensorbundle.jax", "version": 2})})
    with pytest.raises(tb.UnsupportedError, match="version 2"):
        tbj.load(prefix)


def test_damage_is_noticed(jax, tbj, prefix):
    tbj.save({"a": jax.numpy.ones(1000)}, prefix)
    entry = tb.open(prefix).entry("a")
    flip_byte(data_file(prefix), entry.offset)
    for options in ({}, {"mmap": True, "verify": True}):
        with pytest.raises(tb.CorruptionError, match='tensor "a"'):
            tbj.load(prefix, **options)
    assert tbj.load(prefix, verify=False)["a"].shape == (1000,)
