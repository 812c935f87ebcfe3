"""PyTorch's tensors are saved from their own memory and mapped back without a copy."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb

from .helpers import assert_same, names_in, sample

PLAIN = [
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
FLOAT8 = ["float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz"]


def to_torch(torch, array):
    """View a mapped array as a tensor; the way the documentation shows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
        if array.dtype.name in FLOAT8:
            return torch.from_numpy(array.view(np.uint8)).view(
                getattr(torch, array.dtype.name)
            )
        return torch.from_numpy(array)


@pytest.mark.parametrize("name", PLAIN)
def test_tensors_come_back_as_arrays_of_the_same_dtype(torch, prefix, name):
    array = sample(name, (5, 7))
    tensor = torch.from_numpy(array)
    tb.save(prefix, {"t": tensor, "transposed": tensor.T, "scalar": tensor[1, 1]})
    found = tb.load(prefix)
    assert_same(found["t"], array)
    assert_same(found["transposed"], array.T)
    assert_same(found["scalar"], array[1, 1])


@pytest.mark.parametrize("name", ["bfloat16", *FLOAT8])
def test_dtypes_that_numpy_lacks_come_back_by_ml_dtypes(torch, prefix, name):
    tensor = torch.randn(5, 8).to(getattr(torch, name))
    tensors = {"t": tensor, "view": tensor[1:, ::3], "T": tensor.T, "scalar": tensor[0, 0]}
    tensors["empty"] = tensor[:0]
    tb.save(prefix, tensors)
    for found in (tb.load(prefix), tb.load(prefix, mmap=True)):
        for key, value in tensors.items():
            assert found[key].dtype == np.dtype(getattr(ml_dtypes, name))
            assert found[key].shape == tuple(value.shape)
            assert found[key].tobytes() == bits(torch, value)
            back = to_torch(torch, found[key])
            assert back.dtype == value.dtype
            assert bits(torch, back) == bits(torch, value)


def bits(torch, tensor):
    """Give the bytes of a tensor in C order."""
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


VIEWS = {
    "transposed": lambda t: t.T,
    "permuted": lambda t: t.reshape(10, 10, -1).permute(2, 0, 1),
    "expanded": lambda t: t[:1].expand(50, -1),
    "every other": lambda t: t[::2, 1::3],
    "diagonal": lambda t: t.diagonal(),
    "as strided": lambda t: t.as_strided((30, 20), (1, 7), 5),
    "unfolded": lambda t: t.unfold(0, 5, 2),
    "channels last": lambda t: t.reshape(2, 5, 200, 10).transpose(1, 3),
    "from the middle": lambda t: t[50:],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_views_are_saved_as_their_values(torch, prefix, view, name):
    tensor = VIEWS[view](torch.randn(100, 200).to(getattr(torch, name)))
    tb.save(prefix, {"t": tensor})
    found = tb.load(prefix)["t"]
    assert found.shape == tuple(tensor.shape)
    assert found.tobytes() == bits(torch, tensor)


def test_conjugated_and_negated_views_are_saved_as_their_values(torch, prefix):
    tensor = torch.randn(4, 5, dtype=torch.complex64)
    tensors = {
        "conj": tensor.conj(),
        "adjoint": tensor.mH,
        "neg": tensor.conj().imag,
        "real": tensor.real,
    }
    assert tensors["neg"].is_neg()
    tb.save(prefix, tensors)
    for name, found in tb.load(prefix).items():
        assert_same(found, tensors[name].resolve_conj().resolve_neg().numpy())


def test_parameters_are_saved_without_their_gradient(torch, prefix):
    layer = torch.nn.Linear(300, 400)
    layer(torch.ones(300)).sum().backward()
    output = layer(torch.ones(300))  # no leaf: it has a grad_fn
    report = tb.save(prefix, {**dict(layer.named_parameters()), "output": output})
    found = tb.load(prefix)
    assert sorted(found) == ["bias", "output", "weight"]
    assert_same(found["weight"], layer.weight.detach().numpy())
    assert_same(found["output"], output.detach().numpy())
    assert report.zero_copy_bytes == 300 * 400 * 4


def test_tied_weights_are_saved_under_each_name(torch, prefix):
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
    model[1].weight = model[0].weight
    tb.save(prefix, model.state_dict())
    found = tb.load(prefix, mmap=True)
    assert_same(found["0.weight"], found["1.weight"])
    assert len(found) == 4


def test_large_tensors_are_written_from_torchs_memory(torch, prefix):
    tensors = {
        "bf16": torch.ones(1000, 1000, dtype=torch.bfloat16),
        "f32": torch.ones(500, 500),
    }
    report = tb.save(prefix, tensors)
    assert (report.zero_copy_bytes, report.staged_bytes) == (3_000_000, 0)
    report = tb.save(prefix, {"t": torch.ones(1000, 1000).T})
    assert (report.zero_copy_bytes, report.staged_bytes) == (0, 4_000_000)


def test_pinned_tensors_are_written_without_a_copy(torch, prefix):
    if not torch.cuda.is_available():
        pytest.skip("pinned memory takes a CUDA device")
    tensor = torch.ones(1000, 1000).pin_memory()
    assert tb.save(prefix, {"t": tensor}).zero_copy_bytes == 4_000_000


def test_mapped_tensors_share_the_files_pages(torch, prefix):
    tb.save(prefix, {"t": torch.ones(10, 10, dtype=torch.bfloat16)})
    array = tb.load(prefix, mmap=True)["t"]
    assert to_torch(torch, array).data_ptr() == array.ctypes.data


def test_tensors_can_be_loaded_into(torch, prefix):
    source = {
        "f32": torch.randn(30, 40),
        "bf16": torch.randn(5).bfloat16(),
        "fp8": torch.randn(5, 2).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(3),
    }
    tb.save(prefix, source)
    into = {name: torch.zeros_like(value) for name, value in source.items()}
    into["f32"] = torch.nn.Parameter(into["f32"])
    loaded = tb.load(prefix, into=into)
    for name in source:
        assert loaded[name] is into[name]
        assert bits(torch, into[name].detach()) == bits(torch, source[name])


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.zeros(4, 3, dtype=t.complex64),
        lambda t: t.zeros(3, 4),
        lambda t: t.zeros(3, 4, dtype=t.complex64).T,
        lambda t: t.zeros(3, 4, dtype=t.complex64).conj(),
        lambda t: t.zeros(3, 4, dtype=t.complex64, device="meta"),
        lambda t: t.zeros(3, 4).to_sparse(),
        lambda t: t.zeros(1, dtype=t.complex64).expand(3, 4),
    ],
)
def test_a_wrong_target_is_named_and_nothing_is_written(torch, prefix, make):
    tb.save(prefix, {"a": torch.ones(2), "c": torch.ones(3, 4, dtype=torch.complex64)})
    good = torch.zeros(2)
    with pytest.raises(ValueError, match=r"into\['c'\]"):
        tb.load(prefix, into={"a": good, "c": make(torch)})
    assert good.tolist() == [0, 0]


# ---- what cannot be saved -------------------------------------------------------------------


def fake(torch):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.ones(3)


def quantized(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


BAD_TENSORS = {
    "meta": lambda t: t.empty(3, device="meta"),
    "sparse": lambda t: t.eye(3).to_sparse(),
    "sparse csr": lambda t: t.eye(3).to_sparse_csr(),
    "mkldnn": lambda t: t.ones(3).to_mkldnn(),
    "quantized": quantized,
    "fake": fake,
    "masked": lambda t: t.masked.masked_tensor(t.ones(2), t.tensor([True, False])),
    "lazy": lambda t: t.nn.LazyLinear(3).weight,
    "jagged": lambda t: t.nested.nested_tensor([t.ones(2), t.ones(3)], layout=t.jagged),
    "nested": lambda t: t.nested.nested_tensor([t.ones(2), t.ones(3)]),
    "complex of halves": lambda t: t.zeros(3, dtype=t.complex32),
    "scales": lambda t: t.zeros(3, dtype=t.uint8).view(t.float8_e8m0fnu),
    "packed float4": lambda t: t.zeros(3, dtype=t.uint8).view(t.float4_e2m1fn_x2),
    "a module": lambda t: t.nn.Linear(2, 2),
    "a dtype": lambda t: t.float32,
    "a storage": lambda t: t.ones(3).untyped_storage(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", BAD_TENSORS)
def test_what_has_no_plain_bytes_is_told_by_name(torch, tmp_path, what):
    tensors = {"fine": torch.ones(2), "layer.bad": BAD_TENSORS[what](torch)}
    with pytest.raises((TypeError, ValueError), match=r"layer\.bad"):
        tb.save(tmp_path / "new" / "ckpt", tensors)
    assert names_in(tmp_path) == []


def test_a_tensor_inside_of_vmap_is_told_by_name(torch, tmp_path):
    def save(x):
        tb.save(tmp_path / "new" / "ckpt", {"layer.bad": x})
        return x

    with pytest.raises((TypeError, ValueError), match=r"layer\.bad"):
        torch.vmap(save)(torch.ones(3, 2))
    assert names_in(tmp_path) == []


def test_a_subclass_of_tensor_is_saved_as_a_tensor(torch, prefix):
    class Tagged(torch.Tensor):
        pass

    tb.save(prefix, {"t": torch.ones(3).as_subclass(Tagged)})
    assert_same(tb.load(prefix)["t"], np.ones(3, np.float32))
