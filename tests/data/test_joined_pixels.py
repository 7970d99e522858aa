"""Images of several stores as one: an array that copies nothing, in the order and with the fingerprint of a copy."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.cli import call
from cl.data import joined_pixels
from cl.data.joined_pixels import JoinedPixels, joined_store
from cl.data.store import ImageStore, IndexArray
from cl.paths import look_only
from tests.help.cached import listed

SHAPE = (4, 4, 3)
KEY = "ab" * 32


def some(count: int, seed: int) -> ImageStore:
    """Random images of three classes, the first two of which are equal."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, *SHAPE), np.uint8)
    pixels[: min(count, 2)] = 7
    labels = rng.integers(0, 3, count)
    labels[: min(count, 2)] = 1
    return ImageStore.from_arrays(pixels, labels)


STORES = (some(30, 0), some(0, 1), some(50, 2), some(1, 3))


def copied(stores: tuple[ImageStore, ...] = STORES) -> np.ndarray:
    return np.concatenate([store.pixels for store in stores])


def mixed() -> tuple[IndexArray, np.ndarray, JoinedPixels]:
    """Rows of the stores at random, their images, and the same images joined."""
    place = np.random.default_rng(5).permutation(81)[:70]
    return place, copied()[place], JoinedPixels(STORES, place, SHAPE)


INDICES = [
    0, -1, np.int64(69), slice(None), slice(3, 20), slice(60, 2, -7), slice(0, 0), [3, 3, 1], np.array([-1, 0]),
    np.zeros(0, np.int64), np.arange(12).reshape(3, 4), np.arange(70) % 3 == 0, torch.tensor([5, 2]), (),
    (slice(2, 9), 0, 0, 0), (4, slice(None), -1), ([2, 60, 2], slice(1, 3), slice(None), 0),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indices_are_those_of_an_array(index: Any) -> None:
    _, images, joined = mixed()
    found = joined[index]
    expected = images[index.numpy() if isinstance(index, torch.Tensor) else index]
    np.testing.assert_array_equal(found, expected)
    assert found.shape == expected.shape and found.dtype == np.uint8


@pytest.mark.parametrize("index", [70, -71, [0, 70], ..., None, (0, [1, 2]), (0, 0, 0, 0, 0)], ids=str)
def test_other_indices_are_errors(index: object) -> None:
    with pytest.raises(IndexError):
        mixed()[2][index]


def test_it_has_what_code_asks_of_an_array() -> None:
    _, images, joined = mixed()
    assert len(joined) == 70 and joined.shape == images.shape and joined.ndim == 4 and joined.dtype == np.uint8
    assert joined.nbytes == images.nbytes
    np.testing.assert_array_equal(np.asarray(joined), images)
    np.testing.assert_array_equal(np.stack(list(joined)), images)
    np.testing.assert_array_equal(255 - np.asarray(joined, np.float32), 255 - images.astype(np.float32))
    with pytest.raises(ValueError, match="only as a copy"):
        joined.__array__(copy=False)


@pytest.mark.parametrize(("limit", "value"), [("_IN_CACHE", 100), ("_LARGE", 48)])
def test_images_of_a_batch_are_copied_in_several_ways(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(joined_pixels, limit, value)
    _, images, joined = mixed()
    np.testing.assert_array_equal(joined[np.arange(70)], images)


def test_consecutive_rows_of_one_store_are_not_copied_and_cannot_be_written() -> None:
    joined = JoinedPixels(STORES, np.arange(81), SHAPE)
    assert np.shares_memory(joined[31:40], STORES[2].pixels) and np.shares_memory(joined[3], STORES[0].pixels)
    assert not joined[31:40].flags.writeable and not np.shares_memory(joined[29:32], STORES[0].pixels)
    batch = joined[np.arange(31, 40)]
    batch[:] = 0
    assert STORES[2].pixels.any(), "a batch is a copy"


def test_joined_images_can_be_joined_again() -> None:
    _, images, joined = mixed()
    outer = ImageStore(joined, np.zeros(70, np.int64), "0")  # type: ignore[arg-type]
    again = JoinedPixels([STORES[0], outer], np.array([99, 0, 31]), SHAPE)
    np.testing.assert_array_equal(again[:], np.stack([images[69], STORES[0].pixels[0], images[1]]))
    np.testing.assert_array_equal(again[[2, 0]], images[[1, 69]])


def joined_some(stores: tuple[ImageStore, ...] = STORES, key: str = KEY) -> tuple[ImageStore, IndexArray]:
    place = mixed()[0]
    labels = np.random.default_rng(6).integers(0, 2, 70)
    return joined_store("toys", key, stores, place, labels, SHAPE)


def test_order_and_fingerprint_are_those_of_a_copy(cache: Path) -> None:
    _, images, _ = mixed()
    expected = ImageStore.from_arrays(images, np.random.default_rng(6).integers(0, 2, 70))
    for _ in range(2):  # computed, then from the cache
        store, order = joined_some()
        assert store.fingerprint == expected.fingerprint
        np.testing.assert_array_equal(store.pixels, expected.pixels)
        np.testing.assert_array_equal(store.labels, expected.labels)
        np.testing.assert_array_equal(store.hashes, expected.hashes)
        np.testing.assert_array_equal(images[order], expected.pixels)
        assert store.image_shape == SHAPE
    names = [image.tobytes() for image in expected.pixels]
    equal = [row for row in range(69) if names[row] == names[row + 1] and store.labels[row] == store.labels[row + 1]]
    assert equal and all(order[row] < order[row + 1] for row in equal), "equal images stay in the order they came in"


def test_the_whole_hash_decides_where_its_first_bytes_are_equal(cache: Path) -> None:
    alike = tuple(
        ImageStore(store.pixels, store.labels, store.fingerprint, hashes=np.zeros(len(store), np.uint64))
        for store in STORES
    )
    (store, order), (expected, wanted) = joined_some(alike, "cd" * 32), joined_some()
    np.testing.assert_array_equal(order, wanted)
    np.testing.assert_array_equal(store.pixels, expected.pixels)
    assert store.fingerprint == expected.fingerprint


def test_nothing_is_read_again_but_the_stores_that_are_used(cache: Path) -> None:
    first, _ = joined_some()

    read: list[int] = []

    def counted(number: int, store: ImageStore) -> ImageStore:
        def verified(pixels: np.ndarray) -> np.ndarray:
            read.append(number)
            return pixels

        return ImageStore(store.pixels, store.labels, store.fingerprint, verified, store.hashes)

    store, order = joined_some(tuple(counted(number, each) for number, each in enumerate(STORES)))
    assert store.fingerprint == first.fingerprint and store.pixels.shape == first.pixels.shape and not read
    place = mixed()[0][order]
    store.pixels[np.flatnonzero(place < 30)[:3]]
    assert read == [0]
    store.pixels[:]
    assert sorted(read) == [0, 2, 3]


def test_the_cache_holds_the_order_alone_is_listed_and_removed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joined_some()
    folder = cache / "decoded" / KEY
    assert sorted(path.name for path in folder.iterdir()) == ["meta.json", "order.npy"]
    assert [Path(item["path"]) for item in listed(capsys)["decoded"]] == [folder]
    assert call(["cache", "clean", "decoded", "--yes"]) == 0 and not folder.exists()


@pytest.mark.parametrize("name", ["meta.json", "order.npy"])
def test_damage_is_computed_again(cache: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    expected, order = joined_some()
    path = cache / "decoded" / KEY / name
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    for damaged in (bytes(content), content[: len(content) // 2], b""):
        path.write_bytes(damaged)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "clbench.data"):
            again, found = joined_some()
        assert "is damaged" in caplog.text
        assert again.fingerprint == expected.fingerprint and np.array_equal(found, order)


def test_a_cache_that_cannot_be_written_is_said(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.mkdir(exist_ok=True)
    (cache / "decoded").write_bytes(b"")
    store, _ = joined_some()
    assert store.fingerprint and "The fingerprint of toys is computed again by every run" in caplog.text


def test_looking_writes_nothing(cache: Path) -> None:
    with look_only():
        store, _ = joined_some()
    assert store.fingerprint and not (cache / "decoded").exists()
