"""The Python of README and docs runs as it stands, each text from its top to its end."""

import re
from pathlib import Path

import pytest

from .helpers import run_python

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A block that no test machine can run says why above itself.
BLOCK = re.compile(
    r"(?P<note><!-- not run: [^\n]+ -->\n\n?)?```python\n(?P<code>.*?)```", re.S
)

# What the reader of a text has already: a model, and how it is trained.
KERAS = """
import keras, numpy as np
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
model.compile("adam", "mse")
x, y = np.ones((8, 4)), np.ones((8, 2))
"""
GIVEN = {
    "README.md": """
import tensorflow as tf
exported = tf.Module()
exported.kernel = tf.Variable(tf.ones((4, 2)))
tf.saved_model.save(exported, "saved_model")
dense = tf.Module()
dense.kernel = tf.Variable(tf.ones((4, 2)))
tf.train.Checkpoint(dense=dense).save("training/ckpt")
""",
    "incremental.md": """
import numpy as np, tensorbundle as tb
tensors = {"w": np.ones(100_000), "b": np.zeros(10)}
state = tb.Checkpoint(tensors=tensors)
""",
    "jax.md": """
import jax
def make_state(key):
    params = {"w": jax.random.normal(key, (8, 4))}
    return {"params": params, "opt": jax.tree.map(jax.numpy.zeros_like, params),
            "step": 0, "key": key}
key = jax.random.key(0)
params, opt_state, _, key = make_state(key).values()
step = 3
""",
    "keras.md": KERAS
    + """
fit = model.fit
model.fit = lambda *args, **more: fit(*args, validation_data=(x, y), verbose=0, **more)
""",
    "tensorflow.md": KERAS
    + """
import tensorflow as tf, tensorbundle.tensorflow as tbtf
optimizer = model.optimizer
iterator = iter(tf.data.Dataset.range(5))
exported = tf.Module()
exported.dense = tf.Module()
exported.dense.kernel = tf.Variable(tf.ones((4, 2)))
tf.saved_model.save(exported, "export/1")
kernel = np.zeros((4, 2), np.float32)
""",
    "torch.md": """
import torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.AdamW(model.parameters())
with torch.device("meta"):
    meta_model = torch.nn.Linear(4, 2)
""",
}


def blocks(path):
    """Give line number and code of each block that is to run."""
    text = path.read_text()
    for found in BLOCK.finditer(text):
        if found["note"] is None:
            yield text.count("\n", 0, found.start("code")), found["code"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_the_python_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "docs"}
    exec(GIVEN.get(path.name, ""), namespace)
    for line, code in blocks(path):
        # Errors then name the text and the line in it.
        exec(compile("\n" * line + code, str(path), "exec"), namespace)


def test_the_text_on_jax_runs_on_eight_devices(jax, tmp_path):
    run_python(
        """
        import os, sys
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
        os.chdir(sys.argv[1])
        namespace = {}
        for code in sys.argv[2:]:
            exec(code, namespace)
        state = namespace["state"]
        assert len(state["params"]["w"].sharding.device_set) == 8
        assert state["params"]["w"].addressable_shards[0].data.shape == (1, 4)
        assert state["step"] == 3 and state["step"].dtype == "int32"
        """,
        tmp_path,
        GIVEN["jax.md"],
        *(code for _, code in blocks(ROOT / "docs" / "jax.md")),
    )
