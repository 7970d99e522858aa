"""Trees of small images in the layouts of real datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cl.stream import Stream
from cl.streams.trees import ImageNetR

SIZE = 8

PER_CLASS = 5

NAMES = [f"n{1_440_000 + 7 * label:08d}" for label in range(200)]


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((9, 11, 3), (number >> 8, number & 255, 99), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")  # content decides, as for the JPEG files that are PNG in the wild


def grow(
    root: Path, per_class: int = PER_CLASS, names: list[str] = NAMES, start: int = 0, suffix: str = ".jpg"
) -> Path:
    for label, name in enumerate(names):
        for index in range(per_class):
            picture(root / name / f"art_{index}{suffix}", start + label * per_class + index)
    return root


def build(family: Any = ImageNetR, /, seed: int = 1993, **options: Any) -> Stream:
    chosen = family.Options(**{"size": SIZE, **options})
    return family().build(chosen, order_seed=seed, data_seed=seed)
