"""What ``tensorbundle.torch.save`` does."""

from __future__ import annotations

import os
from typing import Any

from tensorbundle.frameworks.torch.pickling import without_pickle_options
from tensorbundle.frameworks.torch.placing import place
from tensorbundle.frameworks.torch.structure import STRUCTURE, encode
from tensorbundle.saving import save as save_tensors

__all__ = ["save"]


def save(obj: Any, path: str | os.PathLike[str], **options: Any) -> Any:
    """Save any nesting of tensors and plain values, without pickle.

    The tensors become entries of a checkpoint that TensorFlow reads too, by their places
    in `obj`: ``obj["model"]["layer.0.weight"]`` is ``"model/layer.0.weight"``. What is
    around them, and where they share memory, becomes JSON in one string tensor,
    ``_TENSORBUNDLE_TORCH``. All of it appears at once, durably, or nothing does; what
    was at `path` before is replaced.

    Contiguous tensors are written from their own memory, which must not change until
    the call returns (see ``blocking``). Tensors that share memory are saved once.

    Parameters
    ----------
    obj
        Dicts, lists, tuples, named tuples, ``OrderedDict``, ``Counter``, sets; tensors
        and parameters, NumPy arrays and scalars; numbers, strings, ``bytes``, ``None``,
        ``torch.dtype``, ``torch.device``, ``torch.Size``. Keys may be any of these that
        are hashable, but no tensors. State of modules, optimizers, schedulers and random
        generators consists of such.
    path
        Where to save: ``"run/state"`` makes ``run/state.index`` and
        ``run/state.data-?????-of-?????``.
    **options
        As for `tensorbundle.save`: ``num_shards``, ``durability``, ``backend``,
        ``num_threads``, ``progress``, ... With ``blocking=False`` the values are copied,
        and written in the background. Those of ``torch.save`` that only say how to pickle,
        ``pickle_protocol`` and ``_use_new_zipfile_serialization``, are taken and have no
        effect.

    Returns
    -------
    SaveReport
        Bytes, seconds, and how much was written without a copy; with ``blocking=False``
        a `SaveHandle`, whose ``result()`` is that report.

    Raises
    ------
    TypeError
        Something in `obj` can be held neither by JSON nor by dense tensors: objects of
        your own, functions, tensors that are sparse, quantized or without values. The
        message has its place, as ``obj['a'][3]``, and what to save instead. Or there is a
        ``pickle_module``.
    ValueError
        `obj` contains itself, or is nested more than 100 deep; an option is out of range.
    LockedError, UnsupportedError, OSError
        As for `tensorbundle.save`. In every case what was at `path` is intact.

    Examples
    --------
    >>> import tensorbundle.torch as tbt
    >>> tbt.save({"model": model.state_dict(), "epoch": 3}, "run/state")  # doctest: +SKIP
    """
    options = without_pickle_options(options)
    value, leaves = encode(obj)
    entries = place(leaves)
    return save_tensors(path, {STRUCTURE.name: STRUCTURE.text(value), **entries}, **options)
