"""torchvision's datasets, read by torchvision from tiny copies in its own layouts."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from cl.data import torchvision_sets
from cl.data.store import Dataset
from cl.data.torchvision_sets import KNOWN, known, read
from cl.errors import DataError, MissingData, UsageError
from tests.help import idx
from tests.help.image_folders import save


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of CLBENCH_DATA_PATH."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def food(root: Path) -> None:
    classes = {"apple_pie": 3, "sushi": 2}
    for name, count in classes.items():
        for number in range(count + 1):
            save(root / "food-101" / "images" / name / f"{number}.jpg", seed=number)
    meta = root / "food-101" / "meta"
    meta.mkdir()
    splits = {"train": {n: [f"{n}/{i}" for i in range(c)] for n, c in classes.items()}}
    splits["test"] = {name: [f"{name}/{count}"] for name, count in classes.items()}
    for split, content in splits.items():
        (meta / f"{split}.json").write_text(json.dumps(content))


def eurosat(root: Path) -> None:
    for name in ("Forest", "River"):
        for number in range(5):
            save(root / "eurosat" / "2750" / name / f"{number}.jpg", (64, 64), seed=number)


def pets(root: Path) -> None:
    lines = {"trainval": ["Abyssinian_1 1 1 1", "boxer_1 2 2 1"], "test": ["Abyssinian_2 1 1 1", "boxer_2 2 2 1"]}
    (root / "oxford-iiit-pet" / "annotations").mkdir(parents=True)
    for split, rows in lines.items():
        (root / "oxford-iiit-pet" / "annotations" / f"{split}.txt").write_text("\n".join(rows) + "\n")
        for row in rows:
            save(root / "oxford-iiit-pet" / "images" / f"{row.split()[0]}.jpg")


def textures(root: Path) -> None:
    for split in ("train", "val", "test"):
        names = [f"{kind}/{kind}_{split}.jpg" for kind in ("banded", "woven")]
        (root / "dtd" / "dtd" / "labels").mkdir(parents=True, exist_ok=True)
        (root / "dtd" / "dtd" / "labels" / f"{split}1.txt").write_text("\n".join(names))
        for name in names:
            save(root / "dtd" / "dtd" / "images" / name)


def signs(root: Path) -> None:
    (root / "gtsrb" / "GTSRB" / "Training").mkdir(parents=True)
    for label in range(2):
        save(root / "gtsrb" / "GTSRB" / "Training" / f"{label:05}" / "0.ppm", seed=label)
        save(root / "gtsrb" / "GTSRB" / "Final_Test" / "Images" / f"{label}.ppm", seed=label)
    lines = ["Filename;ClassId", *(f"{label}.ppm;{label}" for label in range(2))]
    (root / "gtsrb" / "GT-final_test.csv").write_text("\n".join(lines) + "\n")


def digits(root: Path) -> None:
    idx.write(root / "MNIST" / "raw", zipped=False)


@pytest.mark.parametrize(
    ("name", "write", "names", "train", "test"),
    [
        ("Food101", food, ("apple_pie", "sushi"), [3, 2], [1, 1]),
        ("EuroSAT", eurosat, ("Forest", "River"), [4, 4], [1, 1]),
        ("OxfordIIITPet", pets, ("Abyssinian", "Boxer"), [1, 1], [1, 1]),
        ("DTD", textures, ("banded", "woven"), [1, 1], [1, 1]),
        ("GTSRB", signs, ("0", "1"), [1, 1], [1, 1]),
        ("MNIST", digits, tuple(datasets.MNIST.classes), [6] * 10, [2] * 10),
    ],
)  # fmt: skip
@pytest.mark.parametrize("below", ["", "torchvision"])
def test_a_dataset_in_its_layout(
    name: str, write: Callable[[Path], None], names: tuple[str, ...], train: list[int], test: list[int], below: str,
    data: Path,
) -> None:  # fmt: skip
    write(data / below)
    found = read(name, 16, test_fraction=0.2, split_seed=0)
    assert found.class_names == names
    assert np.bincount(found.train.labels).tolist() == train and np.bincount(found.test.labels).tolist() == test
    assert found.train.image_shape == (16, 16, 1 if known(name).grey else 3)
    assert found.origin == f"{data / below} (torchvision's layout)"
    assert bool(found.notes) == (name == "DTD")


def test_pixels_and_labels_are_those_of_torchvision(data: Path) -> None:
    digits(data)
    found = read("MNIST", 28, test_fraction=0.2, split_seed=0)
    theirs = {(np.asarray(image).tobytes(), label) for image, label in datasets.MNIST(str(data), train=True)}
    ours = {(image.tobytes(), label) for image, label in zip(found.train.pixels, found.train.labels, strict=True)}
    assert ours == theirs


def cifar(root: Path) -> None:
    rng, folder = np.random.default_rng(0), root / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        batch = {"data": rng.integers(0, 256, (10, 3072), np.uint8), "labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"kind {n}" for n in range(10)]}))


def numbers(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        labels = np.array([1, 2, 10, 1, 2, 10])[:, None]
        scipy.io.savemat(
            root / f"{split}_32x32.mat", {"X": rng.integers(0, 256, (32, 32, 3, 6), np.uint8), "y": labels}
        )


def test_datasets_whose_checksums_torchvision_compares(data: Path) -> None:
    cifar(data)
    numbers(data)
    with pytest.raises(DataError, match=r"CIFAR10 in .* cannot be read; put the whole dataset there and run again \("):
        read("CIFAR10", 32, test_fraction=0.2, split_seed=0)
    with mock.patch.object(datasets.CIFAR10, "_check_integrity", lambda self: True), \
            mock.patch("torchvision.datasets.cifar.check_integrity", lambda *given: True):  # fmt: skip
        found = read("CIFAR10", 32, test_fraction=0.2, split_seed=0)
    assert found.class_names[3] == "kind 3" and len(found.train) == 50 and found.train.image_shape == (32, 32, 3)
    with mock.patch.object(datasets.SVHN, "_check_integrity", lambda self: True):
        found = read("SVHN", 32, test_fraction=0.2, split_seed=0)
    assert found.class_names == ("0", "1", "2"), "classes without training images are left out"


def test_it_is_decoded_once_and_again_if_its_files_change(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def again() -> Dataset:
        return read("Food101", 8, test_fraction=0.2, split_seed=0)

    food(data)
    first = again()
    with monkeypatch.context() as patch:
        patch.setattr(torchvision_sets, "native", None)
        assert again().fingerprints == first.fingerprints
    save(data / "food-101" / "images" / "sushi" / "0.jpg", seed=77)
    assert again().fingerprints["train"] != first.fingerprints["train"]
    (data / "food-101" / "images" / "sushi" / "0.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"Cannot read the image \d of the train images of Food101"):
        again()


def test_what_is_not_here_or_not_known(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingData, match=r"torchvision's dataset Food101 \(food-101\) was not found in"):
        read("Food101", 8, test_fraction=0.2, split_seed=0)
    with pytest.raises(UsageError, match=r"torchvision:food101 is none of .* Did you mean 'Food101'"):
        known("food101")
    food(data)
    monkeypatch.delattr(datasets, "Food101")
    with pytest.raises(UsageError, match="no dataset Food101 in this version; run: pip install --upgrade torchvision"):
        read("Food101", 8, test_fraction=0.2, split_seed=0)


def test_every_known_dataset_takes_its_arguments(tmp_path: Path) -> None:
    """torchvision refuses an unknown argument or split before it looks for files."""
    for name, about in KNOWN.items():
        if not hasattr(datasets, name):  # Imagenette is newer than our oldest torchvision
            continue
        for given in filter(None, (about.train, about.test)):
            with pytest.raises((RuntimeError, FileNotFoundError)):
                getattr(datasets, name)(str(tmp_path / name), **given)


def test_labels_that_disagree_with_the_images_are_not_believed() -> None:
    class Odd:
        targets = (0, 0, 0)

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            return Image.new("RGB", (4, 4)), index

    assert torchvision_sets._labels(Odd()).tolist() == [0, 1, 2]
