"""Stores: canonical order and fingerprints do not depend on where images come from."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cl.data.store import Dataset, ImageStore, canonical_order, first_class


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


# ------------------------------------------------------------------------------------- several classes per image


def tagged(n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    return images(n)[0], np.random.default_rng(5).random((n, 4)) < 0.4


def test_tags_follow_their_images_into_canonical_order() -> None:
    pixels, tags = tagged()
    store = ImageStore.from_arrays(pixels, tags)
    assert store.tags is not None
    expected = {image.tobytes(): row.tolist() for image, row in zip(pixels, tags, strict=True)}
    for row in range(20):
        assert expected[store.pixels[row].tobytes()] == store.tags[row].tolist()
    assert np.array_equal(store.labels, store.tags.argmax(1)) and (np.diff(store.labels) >= 0).all()
    with pytest.raises(ValueError, match="read-only"):
        store.tags[0] = True


def test_the_fingerprint_covers_tags_and_not_their_order() -> None:
    pixels, tags = tagged()
    pixels[1], tags[0], tags[1] = pixels[0], [False, True, False, True], [False, True, True, False]  # equal pixels
    store, mixed = ImageStore.from_arrays(pixels, tags), np.random.default_rng(1).permutation(20)
    assert ImageStore.from_arrays(pixels[mixed], tags[mixed]).fingerprint == store.fingerprint
    other = tags.copy()
    other[0, 3] = False  # its first class stays
    assert ImageStore.from_arrays(pixels, other).fingerprint != store.fingerprint
    assert ImageStore.from_arrays(pixels, first_class(tags)).fingerprint != store.fingerprint


def test_an_image_without_classes_has_the_first_label() -> None:
    assert first_class(np.array([[False, False], [False, True]])).tolist() == [0, 1]


def test_a_store_with_tags_checks_its_pixels_as_before() -> None:
    pixels, tags = tagged()
    plain = ImageStore.from_arrays(pixels, first_class(tags))
    calls: list[int] = []

    def verified(found: np.ndarray) -> np.ndarray:
        calls.append(1)
        return found

    checked = ImageStore(plain.pixels, plain.labels, plain.fingerprint, verified)
    order = np.argsort(first_class(tags), kind="stable")
    store = checked.with_tags(tags[order])
    assert not calls
    assert np.array_equal(store.pixels, plain.pixels) and calls == [1]
    assert np.array_equal(store.hashes, plain.hashes)


def test_other_tags_are_refused() -> None:
    pixels, tags = tagged()
    store = ImageStore.from_arrays(pixels, tags)
    assert store.tags is not None
    with pytest.raises(ValueError, match="the first of them"):
        store.with_tags(~store.tags)
    names = ("a", "b", "c", "d")
    assert Dataset("toy", store, store, names, origin="test").multi_label
    with pytest.raises(ValueError, match="need 5 columns"):
        Dataset("toy", store, store, (*names, "e"), origin="test")
    with pytest.raises(ValueError, match="either all splits"):
        Dataset("toy", store, ImageStore.from_arrays(pixels, first_class(tags)), names, origin="test")
