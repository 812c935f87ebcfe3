"""Keras 3: weights, optimizer and training state, under every backend.

>>> import tensorbundle.keras as tbk
>>> tbk.save_weights(model, "run/weights")                                # doctest: +SKIP
>>> model.fit(x, y, callbacks=[tbk.BackupAndRestore("run/backup")])       # doctest: +SKIP

What is saved under one backend is loaded under the others, and TensorFlow lists and reads
it. ``docs/keras.md`` tells what is in the files.
"""

from __future__ import annotations

from tensorbundle.frameworks.keras.callbacks import BackupAndRestore, ModelCheckpoint
from tensorbundle.frameworks.keras.weights import LoadedWeights, load_weights, save_weights

__all__ = [
    "BackupAndRestore",
    "LoadedWeights",
    "ModelCheckpoint",
    "load_weights",
    "save_weights",
]
