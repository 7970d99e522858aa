"""Packs of random images, a stream file over them, and the stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cl.stream import Stream
from cl.streams.toml_file import TomlFile

Write = Callable[..., Path]

HEAD = 'name = "three"\nsetting = "{setting}"\nsize = 16\n{more}'

TABLE = '[[datasets]]\nname = "{name}"\nyear = {year}\nreader = "pack"\nfiles = ["{name}.npz"]\n{more}'


def pack(path: Path, classes: tuple[str, ...], side: int, channels: int, train: int = 20, test: int = 4) -> None:
    """A pack of random images, `train` and `test` of each class."""
    rng = np.random.default_rng([side, channels, len(classes)])
    number = len(classes) * (train + test)
    shape = (number, side, side, 3) if channels == 3 else (number, side, side)
    split = np.tile(np.repeat([0, 1], [train, test]), len(classes)).astype(np.uint8)
    labels = np.repeat(np.arange(len(classes)), train + test).astype(np.int16)
    np.savez(
        path, images=rng.integers(0, 256, shape, dtype=np.uint8), labels=labels, split=split,
        classes=np.array(classes), meta='{"licence": "CC0", "paper": "made up"}',
    )  # fmt: skip


def build(path: Path, **options: Any) -> Stream:
    return TomlFile().build(TomlFile.Options(**options), argument=str(path), order_seed=1, data_seed=2)
