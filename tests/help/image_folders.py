"""Folders of random images, and the stream of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cl.streams.folder import Folder

SEEDS: dict[str, Any] = {"order_seed": 1993, "data_seed": 1993}


def save(path: Path, size: tuple[int, int] = (12, 10), seed: int = 0, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) + (() if mode == "L" else (len(mode),))
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode).save(path)


def tree(root: Path, per_class: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(per_class.items()):
        for index in range(count):
            save(root / name / f"{index}.png", seed=100 * number + index)
    return root


def folder(path: Path, **options: Any) -> Any:
    return Folder().build(Folder.Options(**({"size": 8} | options)), argument=str(path), **SEEDS)
