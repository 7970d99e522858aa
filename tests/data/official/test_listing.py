"""Listings: labels and images of files, boxes, arrays in memory, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl.data.images import UnreadableImage
from cl.data.official.files import Files, Folder
from cl.data.official.listing import (
    Examples,
    Listing,
    arrays,
    by_class,
    by_name,
    drawn,
    image_files,
    learnable,
    many_classes,
)
from cl.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Four images of one colour each, 6 x 4 pixels; d.png is grey."""
    for name, colour in (("a", (255, 0, 0)), ("b", (0, 255, 0)), ("c", (0, 0, 255))):
        Image.new("RGB", (6, 4), colour).save(tmp_path / f"{name}.png")
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(tmp_path / "d.png")
    return Files([Folder(tmp_path, ("",))], "here")


def test_classes_are_numbered_by_name(files: Files) -> None:
    listing = by_class(files, {"train": [("a.png", "owl"), ("b.png", "cat")], "test": [("c.png", "owl")]}, notes=("n",))
    assert listing.class_names == ("cat", "owl") and listing.notes == ("n",)
    assert listing.splits["train"].labels.tolist() == [1, 0]
    assert listing.splits["test"].labels.tolist() == [1]
    assert not listing.multi_label and len(listing) == 3
    assert listing.splits["train"].decode(1)[0, 0].tolist() == [0, 255, 0]


def test_classes_have_the_order_that_is_given(files: Files) -> None:
    listing = by_class(files, {"all": [("a.png", "owl"), ("b.png", "cat")]}, ("owl", "dog", "cat"))
    assert listing.splits["all"].labels.tolist() == [0, 2]
    with pytest.raises(DataError, match=r"^here has images of an unknown class 'cat'; get the dataset again\.$"):
        by_class(files, {"all": [("b.png", "cat")]}, ("owl",))


def test_a_split_may_be_empty(files: Files) -> None:
    splits = by_class(files, {"train": [("a.png", "owl")], "test": []}).splits
    assert len(splits["test"]) == 0 and splits["test"].labels.dtype == np.int64


def test_several_classes_or_none(files: Files) -> None:
    rows = {"train": [("a.png", ["cat", "owl"]), ("b.png", [])], "test": []}
    listing = many_classes(files, rows, ("owl", "dog", "cat"))
    assert listing.multi_label
    assert listing.splits["train"].labels.tolist() == [[True, False, True], [False] * 3]
    assert listing.splits["test"].labels.shape == (0, 3)
    with pytest.raises(DataError, match="unknown class 'cow'"):
        many_classes(files, {"all": [("a.png", ["cow"])]}, ("owl",))


def test_grey_stays_grey(files: Files) -> None:
    examples = image_files(files, ["d.png", "a.png"], np.zeros(2, np.int64))
    assert examples.decode(0).shape == (4, 6, 1) and examples.decode(1).shape == (4, 6, 3)
    assert examples.decode(0)[..., 0].tolist() == np.arange(24).reshape(4, 6).tolist()


def test_boxes_are_parts_cut_at_the_edges(files: Files) -> None:
    boxes = [(1, 1, 3, 4), (-5, 2, 99, 99), (6, 0, 9, 4)]
    examples = image_files(files, ["d.png"] * 3, np.zeros(3, np.int64), boxes)
    assert examples.decode(0)[..., 0].tolist() == [[7, 8], [13, 14], [19, 20]]
    assert examples.decode(1)[..., 0].tolist() == np.arange(12, 24).reshape(2, 6).tolist()
    with pytest.raises(UnreadableImage, match=r"d\.png of here \(its part \(6, 0, 9, 4\) is empty\)"):
        examples.decode(2)


def test_a_change_comes_first(files: Files) -> None:
    turned = image_files(files, ["d.png"], np.zeros(1, np.int64), change=lambda image: image.rotate(90, expand=True))
    assert turned.decode(0).shape == (6, 4, 1)


def test_identity_tells_files_and_boxes_apart(files: Files, tmp_path: Path) -> None:
    labels = np.zeros(1, np.int64)
    kept = {
        tuple(image_files(files, [name], labels, boxes).identity())
        for name, boxes in (("a.png", None), ("b.png", None), ("a.png", [(0, 0, 2, 2)]), ("a.png", [(0, 0, 2, 3)]))
    }
    assert len(kept) == 4
    before = list(image_files(files, ["a.png"], labels).identity())
    Image.new("RGB", (7, 4)).save(tmp_path / "a.png")
    assert before != list(image_files(files, ["a.png"], labels).identity())


def test_an_image_that_a_list_names_and_that_lacks_is_one_sentence(files: Files) -> None:
    with pytest.raises(DataError, match=r"^here has no file z\.png; get the whole dataset"):
        list(image_files(files, ["z.png"], np.zeros(1, np.int64)).identity())


def test_a_file_that_is_no_image_is_one_sentence(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"<html>")
    with pytest.raises(
        UnreadableImage, match=r"^Cannot read the image a\.png of here \(it is not an image that Pillow"
    ):
        image_files(files, ["a.png"], np.zeros(1, np.int64)).decode(0)


def test_arrays_in_memory() -> None:
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    examples = arrays(pixels, np.array([1, 0]))
    assert examples.decode(1).shape == (3, 4, 1) and examples.decode(1)[0, 0, 0] == 12
    assert arrays([np.zeros((2, 5, 3), np.uint8)], np.array([0])).decode(0).shape == (2, 5, 3)
    assert len(set(examples.identity())) == 2
    assert list(examples.identity()) != list(arrays(pixels.reshape(2, 4, 3), np.array([1, 0])).identity())
    with pytest.raises(ValueError, match="uint8, not float64"):
        arrays(np.zeros((1, 2, 2)), np.array([0])).decode(0)


@pytest.mark.parametrize("labels", [np.zeros(3, np.int64), np.zeros(2, np.int32), np.zeros(2)])
def test_labels_fit_the_images(files: Files, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"labels must be int64 \[2\] or bool \[2, C\], not "):
        image_files(files, ["a.png", "b.png"], labels)


def test_splits_have_known_names(files: Files) -> None:
    examples: Examples = arrays(np.zeros((1, 2, 2), np.uint8), np.array([0]))
    with pytest.raises(ValueError, match="a split is one of all, train, val, test, not 'dev'"):
        Listing(("a",), {"dev": examples})


def test_classes_without_training_images_are_left_out_and_said(files: Files) -> None:
    rows = {"train": [("a.png", "owl"), ("b.png", "cat")], "test": [("c.png", "dog"), ("d.png", "owl")]}
    found = learnable(by_class(files, rows, ("dog", "cat", "owl"), notes=("n",)))
    assert found.class_names == ("cat", "owl")
    assert found.notes == ("n", "Left out: 1 image of classes without training images (dog).")
    assert {split: each.labels.tolist() for split, each in found.splits.items()} == {"train": [1, 0], "test": [1]}
    assert found.splits["test"].decode(0).shape == (4, 6, 1), "d.png is the only grey one"
    assert len(list(found.splits["test"].identity())) == 1
    unseen = learnable(by_class(files, {"all": [("a.png", "owl")]}, ("cat", "owl")))
    assert unseen.class_names == ("owl",) and not unseen.notes, "nothing is left out where a class has no image at all"


def test_classes_sorted_by_name_keep_their_images(files: Files) -> None:
    rows = {"all": [("a.png", "owl"), ("b.png", "cat"), ("c.png", "owl"), ("d.png", "bat")]}
    listing = by_name(by_class(files, rows, ("owl", "cat", "bat")))
    assert listing.class_names == ("bat", "cat", "owl") and listing.splits["all"].labels.tolist() == [2, 1, 2, 0]
    assert listing.splits["all"].decode(1)[0, 0].tolist() == [0, 255, 0]


def test_a_set_is_drawn_as_a_folder_of_class_folders_would_be(tmp_path: Path) -> None:
    from cl.data.folders import split_files
    from tests.help.image_trees import grow

    _, train, test = split_files(grow(tmp_path, 10, ["ant", "bee"]), 0.2, 3)
    files = Files([Folder(tmp_path, ("",))], "here")
    listing = drawn(by_class(files, {"all": [(name, name.partition("/")[0]) for name in files.names]}), 0.2, 3)
    for split, expected in (("train", train), ("test", test)):
        examples = listing.splits[split]
        names = {text.partition("\t")[0] for text in examples.identity()}
        assert names == {path.relative_to(tmp_path).as_posix() for paths in expected.values() for path in paths}
        assert examples.labels.tolist() == [0] * len(expected["ant"]) + [1] * len(expected["bee"])
    assert drawn(listing, 0.5, 3) is listing, "what has a split keeps it"
    with pytest.raises(DataError, match="has a single image"):
        drawn(by_class(files, {"all": [("ant/art_0.jpg", "ant")]}), 0.2, 3)
