"""Equal images in training and test, or in two classes, are found and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl.data.duplicates import duplicates, notes_on
from cl.data.store import Dataset, ImageStore
from tests.help.image_folders import folder, save


def dataset(train: list[tuple[int, int]], test: list[tuple[int, int]], notes: tuple[str, ...] = ()) -> Dataset:
    """A dataset of (label, picture) pairs; equal numbers of a picture are equal images."""

    def store(pairs: list[tuple[int, int]]) -> ImageStore:
        pixels = [np.random.default_rng(picture).integers(0, 256, (4, 4, 3), np.uint8) for _, picture in pairs]
        return ImageStore.from_arrays(np.stack(pixels), np.array([label for label, _ in pairs]))

    return Dataset("d", store(train), store(test), ("ant", "bee"), origin="here", notes=notes)


def test_different_images_are_no_duplicates() -> None:
    assert duplicates(dataset([(0, 1), (0, 2), (1, 3)], [(0, 4), (1, 5)])) == []
    assert duplicates(dataset([(0, 1), (0, 1)], [(1, 2)])) == [], "twice in one class is no conflict"


def test_test_images_that_are_learned_are_counted() -> None:
    found = duplicates(dataset([(0, 1), (1, 2)], [(0, 1), (0, 3), (1, 2)]))
    assert found == ["2 of 3 test images are also training images (ant: 1, bee: 1)."]
    assert duplicates(dataset([(0, 1)], [(0, 1)])) == ["1 of 1 test image is also a training image (ant: 1)."]


def test_images_in_two_classes_are_counted_and_named() -> None:
    found = notes_on(dataset([(0, 1), (1, 1), (0, 2), (1, 2)], [(0, 7)], notes=("Left out: 1 file (1 .txt).",)))
    assert found == [
        "Left out: 1 file (1 .txt).",
        "2 images are in two classes (ant and bee: 2), so one label is wrong.",
    ]
    assert "1 image is in two classes" in duplicates(dataset([(0, 1), (1, 1)], [(0, 7)]))[0]


def test_hashes_from_the_cache_are_those_of_the_pixels(cache: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for index in range(4):
            save(tmp_path / "images" / name / f"{index}.png", seed=index)
    for _ in range(2):  # decoded, then cached
        data = folder(tmp_path / "images").dataset
        again = ImageStore.from_arrays(np.asarray(data.train.pixels), data.train.labels)
        np.testing.assert_array_equal(data.train.hashes, again.hashes)
        assert any("in two classes (a and b: 4)" in note for note in duplicates(data))
