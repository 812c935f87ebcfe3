"""Of a training that gets better, then worse, the newest checkpoints and the best are kept.

The model learns the noise of its few examples by heart, so that its loss on others is least
half way. The manager removes what no rule keeps, and the metrics survive a restart: they lie
beside the checkpoints.

    python examples/keep_the_best.py --epochs 12
"""

from __future__ import annotations

import argparse
import os
import tempfile

import torch

import tensorbundle as tb


def main(arguments: list[str] | None = None) -> tuple[list[float], float]:
    """Train; give all losses, and that of the model restored from the best checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    data, test = torch.randn(8, 8), torch.randn(64, 8)
    noise = 2 * torch.randn(8, 1)

    def loss_of(batch: torch.Tensor, errors: torch.Tensor | float = 0.0) -> torch.Tensor:
        return (model(batch) - batch.sum(1, keepdim=True) - errors).square().mean()

    with tempfile.TemporaryDirectory() as directory:
        checkpoint = tb.Checkpoint(model=model, optimizer=optimizer)
        manager = tb.CheckpointManager(
            checkpoint, directory, max_to_keep=2, monitor="loss", mode="min"
        )
        losses = []
        for _ in range(options.epochs):
            optimizer.zero_grad()
            loss_of(data, noise).backward()
            optimizer.step()
            losses.append(loss_of(test).item())
            manager.save(metrics={"loss": losses[-1]})
        manager.close()

        for prefix in manager.checkpoints:
            step = int(prefix.rpartition("-")[2])
            print(f"{os.path.basename(prefix):8} {manager.metrics(step)}")
        manager.restore("best")
        restored = loss_of(test).item()
    print(f"first {losses[0]:.4f}, best {min(losses):.4f}, last {losses[-1]:.4f}")
    print(f"restored: {restored:.4f}")
    return losses, restored


if __name__ == "__main__":
    main()
