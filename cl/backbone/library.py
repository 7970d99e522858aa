"""timm, imported when a backbone is built or looked up: the import takes seconds."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any


@cache
def timm() -> Any:
    """The module timm, with `timm.data` and `timm.models`."""
    with warnings.catch_warnings():  # timm's dependencies ask notebooks to install widgets; ours need none
        warnings.filterwarnings("ignore", message="IProgress not found")
        import timm
    return timm
