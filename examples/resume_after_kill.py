"""Training is killed without warning, started again, and ends as if nothing had happened.

A process trains and saves after every step. It is killed by SIGKILL, wherever it may be at
that moment, and started anew until it is through. The losses are those of a training that
nobody disturbed, to the last bit: model, optimizer, schedule and random state come back.

    python examples/resume_after_kill.py --steps 40 --kills 3
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile


def train(path: str, steps: int) -> None:
    """Train from where the checkpoint is, or from the start; print each step's loss."""
    import torch

    import tensorbundle.torch as tbt

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(64, 1)
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    done = 0
    if os.path.exists(path + ".index"):
        state = tbt.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["rng"])
        done = state["step"]
    for step in range(done + 1, steps + 1):
        data = torch.randn(16, 32)
        loss = (model(data) - data.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        print(step, loss.item().hex(), flush=True)
        tbt.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "rng": torch.get_rng_state(),
                "step": step,
            },
            path,
        )


def run(path: str, steps: int, kill_after: int | None = None) -> dict[int, str]:
    """Train in a process of its own, which is killed after so many steps; give the losses."""
    command = [sys.executable, __file__, "--steps", str(steps), "--train", path]
    losses = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            step, loss = line.split()
            losses[int(step)] = loss
            if len(losses) == kill_after:
                process.kill()  # SIGKILL: nothing in there runs any more
                break
    return losses


def main(arguments: list[str] | None = None) -> bool:
    """Compare a disturbed training with an undisturbed one; give whether they agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--train", metavar="PATH", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.train:
        train(options.train, options.steps)
        return True
    with tempfile.TemporaryDirectory() as directory:
        expected = run(os.path.join(directory, "undisturbed"), options.steps)
        path = os.path.join(directory, "disturbed")
        found: dict[int, str] = {}
        for kill in range(options.kills):
            losses = run(path, options.steps, options.steps // (options.kills + 1))
            print(f"killed ({kill + 1}) after step {max(losses)}")
            found |= losses
        found |= run(path, options.steps)
    same = found == expected
    print(
        f"{len(found)} losses, {'the same as' if same else 'NOT THOSE'} of an undisturbed run"
    )
    return same


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
