"""Stores: canonical order and fingerprints do not depend on where images come from."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cl.data.store import Dataset, ImageStore, canonical_order


def images(n: int = 20, channels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 5, channels), np.uint8), rng.integers(0, 3, n)


def test_any_order_of_the_same_images_gives_the_same_store() -> None:
    pixels, labels = images()
    store = ImageStore.from_arrays(pixels, labels)
    mixed = np.random.default_rng(1).permutation(len(labels))
    other = ImageStore.from_arrays(pixels[mixed], labels[mixed].astype(np.int16))
    assert other.fingerprint == store.fingerprint
    np.testing.assert_array_equal(other.pixels, store.pixels)
    np.testing.assert_array_equal(other.labels, store.labels)
    assert (np.diff(store.labels) >= 0).all()


def test_order_within_a_class_is_that_of_the_sha1_of_the_pixels() -> None:
    pixels, labels = images()
    order = canonical_order(pixels, labels)
    keys = [(labels[row], hashlib.sha1(pixels[row].tobytes()).hexdigest()) for row in order]
    assert keys == sorted(keys)


def test_the_fingerprint_depends_on_pixels_labels_and_shape() -> None:
    pixels, labels = images()
    prints = {ImageStore.from_arrays(pixels, labels).fingerprint}
    changed = pixels.copy()
    changed[0, 0, 0, 0] ^= 1
    prints.add(ImageStore.from_arrays(changed, labels).fingerprint)
    prints.add(ImageStore.from_arrays(pixels, (labels + 1) % 3).fingerprint)
    prints.add(ImageStore.from_arrays(pixels.reshape(20, 5, 4, 3), labels).fingerprint)
    assert len(prints) == 4


def test_the_fingerprint_is_that_of_the_documented_bytes() -> None:
    store = ImageStore.from_arrays(*images(6))
    expected = hashlib.sha256(b"[6, 4, 5, 3]" + store.pixels.tobytes() + store.labels.astype("<i8").tobytes())
    assert store.fingerprint == expected.hexdigest()


def test_grey_images_get_a_channel_axis_and_stores_are_read_only() -> None:
    pixels, labels = images(channels=1)
    store = ImageStore.from_arrays(pixels[..., 0], labels)
    assert store.image_shape == (4, 5, 1)
    assert store.fingerprint == ImageStore.from_arrays(pixels, labels).fingerprint
    with pytest.raises(ValueError, match="read-only"):
        store.pixels[0] = 0


@pytest.mark.parametrize("broken", ["float", "channels", "labels"])
def test_other_arrays_are_refused(broken: str) -> None:
    pixels, labels = images()
    if broken == "float":
        pixels = pixels.astype(np.float32)
    elif broken == "channels":
        pixels = np.concatenate([pixels, pixels], axis=-1)
    else:
        labels = labels[:-1]
    with pytest.raises(ValueError, match="must be"):
        ImageStore.from_arrays(pixels, labels)


def test_a_dataset_refuses_labels_without_a_name() -> None:
    store = ImageStore.from_arrays(*images())
    with pytest.raises(ValueError, match="lie outside"):
        Dataset("toy", store, store, ("a", "b"), origin="test")


def test_threads_that_need_the_pixels_check_them_once() -> None:
    made = ImageStore.from_arrays(np.zeros((3, 2, 2, 3), np.uint8), np.zeros(3, np.int64))
    calls: list[int] = []

    def verified(pixels: np.ndarray) -> np.ndarray:
        calls.append(1)
        time.sleep(0.02)
        return pixels

    store = ImageStore(made.pixels, made.labels, made.fingerprint, verified)
    with ThreadPoolExecutor(8) as pool:
        assert all(pixels is made.pixels for pixels in pool.map(lambda _: store.pixels, range(16)))
    assert len(calls) == 1
