"""The union of datasets: each kept apart, all in one form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl.data.decoded import decoded_store
from cl.data.images import decode_resized, resized
from cl.data.store import Dataset, Fingerprint, ImageStore
from cl.declared.union import Part, splits_of, union
from tests.help.declared import HEAD, TABLE, Write, build, pack


def test_a_union_keeps_datasets_apart_and_brings_images_to_one_form(write: Write) -> None:
    stream = build(write())
    assert [group.name for group in stream.groups] == ["grey", "colour", "large"]
    assert stream.setting == "task-incremental" and stream.dataset.train.pixels.shape == (160, 16, 16, 3)
    assert stream.info.class_names[:3] == ("grey/dog", "grey/cat", "colour/cat")
    assert [experience.classes for experience in stream.experiences] == [(0, 1), (2, 3, 4), (5, 6, 7)]
    assert [len(experience.train) for experience in stream.experiences] == [40, 60, 60]
    grey = stream.dataset.train.pixels[stream.experiences[0].train]
    assert (grey == grey[..., :1]).all(), "a grey image has three equal channels"
    for store in (stream.dataset.train, stream.dataset.test):
        copy = ImageStore.from_arrays(np.asarray(store.pixels), store.labels)
        assert copy.fingerprint == store.fingerprint and np.array_equal(copy.pixels, store.pixels)
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


def toy(cache: Path, channels: int, counts: list[int]) -> tuple[Dataset, list[str]]:
    """A dataset of random images of 8 pixels in the cache; its folders there."""
    rng = np.random.default_rng(channels)
    keys = [f"{channels}{number}".ljust(64, "0") for number in range(2)]

    def store(key: str, count: int) -> ImageStore:
        pixels = rng.integers(0, 256, (count, 8, 8, channels), np.uint8)
        return decoded_store("toy", key, np.arange(count) % 3, lambda: lambda index: np.asarray(pixels[index]))

    train, test = (store(key, count) for key, count in zip(keys, counts, strict=True))
    return Dataset("toy", train, test, ("a", "b", "c"), origin="test"), keys


def of_nevis(dataset: Dataset) -> Part:
    return Part(dataset, np.arange(3), splits_of(dataset, "nevis", 0))


def test_images_in_the_form_of_the_union_lie_where_they_are(cache: Path) -> None:
    dataset, keys = toy(cache, 3, [60, 20])
    whole, [rows], _ = union("toys", ("a", "b", "c"), [of_nevis(dataset)], 8)
    held = {path.parent.name for path in (cache / "decoded").rglob("pixels.npy")}
    assert held == set(keys), "no second copy"
    assert np.shares_memory(whole.test.pixels[int(rows["dev_test"][0])], np.asarray(dataset.train.pixels))
    assert np.shares_memory(whole.test.pixels[int(rows["test"][0])], np.asarray(dataset.test.pixels))


def test_images_in_another_form_are_converted_once_though_two_stores_have_them(cache: Path) -> None:
    dataset, keys = toy(cache, 1, [60, 20])
    done: list[tuple[str, int, int]] = []
    part = of_nevis(dataset)
    for _ in range(2):
        whole, [rows, again], _ = union("toys", ("a", "b", "c"), [part, part], 16, lambda *said: done.append(said))
        held = {path.parent.name for path in (cache / "decoded").rglob("pixels.npy")} - set(keys)
        assert len(held) == 2, (
            "one for the training images, of which some are test images of the union, one for the tests"
        )
    converted = [total for what, count, total in done if what.startswith("decode") and count == total]
    assert converted == [60, 20]
    assert all(not np.array_equal(rows[split], again[split]) for split in rows), "each image is there twice"
    for split, (source, own) in part.splits.items():
        store = whole.train if split in ("train", "val") else whole.test
        expected = {resized(image, 16).tobytes() for image in getattr(dataset, source).pixels[own]}
        assert {image.tobytes() for image in store.pixels[rows[split]]} == expected


def test_a_dataset_in_several_parts_is_converted_once(cache: Path) -> None:
    dataset, _ = toy(cache, 1, [60, 20])
    done: list[tuple[str, int, int]] = []
    labels = np.arange(len(dataset.class_names))
    parts = [
        Part(dataset, labels, {"train": ("train", rows), "test": ("test", rows[:8])})
        for rows in (np.arange(0, 30), np.arange(8, 60))
    ]
    whole, [first, second], _ = union("toys", dataset.class_names, parts, 16, lambda *said: done.append(said))
    assert [what for what, count, total in done if what.startswith("decode") and count == total] == [
        "decode toy train", "decode toy test",
    ]  # fmt: skip
    for part, rows in zip(parts, (first, second), strict=True):
        for split, (source, own) in part.splits.items():
            store = whole.train if split == "train" else whole.test
            expected = sorted(resized(image, 16).tobytes() for image in getattr(dataset, source).pixels[own])
            assert sorted(image.tobytes() for image in store.pixels[rows[split]]) == expected


class Killed(BaseException):
    pass


def test_a_kill_loses_the_images_in_flight_alone(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the second dataset, while images of the third are converted, and while the union is read."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    tables = ""
    for name, side in (("first", 16), ("second", 16)):
        for number in range(24):
            path = tmp_path / name / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((side, side, 3), number * 9 + side, np.uint8)).save(path)
        tables += f'[[datasets]]\nname = "{name}"\nreader = "folder"\npath = "{name}"\n'
    pack(tmp_path / "third.npz", ("a", "b"), 8, 1)
    path = tmp_path / "many.toml"
    path.write_text(
        HEAD.format(setting="task-incremental", more="") + tables + TABLE.format(name="third", year=1, more="")
    )
    decoded, converted = list[str](), list[int]()
    kill = {"decode": 30, "convert": -1, "read": False}

    def decode(path: Path, size: int) -> np.ndarray:
        decoded.append(path.parent.parent.name)
        if len(decoded) == kill["decode"]:
            raise Killed
        return decode_resized(path, size)

    def convert(pixels: np.ndarray, size: int) -> np.ndarray:
        converted.append(len(pixels))
        if len(converted) == kill["convert"]:
            raise Killed
        return resized(pixels, size)

    def update(self: Fingerprint, pixels: np.ndarray) -> None:
        if kill["read"]:
            raise Killed
        Fingerprint.update(self, pixels)

    monkeypatch.setattr("cl.data.folders.decode_resized", decode)
    monkeypatch.setattr("cl.declared.union.resized", convert)
    monkeypatch.setattr("cl.data.joined_pixels.Fingerprint", type("Read", (Fingerprint,), {"update": update}))
    with pytest.raises(Killed):
        build(path)
    decoded.clear()
    kill |= {"decode": -1, "convert": 20}
    with pytest.raises(Killed):
        build(path)
    assert set(decoded) == {"second"} and len(decoded) <= 24 + 2, "one more of each split for the shape"
    decoded.clear()
    converted.clear()
    kill |= {"convert": -1, "read": True}
    with pytest.raises(Killed):
        build(path)
    assert not decoded and len(converted) == 48 + 1, "the shape of the tests; that of the training images was kept"
    kill["read"] = False
    converted.clear()
    stream = build(path)
    assert not decoded and not converted
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "other"))
    assert build(path).id == stream.id and len(decoded) == 48 + 4


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
