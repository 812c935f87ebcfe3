"""PyTorch: save and load in the place of ``torch.save`` and ``torch.load``.

>>> import tensorbundle.torch as tbt
>>> tbt.save({"model": model.state_dict(), "epoch": 3}, "run/state")    # doctest: +SKIP
>>> state = tbt.load("run/state", map_location="cpu", mmap=True)        # doctest: +SKIP

No pickle: nothing in a file can run code. The files are checkpoints that TensorFlow, JAX
and NumPy read too; ``docs/torch.md`` describes what is in them.
"""

from __future__ import annotations

from tensorbundle.frameworks.torch.loading import load
from tensorbundle.frameworks.torch.models import load_model, save_model
from tensorbundle.frameworks.torch.saving import save

__all__ = ["load", "load_model", "save", "save_model"]
