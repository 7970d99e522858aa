"""The forms in which people have the datasets of standard streams, made from one miniature of the official files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cl.data import releases
from tests.help.releases import unpack, written
from tools.miniatures.packing import mat_bytes

Layout = Callable[[Path, Path], None]
"""Writes into a folder of CLBENCH_DATA_PATH what is made from the folder of a miniature, which it may use up."""


def miniature(release: str, folder: Path, form: str = "write") -> Path:
    """The folder of a miniature."""
    written(release, folder, form)
    return folder / release


def unpacked(release: str) -> Callable[[Path, Path], None]:
    """What the archives of a release hold, directly in the data folder."""

    def lay(source: Path, data: Path) -> None:
        unpack(source, data, releases.release(release))

    return lay


def packed(folder: str = ".") -> Layout:
    """The official files, in a folder of the data folder or directly in it."""

    def lay(source: Path, data: Path) -> None:
        shutil.copytree(source, data / folder, dirs_exist_ok=True)

    return lay


def sorted_validation(copied: bool, nested: bool) -> Layout:
    """Tiny-ImageNet after a script that moved or copied its validation images to val/CLASS/ or val/CLASS/images/."""

    def lay(source: Path, data: Path) -> None:
        unpacked("tiny_imagenet")(source, data)
        val = data / "tiny-imagenet-200" / "val"
        for line in (val / "val_annotations.txt").read_text().splitlines():
            name, owner = line.split("\t")[:2]
            target = val / owner / ("images" if nested else ".") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copy if copied else shutil.move)(val / "images" / name, target)

    return lay


def two_folders_of_cars(folder: str, nested: bool) -> Layout:
    """Stanford Cars as training and test photos with the authors' second kind of tables; Kaggle nests the folders."""

    def lay(source: Path, data: Path) -> None:
        from scipy.io import loadmat

        unpacked("stanford_cars")(source, source / "all")
        tables = loadmat(source / "all" / "cars_annos.mat", squeeze_me=True)
        root = data / folder
        (root / "devkit").mkdir(parents=True)
        for number, split in enumerate(("train", "test")):
            target = root / f"cars_{split}" / (f"cars_{split}" if nested else ".")
            target.mkdir(parents=True)
            rows: list[tuple[np.ndarray, np.ndarray]] = []
            for car in tables["annotations"][tables["annotations"]["test"] == number]:
                shutil.copy(source / "all" / str(car["relative_im_path"]), target / f"{len(rows) + 1:05}.jpg")
                rows.append((np.array([[int(car["class"])]]), np.array([f"{len(rows) + 1:05}.jpg"])))
            table = mat_bytes({"annotations": np.array([rows], [("class", "O"), ("fname", "O")])})
            name = "devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat"
            (root / name).write_bytes(table)
        names = np.array([[np.array([name]) for name in tables["class_names"]]], dtype=object).reshape(1, -1)
        (root / "devkit" / "cars_meta.mat").write_bytes(mat_bytes({"class_names": names}))

    return lay
