"""The union of datasets: each kept apart, all in one form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cl.data.store import Dataset, ImageStore
from cl.declared.union import Part, union
from tests.help.declared import Write, build


def test_a_union_keeps_datasets_apart_and_brings_images_to_one_form(write: Write) -> None:
    stream = build(write())
    assert [group.name for group in stream.groups] == ["grey", "colour", "large"]
    assert stream.setting == "task-incremental" and stream.dataset.train.pixels.shape == (160, 16, 16, 3)
    assert stream.info.class_names[:3] == ("grey/dog", "grey/cat", "colour/cat")
    assert [experience.classes for experience in stream.experiences] == [(0, 1), (2, 3, 4), (5, 6, 7)]
    assert [len(experience.train) for experience in stream.experiences] == [40, 60, 60]
    grey = stream.dataset.train.pixels[stream.experiences[0].train]
    assert (grey == grey[..., :1]).all(), "a grey image has three equal channels"
    assert isinstance(stream.dataset.train.pixels, np.memmap)
    assert stream.dataset.licence == "CC0" and stream.dataset.citation == "made up"


def test_images_of_the_right_form_are_left_as_they_are(write: Write, tmp_path: Path) -> None:
    stream = build(write())
    with np.load(tmp_path / "data" / "colour.npz") as original:
        wanted = {image.tobytes() for image in original["images"][original["split"] == 0]}
    rows = stream.experiences[1].train
    assert {image.tobytes() for image in np.asarray(stream.dataset.train.pixels)[rows]} == wanted


def test_resizing_is_that_of_pillow(write: Write, tmp_path: Path) -> None:
    stream = build(write(tables={"large": ""}))
    with np.load(tmp_path / "data" / "large.npz") as original:
        image = Image.fromarray(original["images"][0])
    wanted = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))
    assert (np.asarray(stream.dataset.train.pixels) == wanted).all((1, 2, 3)).sum() == 1


def test_tags_follow_images_that_resizing_puts_in_another_order(cache: Path) -> None:
    """The classes of an image are written into its first pixel, which resizing by two keeps nearly as it is."""
    rng = np.random.default_rng(0)
    tags = rng.random((60, 3)) < 0.5
    pixels = rng.integers(0, 256, (60, 8, 8, 3), np.uint8)
    pixels[:, :4, :4] = (tags * 200)[:, None, None, :].astype(np.uint8)
    store = ImageStore.from_arrays(pixels, tags)
    dataset = Dataset("toy", store, store, ("a", "b", "c"), origin="test", shares={"its release": 0.25})
    rows = {
        "train": ("train", np.arange(0, 60, 2)),
        "val": ("train", np.arange(1, 60, 2)),
        "test": ("test", np.arange(60)),
    }
    part = Part(dataset, np.arange(3), rows)
    whole, [found], [tagged] = union("toys", ("a", "b", "c"), [part], 16)
    assert whole.shares == {"toy": 0.25}
    moved = [np.asarray(whole.test.pixels[row, 2, 2]) > 100 for row in range(60)]
    assert store.tags is not None and not np.array_equal(moved, store.tags), (
        "the order must differ for the test to see anything"
    )
    for split in ("train", "val", "test"):
        images = whole.test if split == "test" else whole.train
        expected = np.stack([np.asarray(images.pixels[row, 2, 2]) > 100 for row in found[split]])
        assert np.array_equal(tagged[split].of(found[split]), expected)
        assert np.array_equal(tagged[split].of(found[split][[3, 1]]), expected[[3, 1]])
    assert whole.train.tags is None and whole.test.tags is None
