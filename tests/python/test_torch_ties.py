"""Tensors that share memory are saved once, and share it again after a load."""

from __future__ import annotations

import pytest

import tensorbundle as tb

from .torch_objects import assert_identical

MMAP = pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])


@pytest.fixture
def tbt(torch):
    import tensorbundle.torch

    return tensorbundle.torch


def complex_views(t):
    base = t.randn(6, dtype=t.complex64)
    return {"base": base, "conj": base.conj(), "imag": base.conj().imag, "real": base.real}


# What is saved; the first changes, and the others must see it as they did before the save.
SHARED = {
    "tied": lambda t: dict.fromkeys("ab", t.arange(12.0)),
    "detached": lambda t: {"a": (x := t.arange(12.0)), "b": x.detach()},
    "a part": lambda t: {"a": (x := t.arange(12.0)), "b": x[3:5], "c": x[4:]},
    "the part first": lambda t: {"b": (x := t.arange(12.0))[3:5], "a": x},
    "transposed": lambda t: {"a": (x := t.arange(12.0).view(3, 4)), "b": x.T},
    "both transposed": lambda t: {"a": (x := t.arange(12.0).view(3, 4)).T, "b": x.T[1:]},
    "strided": lambda t: {"a": (x := t.arange(12.0))[::2], "b": x[::3]},
    "overlapping": lambda t: {"a": (x := t.arange(12.0))[:8], "b": x[4:]},
    "expanded": lambda t: {"a": (x := t.arange(12.0)), "b": x[:1].expand(5)},
    "no base": lambda t: {"a": (x := t.arange(99.0))[50:60:2], "b": x[51:61:3], "c": x[56:58]},
    "other dtype": lambda t: {"a": (x := t.arange(12.0)), "b": x.view(t.int16)[3:9]},
    "odd bytes": lambda t: {
        "a": (x := t.arange(64, dtype=t.uint8))[3:20],
        "b": x[8:24].view(t.float64),
    },
    "complex": complex_views,
    "bfloat16": lambda t: {"a": (x := t.arange(12).bfloat16()), "b": x[3:]},
    "e8m0fnu": lambda t: {
        "a": (x := t.arange(12, dtype=t.uint8).view(t.float8_e8m0fnu)),
        "b": x[2:7],
    },
    "nested": lambda t: {"m": {"w": (x := t.arange(12.0))}, "l": [x, (x[1:],)]},
    "parameters": lambda t: {"a": (x := t.nn.Parameter(t.arange(12.0))), "b": x},
}


def memory_of(obj):
    """Give every tensor's place in memory, from the start of the first one's storage."""
    tensors = [*tensors_in(obj)]
    start = min(t.data_ptr() for t in tensors)
    return [t.data_ptr() - start for t in tensors]


def tensors_in(obj):
    if hasattr(obj, "data_ptr"):
        yield obj
    elif isinstance(obj, (dict, list, tuple)):
        for item in obj.values() if isinstance(obj, dict) else obj:
            yield from tensors_in(item)


@MMAP
@pytest.mark.parametrize("what", SHARED)
def test_shared_memory_is_shared_again(tbt, torch, prefix, what, mmap):
    obj = SHARED[what](torch)
    report = tbt.save(obj, prefix)
    found = tbt.load(prefix, mmap=mmap)
    assert_identical(found, obj)
    assert memory_of(found) == memory_of(obj)
    first = next(iter(tensors_in(found))).detach()
    same = next(iter(tensors_in(obj))).detach()
    for tensor in (first, same):
        (tensor.view(torch.uint8) if tensor.itemsize == 1 else tensor).zero_()
    assert_identical(found, obj)  # all of them saw the change
    storages = {t.untyped_storage().data_ptr(): t for t in tensors_in(obj)}
    most = sum(t.untyped_storage().nbytes() for t in storages.values())
    assert report.tensor_bytes - structure_size(prefix) <= most


def structure_size(prefix):
    with tb.open(prefix) as bundle:
        return bundle.entry("_TENSORBUNDLE_TORCH").size


def test_one_tensor_in_two_places_is_one_again(tbt, torch, prefix):
    tensor, parameter = torch.ones(3), torch.nn.Parameter(torch.ones(2))
    tbt.save({"a": tensor, "l": [tensor, parameter], "p": parameter}, prefix)
    found = tbt.load(prefix)
    assert found["a"] is found["l"][0]
    assert found["p"] is found["l"][1]
    assert found["a"] is not found["p"]


def test_views_that_do_not_overlap_are_entries_of_their_own(tbt, torch, prefix):
    tbt.save(dict(zip("qkv", torch.arange(12.0).chunk(3), strict=True)), prefix)
    assert {n: tb.load(prefix)[n].tolist() for n in "qkv"} == {
        "q": [0, 1, 2, 3],
        "k": [4, 5, 6, 7],
        "v": [8, 9, 10, 11],
    }


def test_a_tied_model_is_tied_after_a_load(tbt, torch, prefix):
    model = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 10, bias=False))
    model[1].weight = model[0].weight
    assert tbt.save(model.state_dict(), prefix).tensor_bytes < 160 + 400
    state = tbt.load(prefix, mmap=True)
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()
    model.load_state_dict(state)


@MMAP
def test_loaded_tensors_may_be_written_to_and_the_file_stays(tbt, torch, prefix, mmap):
    tbt.save({"w": torch.ones(5000), "n": torch.arange(6).numpy()}, prefix)
    found = tbt.load(prefix, mmap=mmap)
    found["w"].mul_(3)
    found["n"][:] = 7
    optimizer = torch.optim.SGD([torch.nn.Parameter(found["w"])], 0.1)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(5000)
    optimizer.step()
    again = tbt.load(prefix, mmap=mmap)
    assert again["w"].eq(1).all()
    assert again["n"].tolist() == list(range(6))
    assert tb.verify(prefix).ok


def test_mapped_tensors_are_in_the_file(tbt, torch, prefix):
    tbt.save({"w": torch.ones(500_000)}, prefix)
    tensor = tbt.load(prefix, mmap=True)["w"]
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps if prefix in line]
    spans = [[int(end, 16) for end in line[0].split("-")] for line in lines]
    assert any(a <= tensor.data_ptr() < b for a, b in spans)
    assert {line[1] for line in lines if "data-" in line[-1]} == {"rw-p"}


def test_a_mapped_checkpoint_may_be_replaced(tbt, torch, prefix):
    tbt.save({"w": torch.ones(5000)}, prefix)
    found = tbt.load(prefix, mmap=True)
    tbt.save({"w": torch.zeros(5000)}, prefix)
    assert found["w"].eq(1).all()
    assert tbt.load(prefix, mmap=True)["w"].eq(0).all()
