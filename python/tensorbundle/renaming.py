"""Renaming tensors of a checkpoint: its index is written anew, in place or beside it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

from tensorbundle.core import _core
from tensorbundle.errors import DuplicateTensorError, MissingTensorError, UnsupportedError
from tensorbundle.object_graph import OBJECT_GRAPH_KEY
from tensorbundle.paths import absolute, absolute_to_save, open_core
from tensorbundle.transfer_options import check_threads

__all__ = ["RenameReport", "rename"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenameReport:
    """What a renaming did, or would do."""

    prefix: str
    num_tensors: int
    """In the checkpoint."""
    renamed: tuple[tuple[str, str], ...]
    """The old and the new name of each tensor that has another one now."""
    lost_to_objects: tuple[str, ...]
    """Old names by which the checkpoint's object graph still knows renamed tensors:
    `tf.train.Checkpoint` and `Checkpoint` look for them by these, and will not find them."""
    dry_run: bool
    """Whether nothing was written."""
    output: str | None = None
    """Prefix of the renamed checkpoint; ``None`` where it was renamed in place."""
    linked_bytes: int = 0
    """Of the output's data files that are hard links of the checkpoint's."""
    copied_bytes: int = 0
    """Of those that had to be copied."""
    copy_reason: str = ""
    """Why the first of them could not be a link; empty where none was copied."""

    def as_dict(self) -> dict[str, Any]:
        """Give all fields as plain values."""
        return dataclasses.asdict(self)


def rename(
    prefix: str | os.PathLike[str],
    names: Mapping[str, str] | Callable[[str], str],
    *,
    output: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    num_threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> RenameReport:
    """Give tensors of a checkpoint other names.

    Only the index is written, under another name, synced and renamed: whatever happens, it
    is the old or the new one, and the data files, which are not touched, go with either.
    Parts of partitioned tensors follow their tensor.

    With `output` the checkpoint stays as it is, and the renamed one gets that prefix. It
    takes no space of its own: its data files are hard links, as those of `merge` are, and
    copies only where there can be no link. It is published as a save is, and durable when
    the call returns.

    What restores by names, as `load`, `Saver` and ``tf.compat.v1.train.Saver`` do, goes by
    the new ones. What restores by objects does not: the object graph that
    ``tf.train.Checkpoint`` and `Checkpoint` save says under which name each tensor is, and
    is data that stays as it is. The report's ``lost_to_objects`` tells which; renaming back
    mends it.

    Parameters
    ----------
    prefix
        Path of the checkpoint without a suffix.
    names
        New names by the old ones; or a function that gives each name's new one, or the
        same. It is not asked about the object graph, which keeps its name. All are renamed
        at once, so that two tensors can exchange their names.
    output
        Prefix of the renamed checkpoint; ``None`` renames in place. One that is there already
        is replaced. The last directory is created if it is missing.
    dry_run
        Check the names, and report, but write nothing.
    num_threads
        Threads that link, sync and copy data files for `output`; ``None`` means one per CPU
        of this process.
    progress
        Called now and then, on this thread, with the bytes of data files done and in total.
        What it raises cancels the renaming.

    Returns
    -------
    RenameReport
        Which tensors have other names; with `output`, what was linked and copied.

    Raises
    ------
    FileNotFoundError
        There is no ``PREFIX.index``.
    MissingTensorError
        `names` has a name that is not in the checkpoint.
    DuplicateTensorError
        Two tensors would have one name; also a ``ValueError``.
    ValueError
        A new name would be empty, or the object graph is to be renamed.
    LockedError
        A save of this checkpoint, or of `output`, is under way.
    CheckpointGoneError
        The checkpoint was replaced while its data files were linked to `output`.
    CorruptionError, UnsupportedError
        The index is damaged, or the checkpoint is of TensorFlow's V1 format. For `output`,
        also any record in it, or a data file that is missing or too short.
    OSError
        Anything else. After each of these errors everything is as it was; only where the
        very last sync of the directory fails are the new names in place already, though
        not surely durable.

    Examples
    --------
    >>> tb.rename("run/ckpt", {"dense/kernel": "dense/weight"})  # doctest: +SKIP
    >>> tb.rename("run/ckpt", lambda name: name.removeprefix("model/"))  # doctest: +SKIP
    >>> tb.rename("run/ckpt", str.lower, output="run/lower")  # doctest: +SKIP
    """
    count = check_threads(num_threads)
    path = os.fspath(prefix)
    core = open_core(path)
    if isinstance(core, _core.V1Checkpoint):
        raise UnsupportedError(
            f"{path}: a checkpoint of TensorFlow's V1 format cannot be renamed; load it, and "
            "save it as a bundle",
            code="UnsupportedFormat",
            path=path,
        )
    existing: list[str] = core.names()
    renamed = _renamed(existing, names, path)
    _check(existing, renamed, path)
    lost = _known_to_objects(core, path, renamed)
    target = None if output is None else os.fspath(output)
    destination = b"" if target is None else absolute_to_save(target)
    adopted = {}
    if (renamed or destination) and not dry_run:
        adopted = _core.rename(
            absolute(path),
            list(renamed.items()),
            destination=destination,
            num_threads=count,
            progress=progress,
        )
    return RenameReport(
        prefix=path,
        num_tensors=len(existing),
        renamed=tuple(renamed.items()),
        lost_to_objects=lost,
        dry_run=dry_run,
        output=target,
        **adopted,
    )


def _renamed(
    existing: list[str], names: Mapping[str, str] | Callable[[str], str], path: str
) -> dict[str, str]:
    """Give the new name of each tensor that gets one, in the order of the index."""
    if isinstance(names, Mapping):
        missing = names.keys() - set(existing)
        if missing:
            name = min(missing)
            raise MissingTensorError(
                f"{path}.index: tensor {name!r}: not in the bundle",
                code="NotFound",
                path=f"{path}.index",
                key=name,
            )
        if names.get(OBJECT_GRAPH_KEY, OBJECT_GRAPH_KEY) != OBJECT_GRAPH_KEY:
            raise ValueError(f"{OBJECT_GRAPH_KEY!r} is the object graph, and keeps its name")
        new = {name: names[name] for name in existing if name in names}
    else:
        new = {name: names(name) for name in existing if name != OBJECT_GRAPH_KEY}
    for name, to in new.items():
        if not isinstance(to, str):
            raise TypeError(f"the new name of {name!r} must be str, not {type(to).__name__}")
    return {name: to for name, to in new.items() if to != name}


def _check(existing: list[str], renamed: dict[str, str], path: str) -> None:
    """Refuse what the core would refuse, before anything is promised."""
    taken: dict[str, str] = {}
    for name in existing:
        to = renamed.get(name, name)
        if not to:
            raise ValueError(f"{path}.index: tensor {name!r}: its new name would be empty")
        other = taken.setdefault(to, name)
        if other != name:
            raise DuplicateTensorError(
                f"{path}.index: tensors {other!r} and {name!r} would both be named {to!r}",
                code="AlreadyExists",
                path=f"{path}.index",
                key=name,
            )


def _known_to_objects(core: Any, path: str, renamed: dict[str, str]) -> tuple[str, ...]:
    if not renamed or not core.contains(OBJECT_GRAPH_KEY):
        return ()
    # Only here: reading a tensor costs NumPy.
    from tensorbundle.stored_graph import read_graph

    graph = read_graph(core, path)
    known = {
        attribute.checkpoint_key
        for node in (graph.nodes if graph is not None else ())
        for attribute in node.attributes
    }
    return tuple(name for name in renamed if name in known)
