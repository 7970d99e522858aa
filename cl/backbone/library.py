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

CLIP_TOO_OLD = (
    "CLIP backbones need open_clip_torch 3.0 or newer, and {version} is installed here; run: pip install --upgrade "
    "'clbench[clip]'."
)
"""Blocks of 2.24 take the sequence before the batch, which our text tower and prompts do not; 2.30 cannot resize image
towers of timm."""


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

    Raises `UsageError` if it is not installed, too old, or broken.
    """
    try:
        import open_clip
    except ImportError as error:
        if getattr(error, "name", None) not in (None, "open_clip"):
            raise UsageError(f"open_clip is installed, but cannot be imported: {error}; install it again.") from error
        raise UsageError(CLIP_MISSING) from error
    version = str(getattr(open_clip, "__version__", "an older one"))
    if not version.partition(".")[0].isdecimal() or int(version.partition(".")[0]) < 3:
        raise UsageError(CLIP_TOO_OLD.format(version=version))
    open_clip.add_model_config(CLIP_CONFIGS)
    return open_clip
