"""Optimizers that are not built yet, when a checkpoint has variables for them.

An optimizer makes its variables at the first step of a training, or as a compiled model is
loaded by Keras. A restore comes before the first step, and does as Keras's loading does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import keras

from tensorbundle.checkpoint.adapters import Saved
from tensorbundle.frameworks.keras.state import OPTIMIZER

__all__ = ["build_for_restore"]

Shape = tuple[int, ...]

# Where the variables of an optimizer are: as `state` names them, as TensorFlow tracks them.
_LISTS = ("vars", "_variables")


def build_for_restore(found: Sequence[tuple[Any, Saved]]) -> bool | None:
    """Build the optimizers whose variables are in a checkpoint.

    An optimizer goes with the model that it is compiled into, one of no model with the one
    built model of all; but only where it makes variables of the shapes that were saved.
    Else it is left as it is, and so are its values in the checkpoint.

    Parameters
    ----------
    found
        The live objects of a restore, and the saved ones they belong to.

    Returns
    -------
    bool or None
        ``True`` if something was built; ``None`` if not.
    """
    models = {id(obj): obj for obj, _ in found if _is_built_model(obj)}
    compiled = {id(m): o for m in models.values() if _is_optimizer(o := _optimizer_of(m))}
    saved = [(obj, place) for obj, place in found if _is_optimizer(obj)]
    saved += [
        (compiled[id(obj)], place.children()[OPTIMIZER])
        for obj, place in found
        if id(obj) in compiled and OPTIMIZER in place.children()
    ]
    done = None
    for optimizer, place in saved:
        shapes = [] if optimizer.built else _saved_shapes(place)
        if not shapes:
            continue
        own = [m for i, m in models.items() if compiled.get(i) is optimizer]
        # A model, and one that holds nothing else, have the same.
        lists = [list(m.trainable_variables) for m in own or models.values()]
        lists = list({tuple(map(id, each)): each for each in lists}.values())
        fitting = [v for v in lists if _shapes_for(optimizer, v, place) == shapes]
        if len(fitting) == 1:
            optimizer.build(fitting[0])
            done = True
    return done


def _is_built_model(obj: Any) -> bool:
    return isinstance(obj, keras.Model) and obj.built


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, keras.optimizers.Optimizer)


def _optimizer_of(model: Any) -> Any:
    return getattr(model, OPTIMIZER, None)


def _list_of(saved: Saved) -> str | None:
    return next((name for name in _LISTS if name in saved.children()), None)


def _saved_shapes(saved: Saved) -> list[Shape | None]:
    name = _list_of(saved)
    if name is None:
        return []
    held = saved.children()[name].children()
    numbers = sorted(int(number) for number in held if number.isdigit())
    return [held[str(number)].shape for number in numbers]


def _shapes_for(optimizer: Any, variables: list[Any], saved: Saved) -> list[Shape] | None:
    """Tell what an optimizer would make for variables; ``None`` if a copy cannot be made."""
    # In the scope variables take no memory; a few optimizers make some that it refuses.
    for scope in (keras.StatelessScope(initialize_variables=False), nullcontext()):
        try:
            twin = type(optimizer).from_config(optimizer.get_config())
            with scope:
                twin.build(list(variables))
        except (AttributeError, NotImplementedError, TypeError, ValueError):
            continue
        made = twin.variables if _list_of(saved) == "vars" else twin._variables
        return [tuple(variable.shape) for variable in made]
    return None
