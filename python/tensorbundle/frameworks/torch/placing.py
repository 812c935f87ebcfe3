"""Which entries the tensors of a save become: memory that is shared is saved once.

Tensors of one storage whose bytes overlap form a group. A group of equal views is one
entry. In any other group the first contiguous tensor that has all of the group's bytes is
the entry; where there is none, the bytes are an entry of their own, which no tensor names.
The others of the group are views into that entry, by shape, strides and offset. Tensors
that do not overlap are entries of their own, even where they share a storage.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from tensorbundle.frameworks.torch.structure import STRUCTURE, Leaf
from tensorbundle.frameworks.torch.views import AS_INTEGER, PLAIN, check_dense

__all__ = ["place"]

# No dtype of torch has larger elements: a region that begins at a multiple of this suits
# every view.
_REGION_UNIT = 16  # bytes

_UNSIGNED = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}


@dataclasses.dataclass(slots=True)
class _Placed:
    """A tensor, and the bytes that it has of its storage."""

    leaf: Leaf
    tensor: torch.Tensor  # detached
    storage: tuple[torch.device, int]  # its address
    begin: int  # bytes from the start of the storage
    end: int

    @property
    def view(self) -> tuple[Any, ...]:
        """What two tensors of one storage have in common if they are equal views."""
        t = self.tensor
        layout = (t.storage_offset(), tuple(t.shape), t.stride())
        return (*layout, t.dtype, t.is_conj(), t.is_neg())

    @property
    def has_holes(self) -> bool:
        return self._size != self.end - self.begin

    @property
    def overlaps_itself(self) -> bool:
        return self._size > self.end - self.begin

    @property
    def _size(self) -> int:
        return self.tensor.numel() * self.tensor.element_size()

    def can_hold(self, others: Iterable[_Placed]) -> bool:
        """Whether all others are views of this tensor's bytes."""
        if not self.tensor.is_contiguous() or self.tensor.is_conj() or self.tensor.is_neg():
            return False
        return all(
            self.begin <= o.begin
            and o.end <= self.end
            and (o.begin - self.begin) % o.tensor.element_size() == 0
            for o in others
        )


def place(leaves: Iterable[Leaf]) -> dict[str, Any]:
    """Choose the entries: give what `tensorbundle.save` takes, and complete the nodes.

    Raises
    ------
    TypeError
        A tensor has no bytes here: meta, sparse, quantized, ...; its path is told.
    """
    entries: dict[str, Any] = {}
    names = _Names()
    held = [_held(leaf) for leaf in leaves]
    home = {id(placed): group for group in _groups(held) for placed in group}
    done: set[int] = set()
    for leaf, placed in zip(leaves, held, strict=True):
        if placed is None:
            _place_array(leaf, names, entries)
        elif id(group := home[id(placed)]) not in done:
            done.add(id(group))
            _place_group(group, names, entries)
    return entries


def _held(leaf: Leaf) -> _Placed | None:
    """Look at a tensor; ``None`` for what is an array."""
    if not isinstance(leaf.value, torch.Tensor):
        return None
    try:
        check_dense(leaf.value)
        tensor = leaf.value.detach()
        begin = int(tensor.storage_offset()) * tensor.element_size()
        storage = (tensor.device, tensor.untyped_storage().data_ptr())
        return _Placed(leaf, tensor, storage, begin, begin + _extent(tensor))
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise TypeError(f"{leaf.path}: {error}") from None


def _extent(tensor: torch.Tensor) -> int:
    """Give the bytes from the first element to behind the last."""
    if tensor.numel() == 0:
        return 0
    last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()


def _groups(held: Iterable[_Placed | None]) -> Iterator[list[_Placed]]:
    """Give tensors whose bytes overlap together, each group in the document's order."""
    by_storage: dict[tuple[torch.device, int], list[_Placed]] = {}
    order: dict[int, int] = {}
    for i, placed in enumerate(held):
        if placed is not None and placed.begin == placed.end:
            yield [placed]  # no bytes
        elif placed is not None:
            by_storage.setdefault(placed.storage, []).append(placed)
            order[id(placed)] = i
    for members in by_storage.values():
        group: list[_Placed] = []
        end = 0
        for placed in sorted(members, key=lambda p: (p.begin, order[id(p)])):
            if group and placed.begin >= end:
                yield sorted(group, key=lambda p: order[id(p)])
                group = []
            group.append(placed)
            end = max(end, placed.end) if len(group) > 1 else placed.end
        yield sorted(group, key=lambda p: order[id(p)])


def _place_array(leaf: Leaf, names: _Names, entries: dict[str, Any]) -> None:
    name = names.of(leaf.name)
    entries[name] = leaf.value
    (tag,) = leaf.node
    leaf.node[tag] = {"entry": name} if tag != "$array" else name


def _place_group(group: list[_Placed], names: _Names, entries: dict[str, Any]) -> None:
    first = group[0]
    if len({placed.view for placed in group}) == 1 and not first.overlaps_itself:
        name = names.of(first.leaf.name)
        entries[name] = _storable(first.tensor)
        for placed in group:
            _note_whole(placed, name)
        return
    holder = next((placed for placed in group if placed.can_hold(group)), None)
    if holder is not None:
        name, begin = names.of(holder.leaf.name), holder.begin
        entries[name] = _storable(holder.tensor)
    else:
        name = names.of(f"{first.leaf.name}~storage")
        entries[name], begin = _region(group)
    for placed in group:
        if holder is not None and placed.view == holder.view:
            _note_whole(placed, name)
        else:
            _note_view(placed, name, begin)


def _storable(tensor: torch.Tensor) -> torch.Tensor:
    """See the bits of a dtype that the format lacks as unsigned integers."""
    if tensor.dtype in PLAIN or tensor.dtype in AS_INTEGER:
        return tensor
    return tensor.resolve_conj().resolve_neg().view(_UNSIGNED[tensor.element_size()])


def _region(group: list[_Placed]) -> tuple[torch.Tensor, int]:
    """Give the bytes that a group has together, in one dimension, and where they begin."""
    begin, end = min(p.begin for p in group), max(p.end for p in group)
    kinds = {p.tensor.dtype for p in group}
    dtype = kinds.pop() if len(kinds) == 1 else torch.uint8
    if dtype not in PLAIN and dtype not in AS_INTEGER:
        dtype = torch.uint8
    if dtype == torch.uint8:
        begin -= begin % _REGION_UNIT
    tensor = group[0].tensor
    region = torch.empty(0, dtype=dtype, device=tensor.device)
    size = dtype.itemsize
    storage = tensor.untyped_storage()
    return region.set_(storage, begin // size, ((end - begin) // size,), (1,)), begin


def _note_whole(placed: _Placed, name: str) -> None:
    tensor = placed.tensor
    node = _note(placed, name)
    if not tensor.is_contiguous() and not placed.has_holes:
        node["strides"] = list(tensor.stride())


def _note_view(placed: _Placed, name: str, begin: int) -> None:
    tensor = placed.tensor
    node = _note(placed, name)
    node["dtype"] = str(tensor.dtype).removeprefix("torch.")
    node["shape"] = list(tensor.shape)
    node["strides"] = list(tensor.stride())
    node["offset"] = (placed.begin - begin) // tensor.element_size()
    if tensor.is_conj():
        node["conj"] = True
    if tensor.is_neg():
        node["neg"] = True


def _note(placed: _Placed, name: str) -> dict[str, Any]:
    value, node = placed.leaf.value, placed.leaf.node
    node["$tensor"] = name
    if value.dtype not in PLAIN and value.dtype not in AS_INTEGER:
        node["dtype"] = str(value.dtype).removeprefix("torch.")
    if value.device.type != "cpu":
        node["device"] = str(value.device)
    if value.requires_grad:
        node["requires_grad"] = True
    if type(value) is torch.nn.Parameter:
        node["parameter"] = True
    return node


class _Names:
    """Makes entries' names of paths: unique, and such that every reader takes them."""

    def __init__(self) -> None:
        self._taken = {STRUCTURE.name}

    def of(self, wanted: str) -> str:
        name = wanted.encode("utf-8", "replace").decode().replace("\0", "?") or "value"
        unique, number = name, 1
        while unique in self._taken:
            number += 1
            unique = f"{name}~{number}"
        self._taken.add(unique)
        return unique
