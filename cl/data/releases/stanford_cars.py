"""Stanford Cars: 196 models of cars by make, model and year, 16,185 photos; the boxes are not read.

The authors' site is gone. They published all photos in one archive, and training and test photos in two; both forms
have the same photos and splits under other file names.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.lists import as_published
from cl.data.official.matlab import texts, variable
from cl.data.official.release import HANDLERS, OfficialFile, Release

_TEST = "cars_test_annos_withlabels.mat"


def _read(files: Files) -> Listing:
    with as_published(files, "A table"):
        return by_class(files, *_tables(files))


def _tables(files: Files) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """The photos of each split with their models, and all models."""
    if "cars_annos.mat" in files:
        models = texts(files, "cars_annos.mat", "class_names")
        cars = variable(files, "cars_annos.mat", "annotations")
        rows = {
            split: _cars(cars[cars["test"] == test], "relative_im_path", "", models)
            for split, test in (("train", 0), ("test", 1))
        }
    else:
        models = texts(files, "devkit/cars_meta.mat", "class_names")
        rows = {
            split: _cars(variable(files, name, "annotations"), "fname", _folder(files, f"cars_{split}/"), models)
            for split, name in (("train", "devkit/cars_train_annos.mat"), ("test", _TEST))
        }
    return rows, models


def _folder(files: Files, name: str) -> str:
    """The folder of the photos of a split: an archive of Kaggle puts it into another one of its name."""
    return name * 2 if any(each.startswith(name * 2) for each in files.names) else name


def _cars(cars: np.ndarray, field: str, folder: str, models: list[str]) -> list[tuple[str, str]]:
    """The photos of a table; models are counted from 1."""
    return [(f"{folder}{car[field]}", models[int(car["class"]) - 1]) for car in cars]


RELEASE = Release(
    name="stanford_cars",
    title="Stanford Cars",
    files=(
        OfficialFile("car_ims.tgz", md5="d5c8f0aa497503f355e17dc7886c3f14", holds=("car_ims",)),
        OfficialFile("cars_annos.mat", md5="b407c6086d669747186bd1d764ff9dbc"),
    ),
    also=(
        (
            OfficialFile(
                "cars_train.tgz", size=979_269_282, md5="065e5b463ae28d29e77c1b4b166cfe61", holds=("cars_train",)
            ),
            OfficialFile(
                "cars_test.tgz", size=977_350_468, md5="4ce7ebf6a94d07f1952d94dd34c4d501", holds=("cars_test",)
            ),
            OfficialFile(
                "car_devkit.tgz",
                size=330_960,
                md5="c3b158d763b6e2245038c8ad08e45376",
                holds=("devkit/cars_meta.mat", "devkit/cars_train_annos.mat"),
            ),
            OfficialFile(_TEST, size=185_758, md5="b0a2b23655a3edd16d84508592a98d10"),
        ),
    ),
    folders=("stanford-cars",),
    read=_read,
    classes=196,
    images=16_185,
    licence="non-commercial research",
    citation="Krause, Stark, Deng, Fei-Fei, 3D Object Representations for Fine-Grained Categorization, 3dRR 2013",
    page="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    access="the authors' site no longer has the files; find a copy whose checksums are those of the authors' files",
    checked=HANDLERS,
)
