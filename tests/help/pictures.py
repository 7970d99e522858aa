"""A picture, and a transform that only scales its values."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from cl.backbone.transform import Transform

PLAIN = Transform(32, (0.0,) * 3, (1.0,) * 3)


def photo(height: int = 48, width: int = 64) -> torch.Tensor:
    """A smooth random picture, uint8 [1, 3, H, W]."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(large)).permute(2, 0, 1)[None]
