"""CIFAR-10 in little: one image of each class per batch."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_tar
from tools.miniatures.pen import Pen

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """cifar-10-python.tar.gz with five training batches, one test batch and the names, as pickles of Python 2."""
    content = {f"data_batch_{number}": _batch(pen, "train", f"training batch {number} of 5") for number in range(1, 6)}
    content["test_batch"] = _batch(pen, "test", "testing batch 1 of 1")
    content["batches.meta"] = pickle.dumps(
        {"num_cases_per_batch": 10, "label_names": CLASSES, "num_vis": 3072}, protocol=2
    )
    content["readme.html"] = b"<html></html>"
    write_tar(
        folder / "cifar-10-python.tar.gz", {f"cifar-10-batches-py/{name}": data for name, data in content.items()}
    )


def write_binary(folder: Path, pen: Pen) -> None:
    """cifar-10-binary.tar.gz: of each image a byte with its label, then its pixels."""
    content = {f"data_batch_{number}.bin": _records(pen, "train") for number in range(1, 6)}
    content["test_batch.bin"] = _records(pen, "test")
    content["batches.meta.txt"] = ("\n".join(CLASSES) + "\n\n").encode()
    content["readme.html"] = b"<html></html>"
    write_tar(
        folder / "cifar-10-binary.tar.gz", {f"cifar-10-batches-bin/{name}": data for name, data in content.items()}
    )


def write_matlab(folder: Path, pen: Pen) -> None:
    """cifar-10-matlab.tar.gz: the batches and the names as variables of MATLAB."""
    content = {f"data_batch_{number}.mat": _variables(pen, "train") for number in range(1, 6)}
    content["test_batch.mat"] = _variables(pen, "test")
    content["batches.meta.mat"] = mat_bytes({"label_names": np.array(CLASSES, object)[:, None]})
    write_tar(
        folder / "cifar-10-matlab.tar.gz", {f"cifar-10-batches-mat/{name}": data for name, data in content.items()}
    )


def _records(pen: Pen, split: str) -> bytes:
    return b"".join(bytes([label]) + row.tobytes() for label, row in enumerate(_pixels(pen, split)))


def _variables(pen: Pen, split: str) -> bytes:
    return mat_bytes({"data": _pixels(pen, split), "labels": np.arange(len(CLASSES), dtype=np.uint8)[:, None]})


def _pixels(pen: Pen, split: str) -> np.ndarray:
    return np.stack([np.asarray(pen.draw(split, name)).transpose(2, 0, 1).reshape(-1) for name in CLASSES])


def _batch(pen: Pen, split: str, title: str) -> bytes:
    batch = {
        "batch_label": title,
        "labels": list(range(len(CLASSES))),
        "data": _pixels(pen, split),
        "filenames": [f"{name}_s_{number:06}.png" for number, name in enumerate(CLASSES)],
    }
    return pickle.dumps(batch, protocol=2)
