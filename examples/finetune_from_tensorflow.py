"""A PyTorch model starts from the weights of a TensorFlow checkpoint, and is trained on.

TensorFlow is needed only to make a checkpoint to start from, in a process of its own; reading
it is not TensorFlow's business. TensorFlow keeps a layer's matrix as (inputs, outputs),
PyTorch as (outputs, inputs).

    python examples/finetune_from_tensorflow.py --steps 20
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

import torch

import tensorbundle as tb
import tensorbundle.torch as tbt

WRITE_WITH_TENSORFLOW = """
import sys
import tensorflow as tf

model = tf.Module()
model.dense = tf.Module()
model.dense.kernel = tf.Variable(tf.random.normal((8, 16)))
model.dense.bias = tf.Variable(tf.zeros(16))
model.out = tf.Module()
model.out.kernel = tf.Variable(tf.random.normal((16, 1)))
model.out.bias = tf.Variable(tf.zeros(1))
print(tf.train.Checkpoint(model=model).save(sys.argv[1]))
"""

NAMES = {"0": "model/dense", "2": "model/out"}  # by the layers of the PyTorch model
VALUE = ".ATTRIBUTES/VARIABLE_VALUE"


def take_weights(model: torch.nn.Sequential, checkpoint: str) -> None:
    """Fill the model from TensorFlow's variables."""
    reader = tb.load_checkpoint(checkpoint)
    state = {}
    for layer, name in NAMES.items():
        kernel = reader.get_tensor(f"{name}/kernel/{VALUE}")
        state[f"{layer}.weight"] = torch.from_numpy(kernel).T
        state[f"{layer}.bias"] = torch.from_numpy(reader.get_tensor(f"{name}/bias/{VALUE}"))
    model.load_state_dict(state)


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Fine-tune; give the first loss and the last."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)
    )
    with tempfile.TemporaryDirectory() as directory:
        make = [sys.executable, "-c", WRITE_WITH_TENSORFLOW, os.path.join(directory, "tf")]
        done = subprocess.run(make, check=True, stdout=subprocess.PIPE, text=True)
        checkpoint = done.stdout.strip()
        for name, shape in tb.list_variables(checkpoint):
            print(f"{name} {shape}")
        take_weights(model, checkpoint)

        data = torch.randn(64, 8)
        wanted = data.prod(1, keepdim=True)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        losses = []
        for _ in range(options.steps):
            loss = (model(data) - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        tbt.save_model(model, os.path.join(directory, "tuned"))
        print(f"loss {losses[0]:.3f} before, {losses[-1]:.3f} after {options.steps} steps")
    return losses[0], losses[-1]


if __name__ == "__main__":
    main()
