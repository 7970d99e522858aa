"""Fixtures of the data tests: an empty cache of its own, and tiny files in the official layouts."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cl.data import catalog
from cl.data.readers import CifarLayout
from cl.data.store import ImageStore

LAYOUT = CifarLayout("cifar-100-python", ("train",), ("test",), "meta", "fine_labels", "fine_label_names")


class TinyCifar:
    """CIFAR-100's layouts with 3 classes, 4 training and 2 test images of each."""

    class_names = ("ant", "bee", "cat")

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pixels = {"train": rng.integers(0, 256, (12, 32, 32, 3), np.uint8)}
        self.pixels["test"] = rng.integers(0, 256, (6, 32, 32, 3), np.uint8)
        self.labels = {
            "train": rng.permutation(np.repeat(np.arange(3), 4)),
            "test": rng.permutation(np.repeat(np.arange(3), 2)),
        }

    def stores(self) -> dict[str, ImageStore]:
        """The images of each split as a store."""
        return {split: ImageStore.from_arrays(self.pixels[split], self.labels[split]) for split in ("train", "test")}

    def members(self) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for split in ("train", "test"):
            rows = np.ascontiguousarray(self.pixels[split].transpose(0, 3, 1, 2)).reshape(-1, 3072)
            batch: dict[str, Any] = {"data": rows, "fine_labels": self.labels[split].tolist(), "coarse_labels": []}
            files[split] = pickle.dumps(batch, protocol=2)
        files["meta"] = pickle.dumps({"fine_label_names": list(self.class_names)}, protocol=2)
        return files

    def archive(self, folder: Path, extra: dict[str, bytes] | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "cifar-100-python.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in (self.members() | (extra or {})).items():
                info = tarfile.TarInfo(f"cifar-100-python/{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    def extracted(self, folder: Path) -> Path:
        path = folder / "cifar-100-python"
        path.mkdir(parents=True)
        for name, data in self.members().items():
            (path / name).write_bytes(data)
        return path

    def packs(self, folder: Path, image_format: str = "png") -> tuple[Path, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for code, split in enumerate(("train", "test")):
            paths.append(folder / f"cifar100_{split}.npz")
            codes = np.full(len(self.labels[split]), code)
            save_pack(paths[-1], self.pixels[split], self.labels[split], codes, self.class_names, image_format)
        return paths[0], paths[1]


def save_pack(
    path: Path,
    pixels: np.ndarray,
    labels: np.ndarray,
    split: np.ndarray,
    classes: tuple[str, ...],
    image_format: str | None,
    **meta: Any,
) -> None:
    """Write a pack: encoded with an image format, or raw with None."""
    common: dict[str, Any] = {
        "labels": labels.astype(np.int16),
        "split": split.astype(np.uint8),
        "classes": np.array(classes),
        "meta": np.array(json.dumps(meta)),
    }
    if image_format is None:
        np.savez(path, images=pixels, **common)
        return
    encoded = []
    for image in pixels:
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze()).save(buffer, image_format, lossless=True)
        encoded.append(buffer.getvalue())
    offsets = np.cumsum([0, *(len(data) for data in encoded)])
    np.savez(path, data=np.frombuffer(b"".join(encoded), np.uint8), offsets=offsets, **common)


@pytest.fixture
def tiny() -> TinyCifar:
    return TinyCifar()


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Declare the tiny archive in place of CIFAR-100."""

    def change(sha256: str | None = None, urls: tuple[str, ...] = (), size: int = 0, **fingerprints: str) -> None:
        real = catalog.DATASETS["cifar100"]
        archive = replace(real.archive, sha256=sha256, urls=urls, size=size)
        small = replace(
            real, sizes=(12, 6), class_names=TinyCifar.class_names, archive=archive, fingerprints=dict(fingerprints)
        )
        monkeypatch.setitem(catalog.DATASETS, "cifar100", small)

    return change


@pytest.fixture
def make_pack() -> Callable[..., None]:
    return save_pack


@pytest.fixture
def cifar_layout() -> CifarLayout:
    return LAYOUT
