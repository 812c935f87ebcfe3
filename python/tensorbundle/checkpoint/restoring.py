"""Restores a checkpoint into objects: all that match, or nothing.

A restore goes through these steps, and an error in any but the last leaves every object
as it was:

1. match the two graphs, and compare shapes and dtypes (only the index is read);
2. read: tensors that come to no more than `_STAGED_BYTES` into memory of their own; of
   larger ones, those that replace an object, while the checksums of the rest, which will
   be read in place, are compared;
3. change what can refuse: what containers hold, ``load_state_dict()``, objects of
   TensorFlow that are no variables. If one does refuse, the others are taken back;
4. fill arrays and variables in place.

Large tensors are thus read twice, which costs less than memory for a second copy of them:
the first time through the page cache, which serves the second, if it has room for them. The
one fault that is left: it did not keep them, and the device fails between the two times.

Deferred restoration: what has no place yet waits in the `Restoration`, which then holds
the files mapped (`Stored.pin`), so that it does not matter if they are deleted meanwhile.
Calling `Restoration.restore` again walks over the objects again and fills what has
appeared since; nothing is filled twice.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from tensorbundle.checkpoint.adapters import Adapter, Array, Leaf, Saved
from tensorbundle.checkpoint.changes import Take, apply_changes, changes_of, make_values
from tensorbundle.checkpoint.lookup import adapter_of
from tensorbundle.checkpoint.matching import Pair, Slot, match
from tensorbundle.checkpoint.stored import Stored
from tensorbundle.checkpoint.walk import shown
from tensorbundle.errors import RestoreMismatchError
from tensorbundle.frameworks import first_answer
from tensorbundle.object_graph import Attribute

__all__ = ["Restoration"]

# Up to this many bytes a second copy is cheaper than a second reading.
_STAGED_BYTES = 64 << 20

_MOST_SHOWN = 10

# The frameworks that make variables later than objects.
_BUILDERS = ("keras",)


class Restoration:
    """One checkpoint on its way into objects."""

    def __init__(self, prefix: str, *, verify: bool = True, **options: Any) -> None:
        self.stored = Stored(prefix, verify=verify, **options)
        self.is_current = True
        """Whether no later restore has taken its place."""
        self.restored: set[Hashable] = set()
        """The identities of live objects that have taken values."""
        self.matched: dict[str, None] = {}
        """The tensors restored, in that order."""
        self.bound: set[int] = set()
        """The saved objects that belong to a live one."""
        self.unused: dict[int, list[str]] = {}
        """The attributes for which a live object has no use, by the saved object."""
        self._done: set[int] = set()
        self._alive: list[Any] = []

    def restore(self, adapter: Adapter, node_id: int = 0, names: tuple[str, ...] = ()) -> None:
        """Restore what is at and below a live object, as far as that is not yet done.

        Raises
        ------
        RestoreMismatchError
            Shapes or dtypes differ.
        CorruptionError, UnsupportedError, OSError
            A tensor cannot be read.
        """
        if not self.is_current or self.is_complete:
            return
        adapter.put(None, "")
        waiting: list[tuple[Pair, str, Saved]] = []
        root = Pair(Saved(self.stored.graph, node_id, self._shape_at), adapter, names)
        pairs, slots = match(root, lambda *missing: waiting.append(missing))
        if self._build(pairs):
            waiting.clear()
            root.children.clear()
            pairs, slots = match(root, lambda *missing: waiting.append(missing))
        takes = self._takes(pairs)
        slots = [slot for slot in slots if slot.saved.node_id not in self._done]
        values, late = self._read(takes, slots)
        made = make_values(pairs, takes, values)
        fallible = [take for take in takes if take.pair.adapter.may_fail]
        apply_changes(changes_of(pairs, made), fallible, values)
        self._fill(takes, values, late)
        self._note(pairs, takes, made)
        for slot in slots:
            self._make_slot(slot, values)
        for pair, name, saved in waiting:
            if saved.node.has_checkpoint_values is not False:
                self._defer(pair, name, saved)

    @property
    def is_complete(self) -> bool:
        """Whether no value is left to restore."""
        return self._done.issuperset(self.stored.keys.values())

    def _defer(self, pair: Pair, name: str, saved: Saved) -> None:
        def restore(obj: Any) -> None:
            self.restore(adapter_of(obj), saved.node_id, (*pair.names, name))

        def again() -> None:
            self.restore(pair.adapter, pair.saved.node_id, pair.names)

        pair.adapter.defer(name, restore, again)

    # ---- Step 1 ---------------------------------------------------------------------------

    def _build(self, pairs: list[Pair]) -> bool:
        """Let frameworks make now what they would make later, if it was saved."""
        found = [(pair.adapter.obj, pair.saved) for pair in pairs]
        return bool(first_answer("build_for_restore", found, _BUILDERS))

    def _shape_at(self, attribute: Attribute) -> tuple[int, ...] | None:
        found = list(self.stored.tensors_of(attribute))
        return self.stored.entry(found[0][1]).shape if len(found) == 1 else None

    def _takes(self, pairs: list[Pair]) -> list[Take]:
        takes: list[Take] = []
        refused: list[str] = []
        given: set[Hashable] = set()
        for pair in pairs:
            node_id = pair.saved.node_id
            if node_id in self._done or not pair.saved.node.attributes:
                continue
            adapter = pair.adapter
            if adapter.in_place and (
                adapter.identity in given or adapter.identity in self.restored
            ):
                self.bound.add(node_id)  # another saved object was first
                continue
            take = self._take(pair, refused)
            if take.keys:
                given.add(adapter.identity)
                takes.append(take)
        if refused:
            more = len(refused) - _MOST_SHOWN
            told = "; ".join(refused[:_MOST_SHOWN]) + (
                f"; and {more} more" if more > 0 else ""
            )
            raise RestoreMismatchError(f"{self.stored.prefix}: {told}", code="RestoreMismatch")
        return takes

    def _take(self, pair: Pair, refused: list[str]) -> Take:
        take = Take(pair, {}, {})
        unused = []
        for attribute in pair.saved.node.attributes:
            if not pair.adapter.takes(attribute):
                unused.append(attribute.name)
                continue
            for name, key in self.stored.tensors_of(attribute):
                entry = self.stored.entry(key)
                reason = pair.adapter.refusal(attribute, entry)
                if reason is not None:
                    refused.append(f"{shown(pair.names)} ({key}): {reason}")
                take.keys[name] = key
                take.entries[key] = entry
        if unused:
            self.unused[pair.saved.node_id] = unused
        return take

    # ---- Step 2 ---------------------------------------------------------------------------

    def _read(self, takes: list[Take], slots: list[Slot]) -> tuple[dict[str, Array], set[str]]:
        """Read tensors; give them, and the names of those that are only checked so far."""
        entries = {key: entry for take in takes for key, entry in take.entries.items()}
        for slot in slots:
            for attribute in slot.saved.node.attributes:
                for _, key in self.stored.tensors_of(attribute):
                    entries[key] = self.stored.entry(key)
        if self.stored.is_pinned:
            return self.stored.read_pinned(entries), set()
        late: set[str] = set()
        if sum(entry.size for entry in entries.values()) > _STAGED_BYTES:
            late = {
                key
                for take in takes
                if take.pair.adapter.in_place and not take.pair.adapter.may_fail
                for key in take.entries
            }
            # A tensor that also goes where it is needed early is read early.
            late -= {
                key
                for take in takes
                if not take.pair.adapter.in_place or take.pair.adapter.may_fail
                for key in take.entries
            }
        wanted = [key for key in entries if key not in late]
        values = self.stored.read(wanted)
        self.stored.check(late)
        return values, late

    # ---- Step 4 ---------------------------------------------------------------------------

    def _fill(self, takes: list[Take], values: dict[str, Array], late: set[str]) -> None:
        takes = [t for t in takes if t.pair.adapter.in_place and not t.pair.adapter.may_fail]
        into: dict[str, Array] = {}
        rest = []
        for take in takes:
            adapter = take.pair.adapter
            target = adapter.target() if isinstance(adapter, Leaf) else None
            (key, *more) = take.entries
            if key in late and not more and target is not None and key not in into:
                into[key] = target
            else:
                rest.append(take)
        self.stored.read_into(into)
        for take in rest:
            # One at a time: no more than the largest of them in memory.
            again = self.stored.read([key for key in take.entries if key not in values])
            held = {n: again[k] if k in again else values[k] for n, k in take.keys.items()}
            take.pair.adapter.assign(held)

    def _make_slot(self, slot: Slot, values: dict[str, Array]) -> None:
        def restore(obj: Any) -> None:
            self.restore(adapter_of(obj), slot.saved.node_id, (slot.name,))

        stored = [k for a in slot.saved.node.attributes for _, k in self.stored.tensors_of(a)]
        make = getattr(slot.optimizer, "make_slot", None)
        if make is not None and len(stored) == 1:
            make(slot.variable, slot.name, values[stored[0]], restore)

    # ---- Afterwards -----------------------------------------------------------------------

    def _note(self, pairs: list[Pair], takes: list[Take], made: dict[Pair, Any]) -> None:
        self.bound.update(pair.saved.node_id for pair in pairs)
        for take in takes:
            adapter = take.pair.adapter
            self._done.add(take.pair.saved.node_id)
            self.restored.add(adapter.identity)
            for key in take.keys.values():
                self.matched[key] = None
            for attribute in take.pair.saved.node.attributes:
                if attribute.name not in self.unused.get(take.pair.saved.node_id, ()):
                    self.matched[attribute.checkpoint_key] = None
        # What was made may be filled in place from now on, and then has an identity.
        self.restored.update(map(id, made.values()))
        self.restored.update(
            (id(value), name)
            for pair, value in made.items()
            for name, child in pair.children
            if child in made
        )
        # An identity is an object's as long as it lives.
        self._alive += [made.values(), *(pair.adapter.obj for pair in pairs)]

    def pin(self) -> None:
        """Make sure that what is not restored yet can be, whatever happens to the files."""
        self.stored.pin(self._done)
