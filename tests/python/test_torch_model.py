"""`save_model` and `load_model`: all that fits, or nothing."""

from __future__ import annotations

import pytest

import tensorbundle as tb

from .helpers import data_file, flip_byte
from .torch_objects import bits


@pytest.fixture
def tbt(torch):
    import tensorbundle.torch

    return tensorbundle.torch


@pytest.fixture
def make(torch):
    def model(width=4, tied=True):
        embedding = torch.nn.Embedding(10, width)
        made = torch.nn.Sequential(
            embedding, torch.nn.BatchNorm1d(width), torch.nn.Linear(width, 10, bias=False)
        )
        if tied:
            made[2].weight = embedding.weight
        return made

    return model


def state_bits(model):
    return {name: bits(value) for name, value in model.state_dict().items()}


def test_a_model_comes_back(tbt, torch, make, prefix):
    model, other = make(), make()
    tbt.save_model(model, prefix)
    pointers = [p.data_ptr() for p in other.parameters()]
    assert tbt.load_model(other, prefix) == ([], [])
    assert state_bits(other) == state_bits(model)
    assert [p.data_ptr() for p in other.parameters()] == pointers
    assert other[0].weight is other[2].weight


def test_every_reader_has_the_names_of_the_state_dict(tbt, tf, make, prefix):
    tbt.save_model(make(tied=False), prefix)
    names = {name for name, _ in tf.train.list_variables(prefix)}
    assert {"0.weight", "1.running_mean", "2.weight"} < names


def test_tied_weights_may_be_there_once(tbt, make, prefix):
    model = make()
    state = model.state_dict()
    del state["2.weight"]
    tb.save(prefix, state)
    other = make()
    assert tbt.load_model(other, prefix) == ([], [])
    assert state_bits(other) == state_bits(model)


def test_all_that_does_not_fit_is_told_together_and_nothing_is_loaded(tbt, make, prefix):
    state = make(tied=False).state_dict()
    del state["1.bias"]
    state["extra"] = state["1.weight"]
    state["0.weight"] = state["0.weight"][:, :3]
    state["1.num_batches_tracked"] = state["1.weight"][0]
    tbt.save(state, prefix)
    model = make(tied=False)
    before = state_bits(model)
    with pytest.raises(tb.RestoreMismatchError) as caught:
        tbt.load_model(model, prefix)
    told = str(caught.value)
    assert "missing: 1.bias" in told
    assert "unexpected: extra" in told
    assert "mismatched: 0.weight: shape (10, 3) in the checkpoint, (10, 4) in the mod" in told
    assert "1.num_batches_tracked: torch.float32 in the checkpoint, torch.int64" in told
    assert state_bits(model) == before
    with pytest.raises(tb.RestoreMismatchError, match=r"0\.weight: shape") as caught:
        tbt.load_model(model, prefix, strict=False)
    assert "missing" not in str(caught.value)
    assert state_bits(model) == before


def test_without_strict_what_fits_is_loaded_and_the_rest_is_told(tbt, make, prefix):
    saved = make(tied=False)
    state = saved.state_dict()
    del state["1.bias"]
    state["extra"] = state["1.weight"]
    tbt.save(state, prefix)
    model = make(tied=False)
    bias = bits(model[1].bias)
    assert tbt.load_model(model, prefix, strict=False) == (["1.bias"], ["extra"])
    assert bits(model[0].weight) == bits(saved[0].weight)
    assert bits(model[1].bias) == bias


@pytest.mark.parametrize("put_before", ["module.", "_orig_mod.", "model/"])
def test_a_prefix_that_parts_all_names_is_told(tbt, torch, make, prefix, put_before):
    state = {f"{put_before}{name}": value for name, value in make().state_dict().items()}
    tbt.save(state, prefix)
    with pytest.raises(tb.RestoreMismatchError) as caught:
        tbt.load_model(make(), prefix)
    told = str(caught.value)
    assert f"has {put_before!r} before each of these names: take model.load_state_dict" in told
    code = told.rpartition("take ")[2]
    eval(code, {"model": make(), "tensorbundle": tb, "path": prefix})
    tb.save(prefix, state)
    with pytest.raises(tb.RestoreMismatchError, match="tensorbundle rename PREFIX") as caught:
        tbt.load_model(make(), prefix)
    tb.rename(prefix, lambda name: name.removeprefix(put_before))
    assert tbt.load_model(make(), prefix) == ([], [])


def test_a_state_inside_of_a_dict_and_a_wrapper_around_the_module_are_told(
    tbt, torch, make, prefix
):
    tbt.save({"model": make().state_dict(), "epoch": 3}, prefix)
    with pytest.raises(
        tb.RestoreMismatchError, match=r"these names in 'model': take .*load_s"
    ):
        tbt.load_model(make(), prefix)
    tbt.save_model(make(), prefix)
    with pytest.raises(tb.RestoreMismatchError, match=r"load into its part 'module'"):
        tbt.load_model(torch.nn.ModuleDict({"module": make()}), prefix)
    tb.save(prefix, {"module.1.bias": 1, "other": 2})
    with pytest.raises(tb.RestoreMismatchError) as caught:
        tbt.load_model(make(), prefix)
    assert "before each" not in str(caught.value)


def test_a_damaged_tensor_leaves_the_model_as_it_was(tbt, make, prefix):
    tbt.save_model(make(tied=False), prefix)
    flip_byte(data_file(prefix), tb.open(prefix).entry("2.weight").offset)
    model = make(tied=False)
    before = state_bits(model)
    with pytest.raises(tb.CorruptionError):
        tbt.load_model(model, prefix)
    assert state_bits(model) == before


def test_floats_are_rounded_to_the_modules_dtype(tbt, torch, prefix):
    model = torch.nn.Linear(3, 3)
    tbt.save_model(model, prefix)
    half = torch.nn.Linear(3, 3).bfloat16()
    tbt.load_model(half, prefix)
    assert half.weight.dtype == torch.bfloat16
    assert half.weight.equal(model.weight.bfloat16())


@pytest.mark.parametrize("mmap", [False, True])
def test_a_module_on_the_meta_device_takes_the_tensors_themselves(
    tbt, torch, make, prefix, mmap
):
    model = make()
    tbt.save_model(model, prefix)
    with torch.device("meta"):
        empty = make()
    with pytest.raises(tb.RestoreMismatchError, match="assign=True"):
        tbt.load_model(empty, prefix)
    assert tbt.load_model(empty, prefix, assign=True, mmap=mmap) == ([], [])
    assert state_bits(empty) == state_bits(model)
    assert empty[0].weight is empty[2].weight
    empty[0].weight.data.zero_()  # private, also where it is mapped
    assert not tbt.load(prefix)["0.weight"].eq(0).all()


def test_lazy_modules_get_their_shapes(tbt, torch, prefix):
    model = torch.nn.Linear(3, 2)
    tbt.save_model(model, prefix)
    lazy = torch.nn.LazyLinear(2)
    tbt.load_model(lazy, prefix)
    assert lazy.weight.equal(model.weight)


def test_extra_state_is_kept(tbt, torch, prefix):
    class Counting(torch.nn.Linear):
        calls = 0

        def get_extra_state(self):
            return {"calls": self.calls, "names": ["a", (1, 2)]}

        def set_extra_state(self, state):
            self.calls = state["calls"]

    model = Counting(2, 2)
    model.calls = 5
    tbt.save_model(model, prefix)
    other = Counting(2, 2)
    tbt.load_model(other, prefix)
    assert other.calls == 5


def test_what_is_no_state_dict_is_told(tbt, torch, prefix):
    model = torch.nn.Linear(2, 2)
    tbt.save([1, 2], prefix)
    with pytest.raises(tb.RestoreMismatchError, match="holds a list"):
        tbt.load_model(model, prefix)
    tbt.save({"model": model.state_dict(), "epoch": 1}, prefix)
    with pytest.raises(tb.RestoreMismatchError, match="unexpected: epoch"):
        tbt.load_model(model, prefix)
    for call in (tbt.save_model, tbt.load_model):
        with pytest.raises(TypeError, match="not a OrderedDict"):
            call(model.state_dict(), prefix)
