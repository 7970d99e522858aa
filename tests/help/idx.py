"""Small files in MNIST's format, and the catalog's datasets made as small."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cl.data import catalog
from cl.data.known import Part

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TRAIN, TEST = 6, 2
"""Images per class."""


def idx(values: np.ndarray) -> bytes:
    """Unsigned bytes as an IDX file."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


def arrays(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images [N, 28, 28] and labels of ten classes, by split."""
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (10 * each, 28, 28), np.uint8), rng.permutation(np.repeat(np.arange(10), each)))
        for split, each in (("train", TRAIN), ("test", TEST))
    }


def write(folder: Path, *, zipped: bool, prefix: str = "", seed: int = 0) -> tuple[Path, ...]:
    """The four files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = arrays(seed)
    contents = [values for split in ("train", "test") for values in made[split]]
    paths = []
    for name, values in zip(FILES, contents, strict=True):
        data = idx(values)
        paths.append(folder / f"{prefix}{name}{'.gz' if zipped else ''}")
        paths[-1].write_bytes(gzip.compress(data) if zipped else data)
    return tuple(paths)


def declare(monkeypatch: pytest.MonkeyPatch, name: str, part: tuple[int, int] = (30, 10)) -> None:
    """Make the catalog's dataset as small as the files of `write`, and its pack of a part smaller."""
    real = catalog.DATASETS[name]
    small = replace(real, sizes=(10 * TRAIN, 10 * TEST), fingerprints={}, part=Part(part, {}))
    monkeypatch.setitem(catalog.DATASETS, name, small)


def write_pack(path: Path, classes: tuple[str, ...], train: int = 3, test: int = 1, side: int = 28) -> None:
    """A pack with so many images per class."""
    count = len(classes) * (train + test)
    labels = np.tile(np.arange(len(classes)), train + test)
    split = np.repeat([0, 1], [len(classes) * train, len(classes) * test])
    images = np.random.default_rng(1).integers(0, 256, (count, side, side), np.uint8)
    np.savez(path, images=images, labels=labels.astype(np.int16), split=split.astype(np.uint8),
             classes=np.array(classes), meta=np.array("{}"))  # fmt: skip
