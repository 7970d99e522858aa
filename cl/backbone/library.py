"""timm and open_clip, imported when a backbone is built or looked up: the import takes seconds."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

from cl.errors import UsageError

CLIP_CONFIGS = Path(__file__).with_name("weights") / "clip"
"""Architectures of ours for open_clip: one JSON file each, named for the architecture."""

CLIP_MISSING = (
    "CLIP backbones need the package open_clip_torch, which is not installed here; run: pip install 'clbench[clip]'."
)


@cache
def timm() -> Any:
    """The module timm, with `timm.data` and `timm.models`."""
    with warnings.catch_warnings():  # timm's dependencies ask notebooks to install widgets; ours need none
        warnings.filterwarnings("ignore", message="IProgress not found")
        import timm
    return timm


@cache
def open_clip() -> Any:
    """The module open_clip, which also knows our architectures; raises `UsageError` if it is not installed."""
    try:
        import open_clip
    except ImportError as error:
        raise UsageError(CLIP_MISSING) from error
    open_clip.add_model_config(CLIP_CONFIGS)
    return open_clip
