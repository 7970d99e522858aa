"""Folders of images: their split, their order, and what cannot be read."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import ClbenchError, DataError, UsageError
from tests.help.image_folders import folder, save, tree


@pytest.mark.parametrize("name", ["test", "val"])
def test_train_and_test_folders_keep_their_split(cache: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "data"
    tree(root / "train", {f"c{i}": 1 for i in range(7)})
    tree(root / name, {f"c{i}": 2 for i in range(7)})
    stream = folder(root)
    assert stream.info.classes_per_task == (3, 2, 2)
    assert (len(stream.dataset.train), len(stream.dataset.test)) == (7, 14)
    assert folder(root, split_seed=3).id == stream.id
    assert folder(root, base=5).info.classes_per_task == (5, 2)


def test_the_order_of_files_does_not_matter_and_a_changed_file_is_seen(cache: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "a" / "pets", {"x": 4, "y": 4})
    first = folder(root).dataset.fingerprints
    other = tmp_path / "b" / "pets"
    for path in sorted(root.rglob("*.png"), reverse=True):
        target = other / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert folder(other).dataset.fingerprints == first
    save(root / "x" / "0.png", seed=999)
    os.utime(root / "x" / "0.png", ns=(1, 1))
    assert folder(root).dataset.fingerprints != first


def damaged(root: Path) -> None:
    tree(root, {"a": 3, "b": 3})
    (root / "a" / "0.png").write_bytes((root / "a" / "0.png").read_bytes()[:-40])


def foreign(root: Path) -> None:
    tree(root, {"a": 3, "b": 3})
    (root / "a" / "0.png").write_text("hello")


def several_damaged(root: Path) -> None:
    damaged(root)
    (root / "b" / "1.png").write_text("hello")


def tiny_imagenet(root: Path) -> None:
    tree(root / "train", {"n1": 1, "n2": 1})
    tree(root / "val", {"images": 2})
    (root / "wnids.txt").touch()
    (root / "val" / "val_annotations.txt").touch()


@pytest.mark.parametrize(
    ("make", "message", "kind"),
    [
        (lambda root: None, "There is no folder", UsageError),
        (lambda root: root.mkdir(), "no class folders", UsageError),
        (lambda root: tree(root, {"a": 2, "b": 1}), "Class 'b' of .* has a single image", DataError),
        (lambda root: (root / "a").mkdir(parents=True), "Class folder .*a holds no images", DataError),
        (lambda root: tree(root / "train", {"a": 1}), "neither test/ nor val/", UsageError),
        (
            lambda root: (tree(root / "train", {"a": 1, "b": 1}), tree(root / "test", {"a": 1})),
            "Class 'b' of .* has no test images",
            DataError,
        ),
        (
            lambda root: (tree(root / "train", {"a": 1}), tree(root / "test", {"a": 1, "b": 1})),
            "Class 'b' of .* has no training images",
            DataError,
        ),
        (lambda root: tree(root, {"a": 3}), "has the single class 'a'; a stream needs at least two", UsageError),
        (
            lambda root: (tree(root, {"images": 3}), (root / "labels.csv").touch()),
            "has one folder of images and labels.csv; to read the classes there, set stream.labels=labels.csv",
            UsageError,
        ),
        (lambda root: tree(root / "images", {"a": 2, "b": 2}), "class folders, as in folder:.*data/images", UsageError),
        (
            lambda root: (tree(root / "one", {"a": 2, "b": 2}), tree(root / "two", {"a": 2, "b": 2})),
            r"2 folders of folders \(one/a, \.\.\.\); give the path .* folder:.*data/one",
            UsageError,
        ),
        (
            lambda root: (
                tree(root / "train", {"a": 1, "b": 1}),
                tree(root / "Train", {"a": 1}),
                tree(root / "test", {}),
            ),
            "has Train/ and train/, and which of them to read is not clear",
            UsageError,
        ),
        (
            lambda root: (tree(root / "train", {"a": 1, "b": 1}), tree(root, {"test": 1})),
            "test has no class folders, so that its images have no labels",
            UsageError,
        ),
        (
            lambda root: tree(root, {unicodedata.normalize(form, "caf\u00e9"): 2 for form in ("NFC", "NFD")}),
            "two folders named 'caf\u00e9' in different spellings of Unicode",
            DataError,
        ),
        (lambda root: tree(root, {"a": 2, "b\udcff": 2}), r"class folder .*data/b\\udcff cannot be printed", DataError),
        (tiny_imagenet, "--stream tiny-imagenet --set stream.folder=", UsageError),
        (several_damaged, r"Cannot read 2 images: .*a/0.png \(.*\), .*b/1.png \(it is not an image", DataError),
        (damaged, r"Cannot read the image .*0.png .*replace or remove it", DataError),
        (foreign, r"Cannot read the image .*0.png \(it is not an image", DataError),
    ],
)
def test_folders_that_cannot_be_used_are_one_sentence(
    cache: Path, tmp_path: Path, make: Callable[[Path], Any], message: str, kind: type[ClbenchError]
) -> None:
    make(tmp_path / "data")
    with pytest.raises(kind, match=message) as caught:
        folder(tmp_path / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("train", "test"), [("Train", "Test"), ("TRAIN", "VAL"), ("training", "testing"), ("train", "validation")]
)
def test_the_folders_of_a_split_have_many_names(cache: Path, tmp_path: Path, train: str, test: str) -> None:
    tree(tmp_path / train, {"a": 3, "b": 3})
    tree(tmp_path / test, {"a": 2, "b": 2})
    data = folder(tmp_path).dataset
    assert data.class_names == ("a", "b") and (len(data.train), len(data.test)) == (6, 4) and data.notes == ()


def test_what_is_not_read_next_to_a_split_is_said(cache: Path, tmp_path: Path) -> None:
    for name in ("train", "test", "val"):
        tree(tmp_path / name, {"a": 2, "b": 2})
    (tmp_path / "readme.txt").touch()
    (tmp_path / "train" / "a" / "notes.txt").touch()
    assert folder(tmp_path).dataset.notes == (
        "Left out: 2 files (2 .txt).",
        f"Left out: the folder {tmp_path / 'val'} (test/ holds the test images).",
    )


def test_validation_images_are_the_test_set_where_test_images_have_no_labels(cache: Path, tmp_path: Path) -> None:
    tree(tmp_path / "train", {"a": 2, "b": 2})
    tree(tmp_path / "val", {"a": 1, "b": 1})
    save(tmp_path / "test" / "1.png")
    data = folder(tmp_path).dataset
    assert len(data.test) == 2 and "(its images have no labels)" in data.notes[0]


def test_a_class_may_be_called_train(cache: Path, tmp_path: Path) -> None:
    assert folder(tree(tmp_path / "vehicles", {"train": 3, "car": 3})).dataset.class_names == ("car", "train")


def test_images_in_a_folder_of_their_class_are_read(cache: Path, tmp_path: Path) -> None:
    """The layout of Tiny-ImageNet, and of video frames."""
    for name in ("n1", "n2"):
        tree(tmp_path / name, {"images": 2, f"{name}-clip": 2})
    tree(tmp_path / "n3", {"images": 2})
    assert folder(tmp_path).dataset.class_names == ("n1", "n2", "n3")


def test_class_names_are_compared_in_one_spelling_of_unicode(cache: Path, tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    tree(tmp_path / "train", {one: 1, "b": 1})
    tree(tmp_path / "test", {two: 1, "b": 1})
    assert folder(tmp_path).dataset.class_names == ("b", one)
