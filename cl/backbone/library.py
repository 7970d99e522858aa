"""timm and open_clip, imported when a backbone is built or looked up: the import takes seconds."""

from __future__ import annotations

import inspect
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

CLIP_TOO_OLD = (
    "CLIP backbones need open_clip_torch 2.26.1 or newer, and an older one is installed here; run: pip install "
    "--upgrade 'clbench[clip]'."
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
    """The module open_clip, which also knows our architectures.

    Raises `UsageError` if it is not installed, or so old that its blocks take the sequence before the batch: our text
    tower and prompts would then mix captions, or tokens of different images.
    """
    try:
        import open_clip
    except ImportError as error:
        raise UsageError(CLIP_MISSING) from error
    if "batch_first" not in inspect.signature(open_clip.transformer.Transformer).parameters:
        raise UsageError(CLIP_TOO_OLD)
    open_clip.add_model_config(CLIP_CONFIGS)
    return open_clip
