"""A model for another task takes the backbone of a trained one, and gets a new head.

The checkpoint is mapped: of the old head not a byte is read. The backbone stays frozen, the
head is trained from fresh values.

    python examples/transfer_learning.py --steps 20
"""

from __future__ import annotations

import argparse
import os
import tempfile

import torch

import tensorbundle.torch as tbt


def make_model(classes: int) -> torch.nn.ModuleDict:
    """Make a backbone with a head for so many classes."""
    backbone = torch.nn.Sequential(
        torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU()
    )
    return torch.nn.ModuleDict({"backbone": backbone, "head": torch.nn.Linear(32, classes)})


def train(model: torch.nn.ModuleDict, classes: int, steps: int) -> float:
    """Train what requires gradients; give the last loss."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    data = torch.randn(64, 16)
    labels = data[:, :classes].argmax(1)
    for _ in range(steps):
        out = model["head"](model["backbone"](data))
        loss = torch.nn.functional.cross_entropy(out, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def main(arguments: list[str] | None = None) -> list[str]:
    """Train a model, give its backbone to another, train that; give what stayed fresh."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pretrained")
        old = make_model(classes=10)
        print(f"pretrained to a loss of {train(old, 10, options.steps):.3f}")
        tbt.save_model(old, path)

        new = make_model(classes=3)
        saved = tbt.load(path, mmap=True)
        backbone = {name: t for name, t in saved.items() if name.startswith("backbone.")}
        fresh, unknown = new.load_state_dict(backbone, strict=False)
        assert not unknown
        print(f"restored {len(backbone)} tensors; fresh: {', '.join(fresh)}")

        new["backbone"].requires_grad_(False)
        print(f"trained the new head to a loss of {train(new, 3, options.steps):.3f}")
        for name, tensor in new["backbone"].state_dict().items():
            assert tensor.equal(saved[f"backbone.{name}"])
    return fresh


if __name__ == "__main__":
    main()
