"""What programs tell ``torch.save`` and ``torch.load`` of pickle, and is none here."""

from __future__ import annotations

from typing import Any

__all__ = ["refuse_pickle", "without_pickle_options"]

_WITHOUT_EFFECT = ("pickle_protocol", "_use_new_zipfile_serialization")


def refuse_pickle(pickle_module: Any) -> None:
    """Refuse a pickle module: whoever gives one wants it for objects of his own.

    Raises
    ------
    TypeError
        It is not ``None``.
    """
    if pickle_module is not None:
        raise TypeError(
            "pickle_module: nothing is pickled here, so that no module can be given for it; "
            "leave it out, and save what objects of your own are made of"
        )


def without_pickle_options(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out those arguments of ``torch.save`` that only say how to pickle.

    Raises
    ------
    TypeError
        As `refuse_pickle`.
    """
    refuse_pickle(options.get("pickle_module"))
    ours = {"pickle_module", *_WITHOUT_EFFECT}
    return {name: value for name, value in options.items() if name not in ours}
