"""JAX: pytrees in and out.

>>> import tensorbundle.jax as tbj
>>> tbj.save({"params": params, "opt": opt_state}, "run/state")         # doctest: +SKIP
>>> state = tbj.load("run/state", jax.eval_shape(make_state, key))      # doctest: +SKIP

No pickle: nothing in a file can run code. The files are checkpoints that TensorFlow, PyTorch
and NumPy read too; ``docs/jax.md`` describes what is in them.
"""

from __future__ import annotations

from tensorbundle.frameworks.jax.loading import load
from tensorbundle.frameworks.jax.saving import save

__all__ = ["load", "save"]
