"""CIFAR-100 in little: two training images and one test image of each class."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_tar
from tools.miniatures.pen import Pen

CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
""".split()  # noqa: SIM905
COARSE = [f"superclass_{number}" for number in range(20)]


def write(folder: Path, pen: Pen) -> None:
    """cifar-100-python.tar.gz with a training batch, a test batch and the names, as pickles of Python 2."""
    content = {
        "train": _batch(pen, "train", 2, "training batch 1 of 1"),
        "test": _batch(pen, "test", 1, "testing batch 1 of 1"),
        "meta": pickle.dumps({"fine_label_names": CLASSES, "coarse_label_names": COARSE}, protocol=2),
        "file.txt~": b"",
    }
    write_tar(folder / "cifar-100-python.tar.gz", {f"cifar-100-python/{name}": data for name, data in content.items()})


def write_binary(folder: Path, pen: Pen) -> None:
    """cifar-100-binary.tar.gz: of each image the bytes of its superclass and its class, then its pixels."""
    content = {}
    for split, each in (("train", 2), ("test", 1)):
        labels, pixels = _images(pen, split, each)
        rows = [bytes([label % 20, label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True)]
        content[f"{split}.bin"] = b"".join(rows)
    content["fine_label_names.txt"] = ("\n".join(CLASSES) + "\n").encode()
    content["coarse_label_names.txt"] = ("\n".join(COARSE) + "\n").encode()
    write_tar(folder / "cifar-100-binary.tar.gz", {f"cifar-100-binary/{name}": data for name, data in content.items()})


def write_matlab(folder: Path, pen: Pen) -> None:
    """cifar-100-matlab.tar.gz: the batches and the names as variables of MATLAB."""
    content = {}
    for split, each in (("train", 2), ("test", 1)):
        labels, pixels = _images(pen, split, each)
        fine = np.array(labels, np.uint8)[:, None]
        content[f"{split}.mat"] = mat_bytes({"data": pixels, "fine_labels": fine, "coarse_labels": fine % 20})
    names = {"fine_label_names": CLASSES, "coarse_label_names": COARSE}
    content["meta.mat"] = mat_bytes({key: np.array(each, object)[:, None] for key, each in names.items()})
    write_tar(folder / "cifar-100-matlab.tar.gz", {f"cifar-100-matlab/{name}": data for name, data in content.items()})


def _images(pen: Pen, split: str, each: int) -> tuple[list[int], np.ndarray]:
    labels = [label for label in range(len(CLASSES)) for _ in range(each)]
    pixels = [np.asarray(pen.draw(split, CLASSES[label])).transpose(2, 0, 1).reshape(-1) for label in labels]
    return labels, np.stack(pixels)


def _batch(pen: Pen, split: str, each: int, title: str) -> bytes:
    labels, pixels = _images(pen, split, each)
    batch = {
        "filenames": [f"{CLASSES[label]}_s_{number:06}.png" for number, label in enumerate(labels)],
        "batch_label": title,
        "fine_labels": labels,
        "coarse_labels": [label % 20 for label in labels],
        "data": pixels,
    }
    return pickle.dumps(batch, protocol=2)
