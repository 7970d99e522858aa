"""PACS in little: two images of each class in each domain."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen, encode

DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
SIDE = 32


def write(folder: Path, pen: Pen) -> None:
    """DOMAIN_test.hdf5 with all images, blue first, and DOMAIN_train.hdf5 and DOMAIN_val.hdf5 with one half each."""
    for domain in DOMAINS:
        split = "test" if domain == "sketch" else "train"
        drawn = [
            (label + 1, pen.draw(split, each, (SIDE, SIDE))) for _ in range(2) for label, each in enumerate(CLASSES)
        ]
        half = len(drawn) // 2
        for part, rows in (("test", drawn), ("train", drawn[:half]), ("val", drawn[half:])):
            pixels = np.stack([_tinted(np.asarray(image)) for _, image in rows])
            write_files(folder, {f"{domain}_{part}.hdf5": _hdf5(pixels, np.array([label for label, _ in rows]))})


def write_files_of_images(folder: Path, pen: Pen) -> None:
    """PACS.zip with kfold/DOMAIN/CLASS/pic_NUMBER.jpg; sketches are PNG files."""
    content = {}
    for domain in DOMAINS:
        suffix, kind = ("png", "PNG") if domain == "sketch" else ("jpg", "JPEG")
        for each in CLASSES:
            for number in (1, 2):
                image = pen.draw("test" if domain == "sketch" else "train", each)
                content[f"kfold/{domain}/{each}/pic_{number:03}.{suffix}"] = encode(image, kind)
    write_zip(folder / "PACS.zip", content)


def _tinted(pixels: np.ndarray) -> np.ndarray:
    """Blue first; red is brighter, so that a reader which swaps them gives other pixels."""
    return np.stack([pixels[..., 2], pixels[..., 1], np.minimum(pixels[..., 0] + 20, 255)], axis=2)


def _hdf5(images: np.ndarray, labels: np.ndarray) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("images", data=images.astype(np.uint16))
        file.create_dataset("labels", data=labels.astype(np.uint16))
    return buffer.getvalue()
