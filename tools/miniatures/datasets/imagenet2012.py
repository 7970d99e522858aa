"""ImageNet in little: one training and one validation image of each of 1,000 classes, whose numbers are made up.

The first two classes have fifteen training images, the fewest of which NEVIS'22 holds out two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, tar_bytes, write_files, write_tar, write_zip
from tools.miniatures.pen import Pen

_CLASSES = 1_000
_FIELDS = (
    *("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"),
)


def write(folder: Path, pen: Pen) -> None:
    """The archive of the classes' archives, that of the validation images, and the development kit."""
    train, val = _images(pen, _names())
    archives: dict[str, dict[str, bytes]] = {}
    for name, data in train.items():
        number, _, file = name.partition("/")
        archives.setdefault(number, {})[file] = data
    write_tar(folder / "ILSVRC2012_img_train.tar", {f"{each}.tar": tar_bytes(own) for each, own in archives.items()})
    write_tar(folder / "ILSVRC2012_img_val.tar", val)
    write_tar(folder / "ILSVRC2012_devkit_t12.tar.gz", _kit())


def write_folders(folder: Path, pen: Pen) -> None:
    """train/ and val/ with a folder for each class, as torchvision and many scripts leave them; no list of names."""
    train, val = _images(pen, {number: number for number in _names()})
    write_files(folder / "train", train)
    write_files(folder / "val", {f"{_number(_place(at))}/{name}": data for at, (name, data) in enumerate(val.items())})


def write_half_unpacked(folder: Path, pen: Pen) -> None:
    """train/ with a folder for each class, the other files as published."""
    train, val = _images(pen, _names())
    write_files(folder / "train", train)
    write_tar(folder / "ILSVRC2012_img_val.tar", val)
    write_tar(folder / "ILSVRC2012_devkit_t12.tar.gz", _kit())


def write_kaggle(folder: Path, pen: Pen) -> None:
    """imagenet-object-localization-challenge.zip with classes and boxes of validation images in a table."""
    names = _names()
    train, val = _images(pen, names)
    root = "ILSVRC/Data/CLS-LOC"
    content = {f"{root}/train/{name}": data for name, data in train.items()}
    content |= {f"{root}/val/{name}": data for name, data in val.items()}
    content[f"{root}/test/ILSVRC2012_test_00000001.JPEG"] = pen.encoded("", "", size=(16, 16))
    content["LOC_synset_mapping.txt"] = "".join(
        f"{each} {_words(place)}\n" for place, each in enumerate(names)
    ).encode()
    lines = [f"{name.partition('.')[0]},{_number(_place(at))} 1 2 9 9 \n" for at, name in enumerate(val)]
    content["LOC_val_solution.csv"] = ("ImageId,PredictionString\n" + "".join(reversed(lines))).encode()
    write_zip(folder / "imagenet-object-localization-challenge.zip", content)


def _images(pen: Pen, names: dict[str, str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Training images by NUMBER/NUMBER_COUNT.JPEG, and validation images in no order of classes."""
    labels = list(names.values())
    train = {
        f"{number}/{number}_{place + 7 + count}.JPEG": pen.encoded("train", labels[place], size=(20, 16))
        for place, number in enumerate(names)
        for count in range(15 if place < 2 else 1)
    }
    val = {
        f"ILSVRC2012_val_{at + 1:08}.JPEG": pen.encoded("test", labels[_place(at)], size=(16, 20))
        for at in range(_CLASSES)
    }
    return train, val


def _kit() -> dict[str, bytes]:
    """Classes are numbered in another order than that of WordNet; inner nodes follow them."""
    kit = "ILSVRC2012_devkit_t12"
    table = [(_own(place), _number(place), _words(place), 0) for place in range(_CLASSES)]
    table += [(_CLASSES + 1, "n00001740", "entity", 2), (_CLASSES + 2, "n00001930", "physical entity, crane", 3)]
    synsets = np.zeros((len(table), 1), [(field, object) for field in _FIELDS])
    for row, (own, number, words, children) in enumerate(sorted(table)):
        inner = np.arange(1, children + 1, dtype=np.float64)
        synsets[row, 0] = (float(own), number, words, "a thing", float(children), inner, 1.0, 1300.0)
    answers = "".join(f"{_own(_place(at))}\n" for at in range(_CLASSES))
    return {
        f"{kit}/readme.txt": b"ILSVRC2012\n",
        f"{kit}/data/meta.mat": mat_bytes({"synsets": synsets}),
        f"{kit}/data/ILSVRC2012_validation_ground_truth.txt": answers.encode(),
    }


def _names() -> dict[str, str]:
    """The names that a reader gives the classes, by their WordNet numbers."""
    firsts = [_words(place).partition(",")[0] for place in range(_CLASSES)]
    return {
        _number(place): first if firsts.count(first) == 1 else f"{first} ({_number(place)})"
        for place, first in enumerate(firsts)
    }


def _number(place: int) -> str:
    return f"n{2_000_000 + place:08}" if place else "n01440764"


def _words(place: int) -> str:
    """The words of a class; two classes share their first."""
    return "crane" if place in (134, 517) else f"thing {place}, Res {place}"


def _place(at: int) -> int:
    """The class of a validation image."""
    return at * 7 % _CLASSES


def _own(place: int) -> int:
    """The challenge's number of a class."""
    return place * 3 % _CLASSES + 1
