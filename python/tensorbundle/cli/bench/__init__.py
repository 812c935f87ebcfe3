"""``tensorbundle bench``: what a disk does with a checkpoint, and what limits it."""
