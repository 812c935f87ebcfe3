"""Training goes on from a checkpoint as if it had never stopped."""

from __future__ import annotations

import random

import numpy as np
import pytest

from .torch_objects import assert_identical


class Training:
    """A small transformer with dropout, tied weights, AdamW, a schedule and shuffled data."""

    def __init__(self, torch, dtype):
        self.torch = torch
        torch.manual_seed(1)
        layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2, batch_first=True)
        self.model = torch.nn.ModuleDict(
            {
                "embedding": torch.nn.Embedding(50, 16),
                "body": torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
                "head": torch.nn.Linear(16, 50, bias=False),
            }
        ).to(dtype)
        self.model["head"].weight = self.model["embedding"].weight
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-2, amsgrad=True)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, 1e-2, total_steps=100
        )
        self.shuffle = np.random.default_rng(7)

    def step(self):
        torch = self.torch
        text = torch.from_numpy(self.shuffle.integers(0, 50, (4, 9)))
        if random.random() < 0.5:
            text = text.flip(0)
        out = self.model["head"](self.model["body"](self.model["embedding"](text[:, :-1])))
        loss = torch.nn.functional.cross_entropy(
            out.flatten(0, 1).float(), text[:, 1:].ravel()
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def state(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": {
                "torch": self.torch.get_rng_state(),
                "python": random.getstate(),
                "data": self.shuffle.bit_generator.state,
            },
        }

    def restore(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.torch.set_rng_state(state["random"]["torch"])
        random.setstate(state["random"]["python"])
        self.shuffle.bit_generator.state = state["random"]["data"]


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_resumed_training_has_the_same_losses_to_the_last_bit(torch, prefix, dtype, mmap):
    import tensorbundle.torch as tbt

    training = Training(torch, getattr(torch, dtype))
    before = [training.step() for _ in range(3)]
    report = tbt.save(training.state(), prefix)
    state = training.state()
    assert_identical(tbt.load(prefix, mmap=mmap), state)
    parameters = sum(p.nbytes for p in training.model.parameters())
    assert report.tensor_bytes < 4 * parameters + 60_000  # the tied weight is there once
    expected = [training.step() for _ in range(4)]

    resumed = Training(torch, getattr(torch, dtype))
    resumed.restore(tbt.load(prefix, mmap=mmap))
    assert [resumed.step() for _ in range(4)] == expected
    assert len({*before, *expected}) == 7
    assert resumed.model["head"].weight is resumed.model["embedding"].weight
