"""`tensorbundle.torch.save` and `load`: any nesting comes back, without pickle."""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from enum import IntEnum
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb

from .helpers import assert_same, names_in, run_python
from .torch_objects import Point, assert_identical, bits, plain_values


@pytest.fixture
def tbt(torch):
    import tensorbundle.torch

    return tensorbundle.torch


MMAP = pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])


# ---- What comes back ------------------------------------------------------------------------


@MMAP
def test_plain_values_come_back_exactly(tbt, torch, prefix, mmap):
    obj = plain_values(torch)
    tbt.save(obj, prefix)
    assert_identical(tbt.load(prefix, mmap=mmap), obj)


@pytest.mark.parametrize("name", [*(str(i) for i in range(3)), "text", "none", "tensor"])
def test_the_object_need_not_be_a_dict(tbt, torch, prefix, name):
    obj = {"text": "x", "none": None, "tensor": torch.ones(2)}.get(name, [1, (2,), {}])
    tbt.save(obj, prefix)
    assert_identical(tbt.load(prefix), obj)


def every_dtype(torch):
    known = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    quantized = {torch.qint8, torch.quint8, torch.qint32, torch.quint4x2, torch.quint2x4}
    return sorted(known - quantized, key=str)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@MMAP
def test_tensors_of_every_dtype_come_back(tbt, torch, prefix, mmap):
    def make(dtype):
        return (torch.arange(48, dtype=torch.uint8) % 2).view(dtype)

    obj = {str(d): [make(d), make(d)[0], make(d)[:0]] for d in every_dtype(torch)}
    assert len(obj) > 20
    assert {torch.float8_e8m0fnu, torch.complex32, torch.uint64} <= set(every_dtype(torch))
    tbt.save(obj, prefix)
    found = tbt.load(prefix, mmap=mmap)
    for name, tensors in obj.items():
        for own, expected in zip(found[name], tensors, strict=True):
            assert (own.dtype, own.shape) == (expected.dtype, expected.shape)
            raw = own.untyped_storage().tolist()[: expected.nbytes]
            assert raw == expected.untyped_storage().tolist()[: expected.nbytes]


LAYOUTS = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.T,
    "channels last": lambda t: t.reshape(2, 5, 4, 5).to(memory_format=_torch().channels_last),
    "one column": lambda t: t[:, :1].clone(),
    "every other": lambda t: t[::2, 1::3],
    "expanded": lambda t: t[:1].expand(50, -1),
    "diagonal": lambda t: t.diagonal(),
    "from the middle": lambda t: t[5:],
    "unfolded": lambda t: t.unfold(0, 5, 2),
    "conjugated": lambda t: t.to(_torch().complex64).conj(),
    "conjugated, transposed": lambda t: t.to(_torch().complex128).mH,
    "negated": lambda t: t.to(_torch().complex64).conj().imag,
    "no dimensions": lambda t: t[0, 0],
    "no elements": lambda t: t[:0],
}


def _torch():
    import torch

    return torch


@MMAP
@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_come_back_as_their_values(tbt, torch, prefix, layout, mmap):
    tensor = LAYOUTS[layout](torch.randn(10, 20))
    tbt.save({"t": tensor}, prefix)
    found = tbt.load(prefix, mmap=mmap)["t"]
    assert_identical(found, tensor)
    found.mul_(2) if layout not in ("expanded", "unfolded") else None
    dense = tensor.numel() * 4 == tensor.untyped_storage().nbytes()
    if dense or layout == "expanded":
        assert found.stride() == tensor.stride()


def test_only_the_bytes_of_a_view_are_saved(tbt, torch, prefix):
    big = torch.randn(1000, 1000)
    report = tbt.save({"row": big[3], "zeros": torch.zeros(1).expand(10**9)}, prefix)
    assert report.tensor_bytes < 10_000
    assert tbt.load(prefix)["zeros"].shape == (10**9,)


@MMAP
def test_parameters_come_back_as_parameters(tbt, torch, prefix, mmap):
    layer = torch.nn.Linear(3, 4)
    layer.bias.requires_grad_(False)
    obj = {"w": layer.weight, "b": layer.bias, "leaf": torch.ones(2, requires_grad=True)}
    obj["output"] = layer(torch.ones(3))  # has a grad_fn, which is left behind
    tbt.save(obj, prefix)
    found = tbt.load(prefix, mmap=mmap)
    assert_identical({**found, "output": 0}, {**obj, "output": 0})
    assert found["output"].requires_grad
    found["w"].sum().backward()
    assert found["w"].grad is not None


def test_the_state_of_a_module_keeps_its_versions(tbt, torch, prefix):
    state = torch.nn.BatchNorm1d(3).state_dict()
    tbt.save(state, prefix)
    found = tbt.load(prefix)
    assert type(found) is OrderedDict
    assert found._metadata == state._metadata


def test_named_tuples_of_one_type_come_back_as_one_type(tbt, prefix):
    tbt.save([Point(1, 2), Point(3, 4)], prefix)
    first, second = tbt.load(prefix)
    assert type(first) is type(second)
    assert (first.x, second.y) == (1, 4)


def test_random_states_come_back(tbt, torch, prefix):
    import random

    torch.rand(3), random.random(), np.random.rand()
    generator = np.random.default_rng(5)
    states = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    tbt.save([*states, generator.bit_generator.state], prefix)
    expected = [torch.rand(3), random.random(), np.random.rand(), generator.random()]
    torch_state, python_state, numpy_state, generator_state = tbt.load(prefix)
    torch.set_rng_state(torch_state)
    random.setstate(python_state)
    np.random.set_state(numpy_state)
    generator.bit_generator.state = generator_state
    found = [torch.rand(3), random.random(), np.random.rand(), generator.random()]
    assert found[0].equal(expected[0])
    assert found[1:] == expected[1:]


# ---- What is in the file --------------------------------------------------------------------


def test_the_file_has_tensors_by_readable_names_and_one_document(tbt, torch, prefix):
    linear = torch.nn.Linear(2, 1)
    obj = {"model": linear.state_dict(), "steps": {3: [torch.ones(2)]}, "lr": 0.5}
    tbt.save(obj, prefix)
    stored = tb.load(prefix)
    document = stored.pop("_TENSORBUNDLE_TORCH")[()]
    assert sorted(stored) == ["model/bias", "model/weight", "steps/3/0"]
    assert json.loads(document) == {
        "format": "tensorbundle.torch",
        "version": 1,
        "value": {
            "model": {
                "$ordered": {
                    "weight": {"$tensor": "model/weight"},
                    "bias": {"$tensor": "model/bias"},
                },
                "metadata": {"$ordered": {"": {"version": 1}}},
            },
            "steps": {"$dict": [[3, [{"$tensor": "steps/3/0"}]]]},
            "lr": 0.5,
        },
    }


def test_names_are_unique_and_fit_for_every_reader(tbt, torch, prefix):
    one = torch.ones(1)
    obj = {"a": {"b": one * 0}, "a/b": one * 1, 1: one * 2, "1": one * 3, "": one * 4}
    obj |= {"\0\0\1": one * 5, "\ud800": one * 6, "_TENSORBUNDLE_TORCH": one * 7}
    tbt.save(obj, prefix)
    assert_identical(tbt.load(prefix), obj)
    assert len(tb.load(prefix)) == len(obj) + 1


def test_other_readers_find_the_same_values(tbt, torch, tf, jax, prefix):
    names = ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz"]
    obj = {name: torch.randn(4, 6).to(getattr(torch, name)) for name in names}
    obj |= {"f32": torch.randn(5).float(), "c64": torch.randn(3, dtype=torch.complex64)}
    obj |= {"i64": torch.arange(5), "bool": torch.tensor([True, False]), "T": obj["f32"]}
    tbt.save({"model": obj}, prefix)
    with_tf, with_numpy = tf.train.load_checkpoint(prefix), tb.load(prefix)
    for name in set(obj) - {"T"}:
        key = f"model/{name}"
        for found in (
            with_tf.get_tensor(key),
            with_numpy[key],
            jax.numpy.asarray(with_numpy[key]) if name != "i64" else with_numpy[key],
            tbt.load(prefix, mmap=True)["model"][name].view(torch.uint8).numpy()
            if name != "bool"
            else obj[name].numpy(),
        ):
            assert np.asarray(found).tobytes() == bits(obj[name])
    assert with_numpy["model/bfloat16"].dtype == ml_dtypes.bfloat16
    assert json.loads(with_tf.get_tensor("_TENSORBUNDLE_TORCH"))["version"] == 1


def test_contiguous_tensors_are_written_from_their_memory(tbt, torch, prefix):
    model = torch.nn.Linear(1000, 1000)
    report = tbt.save({"model": model.state_dict(), "parameter": model.weight}, prefix)
    assert report.zero_copy_bytes == 4_000_000
    assert report.staged_bytes < 100_000


def test_a_background_save_has_the_values_of_the_call(tbt, torch, prefix):
    obj = {"t": torch.ones(1000), "n": [1]}
    handle = tbt.save(obj, prefix, blocking=False)
    obj["t"].zero_()
    obj["n"].append(2)
    handle.result()
    assert_identical(tbt.load(prefix), {"t": torch.ones(1000), "n": [1]})


def test_nothing_of_the_file_is_imported_or_called(tbt, prefix):
    tbt.save({"a": [Point(1, 2)], "s": {1}}, prefix)
    run_python(
        """
        import sys
        import tensorbundle.torch as tbt

        before = set(sys.modules)
        tbt.load(sys.argv[1])
        assert not {m for m in set(sys.modules) - before if "pickle" in m}
        """,
        prefix,
    )


# ---- What cannot be saved -------------------------------------------------------------------


class Color(IntEnum):
    RED = 1


class Tagged(_torch().Tensor):
    pass


def cyclic():
    obj = {"a": [1]}
    obj["a"].append(obj)
    return obj


def deep():
    obj = []
    for _ in range(200):
        obj = [obj]
    return obj


BAD = {
    "an object": (lambda t: SimpleNamespace(a=1), "SimpleNamespace"),
    "a function": (lambda t: print, "builtin_function_or_method"),
    "a module": (lambda t: t.nn.Linear(1, 1), r"save its \.state_dict\(\)"),
    "an optimizer": (lambda t: t.optim.SGD([t.ones(1)], 0.1), r"save its \.state_dict\(\)"),
    "a subclass of dict": (lambda t: defaultdict(list), r"save dict\(it\)"),
    "an enum": (lambda t: Color.RED, r"save int\(it\)"),
    "a return type": (lambda t: t.ones(2, 2).max(0), r"save tuple\(it\)"),
    "a subclass of Tensor": (lambda t: Tagged(t.ones(2)), "as_subclass"),
    "objects": (lambda t: np.array([object()]), "dtype object"),
    "dates": (lambda t: np.datetime64("2020-01-01"), "datetime64"),
    "records": (lambda t: np.zeros(2, "i4,f4"), "dtype"),
    "a masked array": (lambda t: np.ma.array([1]), r"numpy\.asarray\(it\)"),
    "a storage": (lambda t: t.ones(1).untyped_storage(), "a tensor of it"),
    "a key": (lambda t: {t.ones(1): 1}, "key"),
    "an element": (lambda t: {t.ones(1)}, "element of a set"),
    "meta": (lambda t: t.ones(1, device="meta"), "meta device"),
    "sparse": (lambda t: t.eye(3).to_sparse(), "to_dense"),
    "sparse csr": (lambda t: t.eye(3).to_sparse_csr(), "to_dense"),
    "quantized": (
        lambda t: t.quantize_per_tensor(t.ones(4), 0.1, 0, t.qint8),
        "int_repr",
    ),
    "nested": (lambda t: t.nested.nested_tensor([t.ones(2), t.ones(3)]), "unbind"),
    "lazy": (lambda t: t.nn.LazyLinear(2).weight, "no values yet"),
    "cyclic": (lambda t: cyclic(), "contains it"),
    "deep": (lambda t: deep(), "100 containers deep"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_saved_is_told_with_its_place(tbt, torch, tmp_path, what):
    make, message = BAD[what]
    with pytest.raises((TypeError, ValueError), match=rf"obj\['a'\]\[1\].*{message}"):
        tbt.save({"fine": torch.ones(2), "a": [0, make(torch)]}, tmp_path / "new" / "ckpt")
    assert names_in(tmp_path) == []


def test_places_in_named_tuples_are_told_by_field(tbt, prefix):
    with pytest.raises(TypeError, match=r"obj\['a'\]\[3\]\.y:"):
        tbt.save({"a": [0, 0, 0, Point(1, object())]}, prefix)


def test_a_distributed_tensor_is_told_with_its_place(torch, tmp_path):
    pytest.importorskip("torch.distributed.tensor", reason="torch has no distributed tensors")
    run_python(
        """
        import os, sys
        import torch, torch.distributed as dist
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Replicate, distribute_tensor
        import tensorbundle.torch as tbt

        store = dist.FileStore(sys.argv[1] + ".store", 1)
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        mesh = init_device_mesh("cpu", (1,))
        tensor = distribute_tensor(torch.ones(4), mesh, [Replicate()])
        dist.destroy_process_group()
        try:
            tbt.save({"w": tensor}, sys.argv[1])
        except TypeError as error:
            assert "obj['w']" in str(error) and "full_tensor" in str(error), error
        else:
            raise AssertionError
        """,
        tmp_path / "ckpt",
    )


def test_a_failed_save_leaves_what_was_there(tbt, torch, prefix):
    tbt.save({"t": torch.ones(2)}, prefix)
    with pytest.raises(TypeError):
        tbt.save({"t": object()}, prefix)
    assert_same(tb.load(prefix)["t"], np.ones(2, np.float32))
