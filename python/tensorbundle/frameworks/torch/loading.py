"""What ``tensorbundle.torch.load`` does."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from tensorbundle import reading
from tensorbundle.config import Config
from tensorbundle.core import _core
from tensorbundle.frameworks.torch.decoding import Decoder
from tensorbundle.frameworks.torch.device_loading import goes_elsewhere, load_to_device
from tensorbundle.frameworks.torch.leaves import Source, check_leaf, make_base, make_tensor
from tensorbundle.frameworks.torch.locations import Locator, MapLocation
from tensorbundle.frameworks.torch.pickling import refuse_pickle
from tensorbundle.frameworks.torch.structure import STRUCTURE
from tensorbundle.frameworks.torch.views import dtype_of_number, from_array
from tensorbundle.loading import Loader
from tensorbundle.mapping import Mmap, Prefetch
from tensorbundle.structure_entry import BadStructureError

__all__ = ["Stored", "load"]


def load(
    path: str | os.PathLike[str],
    map_location: MapLocation = None,
    mmap: Mmap | None = False,
    *,
    weights_only: bool | None = None,
    pickle_module: None = None,
    prefetch: Prefetch | None = None,
    verify: bool | None = None,
    backend: str | None = None,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    config: Config | None = None,
) -> Any:
    """Load what `save` has saved; nothing in the file is run.

    Tensors that shared memory share it again, and what was one tensor in two places is
    one again. Lists and dicts are new ones in each place.

    Parameters
    ----------
    path
        As given to `save`.
    map_location
        Where tensors go, as for ``torch.load``: a device for all; a dict from the device
        a tensor was saved from to another; a function of a storage, on the CPU, and that
        device's name, which returns the storage to take, or ``None``. ``None``: back to
        where they were. ``"meta"`` reads no tensors.
    mmap
        ``False``: read in parallel into memory of its own, verified. ``True``: map the
        file. Pages are read when first touched; tensors may be written to, which copies
        the page for this process and never reaches the file. A tensor whose strides were
        not those of C order is copied. For tensors that go to another device, and where
        maps are dangerous (see `tensorbundle.load`), it is as if it were ``False``, and so
        is ``None``, which is the default of ``torch.load``.
    weights_only
        Taken, since programs give it to ``torch.load``, and without effect: nothing is ever
        unpickled, so that every load is as safe as one with ``True``, and as complete as one
        with ``False``.
    pickle_module
        Only ``None``.
    prefetch, verify, backend, num_threads, block_size, queue_depth, progress, config
        As for `tensorbundle.load`: ``verify=None`` compares checksums where tensors are
        read, and not where they are mapped.

    Returns
    -------
    object
        What was saved: containers and values of the same types, tensors of the same
        dtypes, shapes, strides where their elements lay densely, ``requires_grad``, and
        parameters as such. Named tuples are of a new type with the same name and fields.

    Raises
    ------
    FileNotFoundError
        There is no checkpoint of that name.
    UnsupportedError
        The checkpoint was not saved by `save`, or by a later version of it; or tensors
        were saved from a device that is not here, and `map_location` does not say where
        they shall go.
    CorruptionError
        A checksum does not agree, or the JSON does not describe what is there.
    TypeError
        There is a `pickle_module`.
    ValueError
        `map_location` names a device that is not here; an option is unknown.
    OSError
        Any other failure of the operating system; ``errno`` says which.

    Examples
    --------
    >>> state = tbt.load("run/state", map_location="cpu", mmap=True)  # doctest: +SKIP
    >>> model.load_state_dict(state["model"], assign=True)  # doctest: +SKIP
    """
    refuse_pickle(pickle_module)
    mmap = False if mmap is None else mmap
    summed = _Sum(progress) if progress is not None else None
    loader, reader = (
        Loader.of(
            path, mmap=way, prefetch=prefetch if way == mmap else None, writable=True,
            verify=verify, backend=backend, num_threads=num_threads, block_size=block_size,
            queue_depth=queue_depth, progress=summed, config=config,
        )
        for way in (mmap, False)
    )  # fmt: skip
    locator = Locator(map_location, loader.path)
    return loader.run(lambda core: Stored(core, loader, reader, summed).load(locator))


class _Sum:
    """Tells the progress of several reads as that of one."""

    def __init__(self, progress: Callable[[int, int], object]) -> None:
        self._progress = progress
        self.total = 0
        self.before = 0
        """Bytes of the reads that have ended."""

    def __call__(self, done: int, total: int) -> None:
        self._progress(self.before + done, max(self.total, total))


class Stored:
    """A checkpoint of `save`, opened: its JSON is checked against its entries."""

    def __init__(
        self,
        core: _core.Bundle,
        loader: Loader,
        reader: Loader | None = None,
        progress: _Sum | None = None,
    ) -> None:
        self._core = core
        self._loader = loader
        self._reader = reader or loader
        """For what cannot be mapped, since it goes to another device."""
        self._progress = progress
        self.sources: dict[str, Source] = {}
        """The entries that tensors and arrays are made of."""
        with STRUCTURE.explained(loader.path):
            self._node = STRUCTURE.read(core, loader.path)
            Decoder(self._check).decode(self._node)

    def load(self, locator: Locator) -> Any:
        """Read the tensors and make the object."""
        arrays, tensors = self._read(locator)
        bases: dict[str, torch.Tensor] = {}

        def make(tag: str, node: dict[str, Any]) -> Any:
            if tag != "$tensor":
                return arrays[node[tag] if tag == "$array" else node[tag]["entry"]]
            name = node[tag]
            if name not in bases:
                source = self.sources[name]
                tensor = tensors[name] if name in tensors else from_array(arrays[name])
                bases[name] = locator.move(make_base(source, tensor), source.device)
            return make_tensor(node, bases[name])

        return Decoder(make).decode(self._node)

    def _read(self, locator: Locator) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Read what goes to the CPU as arrays, what goes elsewhere as tensors."""
        here: dict[str, Source] = {}
        elsewhere: dict[torch.device, dict[str, Source]] = {}
        tensors: dict[str, torch.Tensor] = {}
        for name, source in self.sources.items():
            device = locator.device(source.device)
            if source.is_host or not (device.type == "meta" or goes_elsewhere(device)):
                here[name] = source
            elif device.type == "meta":
                dtype = dtype_of_number(source.number)
                tensors[name] = torch.empty(source.shape, dtype=dtype, device=device)
            else:
                elsewhere.setdefault(device, {})[name] = source
        if self._progress is not None:
            read = [here, *elsewhere.values()]
            self._progress.total = sum(s.num_bytes for part in read for s in part.values())
        arrays = self._loader.read(self._core, list(here), {})
        self._count(here)
        for device, sources in elsewhere.items():
            tensors |= load_to_device(device, sources, self._read_into)
        return arrays, tensors

    def _read_into(self, arrays: dict[str, Any]) -> None:
        self._reader.read(self._core, list(arrays), arrays)
        self._count({name: self.sources[name] for name in arrays})

    def _count(self, sources: dict[str, Source]) -> None:
        if self._progress is not None:
            self._progress.before += sum(source.num_bytes for source in sources.values())

    def _check(self, tag: str, node: dict[str, Any]) -> Any:
        return check_leaf(tag, node, self.sources, self._look)

    def _look(self, name: str) -> tuple[int, tuple[int, ...]]:
        if not reading.has(self._core, name):
            raise BadStructureError(f"there is no entry {name!r}")
        found = reading.find(self._core, name)
        return found[0], tuple(found[1])
