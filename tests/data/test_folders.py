"""Folders of images: their split, their order, and what cannot be read."""

from __future__ import annotations

import os
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
    assert stream.info.classes_per_task == (2, 2, 1, 1, 1)
    assert (len(stream.dataset.train), len(stream.dataset.test)) == (7, 14)
    assert folder(root, split_seed=3).id == stream.id
    assert folder(root, base=5).info.classes_per_task == (5, 1, 1)


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
