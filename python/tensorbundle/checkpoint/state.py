"""Names a new checkpoint in its directory's ``checkpoint`` file."""

from __future__ import annotations

import os
import tempfile

from tensorbundle import checkpoint_state

__all__ = ["record_checkpoint"]


def record_checkpoint(prefix: str) -> None:
    """Make a checkpoint the newest, and the only one named, of its directory."""
    directory, name = os.path.split(prefix)
    update = getattr(checkpoint_state, "update_checkpoint_state", None)
    if update is not None:
        update(directory, prefix, save_relative_paths=True)
        return
    # To be removed when update_checkpoint_state is there.
    shown = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    text = f'model_checkpoint_path: "{shown}"\nall_model_checkpoint_paths: "{shown}"\n'
    descriptor, temporary = tempfile.mkstemp(prefix="checkpoint.tmp", dir=directory or ".")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, os.path.join(directory, "checkpoint"))
