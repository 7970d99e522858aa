"""Progress reports of a run, and the displays that show them."""

import warnings
from typing import Any

from cl.progress.base import Observer, Observers
from cl.progress.displays import displayed, make_progress

__all__ = ["Observer", "Observers", "displayed", "make_progress"]


def __getattr__(name: str) -> Any:
    """`NullProgress`, the name of `Observer` in 0.1.0; its use warns."""
    if name != "NullProgress":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("cl.progress.NullProgress is now cl.progress.Observer; use that.", FutureWarning, stacklevel=2)
    return Observer
