"""TensorFlow: the names of ``tf.train``, by this engine.

One line of a program changes:

>>> from tensorbundle.tensorflow import Checkpoint, CheckpointManager     # doctest: +SKIP
>>> checkpoint = Checkpoint(model=model, optimizer=optimizer)             # doctest: +SKIP
>>> manager = CheckpointManager(checkpoint, "run", max_to_keep=3)         # doctest: +SKIP

Files are interchangeable with TensorFlow's. ``docs/tensorflow.md`` tells what is the same,
what is better, and what goes through TensorFlow's own code still.
"""

from __future__ import annotations

from tensorbundle.frameworks.tensorflow.checkpoint import Checkpoint, CheckpointManager
from tensorbundle.frameworks.tensorflow.saved_model import SavedModel

__all__ = ["Checkpoint", "CheckpointManager", "SavedModel"]
