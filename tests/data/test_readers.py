"""Packs and CIFAR's layouts: the same content from each; damaged files are one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data.readers import CifarLayout, read_cifar_archive, read_cifar_folder, read_pack, read_packs
from cl.data.store import ImageStore
from cl.errors import DataError
from tests.help.archives import header_that_fills_memory


def test_a_batch_of_any_size_is_not_read_into_memory(
    tiny: Any, cifar_layout: CifarLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, folder = tiny.archive(tmp_path), tiny.extracted(tmp_path)
    monkeypatch.setattr("cl.data.readers._BATCH", 1000)
    with pytest.raises(DataError, match="has more than 1,000 bytes"):
        read_cifar_archive(archive, cifar_layout)
    with pytest.raises(DataError, match="too large for a CIFAR batch"):
        read_cifar_folder(folder, cifar_layout)


def test_an_archive_that_decompresses_without_end_is_refused(cifar_layout: CifarLayout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="longer than any name can be"):
        read_cifar_archive(header_that_fills_memory(tmp_path / "cifar-100-python.tar.gz"), cifar_layout)


def test_a_pack_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((1000, 64, 64), np.uint8))
    with pytest.raises(DataError, match="times its own size"):
        read_pack(tmp_path / "bomb.npz")


def test_every_layout_gives_the_same_content(cache: Path, tiny: Any, cifar_layout: CifarLayout, tmp_path: Path) -> None:
    expected = tiny.stores()
    contents = [
        read_cifar_archive(tiny.archive(tmp_path), cifar_layout),
        read_cifar_folder(tiny.extracted(tmp_path), cifar_layout),
        read_packs(tiny.packs(tmp_path)),
        read_packs(tiny.packs(tmp_path / "webp", "webp")),
    ]
    for content in contents:
        assert content.class_names == tiny.class_names
        for split, store in expected.items():
            assert content.splits[split].fingerprint == store.fingerprint
            np.testing.assert_array_equal(content.splits[split].pixels, store.pixels)
            np.testing.assert_array_equal(content.splits[split].labels, store.labels)


@pytest.mark.parametrize("image_format", [None, "png"])
def test_a_pack_with_both_splits_and_grey_images(
    cache: Path, make_pack: Callable[..., None], tmp_path: Path, image_format: str | None
) -> None:
    rng = np.random.default_rng(0)
    pixels, labels, split = rng.integers(0, 256, (9, 6, 5), np.uint8), np.arange(9) % 2, np.arange(9) % 3 // 2
    make_pack(tmp_path / "toy.npz", pixels, labels, split, ("a", "b"), image_format, licence="CC0")
    content = read_pack(tmp_path / "toy.npz")
    assert content.meta == {"licence": "CC0"} and content.class_names == ("a", "b")
    for code, name in enumerate(("train", "test")):
        expected = ImageStore.from_arrays(pixels[split == code], labels[split == code])
        assert content.splits[name].fingerprint == expected.fingerprint
        assert content.splits[name].image_shape == (6, 5, 1)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(90, 6, 5), (90, 6, 5, 3)])
def test_a_pack_too_large_for_the_memory_has_the_same_stores(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Any, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    pixels, labels, split = rng.integers(0, 256, shape, np.uint8), np.arange(90) % 4, np.arange(90) % 3 // 2
    pixels[9] = pixels[21]
    save(tmp_path / "toy.npz", images=pixels, labels=labels, split=split, classes=[*"abcd"])
    small = read_pack(tmp_path / "toy.npz")
    monkeypatch.setattr("cl.data.readers._IN_MEMORY", pixels.nbytes)
    large = read_pack(tmp_path / "toy.npz")
    for name, store in small.splits.items():
        found = large.splits[name]
        assert isinstance(found.pixels, np.memmap) and found.fingerprint == store.fingerprint
        np.testing.assert_array_equal(found.pixels, store.pixels)
        np.testing.assert_array_equal(found.hashes, store.hashes)


@pytest.mark.parametrize("damage", ["truncated", "bit", "shape", "number", "dtype"])
def test_a_damaged_large_pack_is_one_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr("cl.data.readers._IN_MEMORY", 1000)
    shape = {"shape": (90, 6, 5, 2), "number": (91, 6, 5)}.get(damage, (90, 6, 5))
    images, labels = np.ones(shape, np.int16 if damage == "dtype" else np.uint8), np.arange(90) % 4
    path = tmp_path / "toy.npz"
    np.savez(path, images=images, labels=labels, split=labels % 2, classes=[*"abcd"])
    content = bytearray(path.read_bytes())
    content[1000] ^= 4 if damage == "bit" else 0
    path.write_bytes(content[:-100] if damage == "truncated" else content)
    with pytest.raises(DataError, match=r"Cannot read .*toy.npz: it is truncated, damaged .*replace it"):
        read_pack(path)


def test_an_image_that_cannot_be_decoded_is_named(
    cache: Path, make_pack: Callable[..., None], tiny: Any, tmp_path: Path
) -> None:
    path, _ = tiny.packs(tmp_path)
    with np.load(path) as pack:
        arrays: dict[str, Any] = {name: pack[name] for name in pack.files}
    arrays["data"] = arrays["data"].copy()
    arrays["data"][arrays["offsets"][5] :][:8] = 0
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"Cannot read the image .*cifar100_train.npz, image 5 .*replace or remove it"):
        read_pack(path)


def test_images_of_different_shapes_are_refused(cache: Path, tmp_path: Path, make_pack: Callable[..., None]) -> None:
    for name, side in (("a", 4), ("b", 5)):
        zeros = np.zeros((1, side, side), np.uint8)
        make_pack(tmp_path / f"{name}.npz", zeros, np.zeros(1, int), np.zeros(1, int), ("x",), "png")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        arrays: dict[str, Any] = {name: np.concatenate([a[name], b[name]]) for name in ("data", "labels", "split")}
        arrays["offsets"] = np.cumsum([0, len(a["data"]), len(b["data"])])
        np.savez(tmp_path / "both.npz", classes=a["classes"], meta=a["meta"], **arrays)
    with pytest.raises(DataError, match=r"both.npz, image 1 has the shape \[5, 5, 1\], not \[4, 4, 1\]"):
        read_pack(tmp_path / "both.npz")


@pytest.mark.parametrize("damage", ["truncated", "text", "pickled", "labels", "key"])
def test_damaged_packs_are_one_sentence_that_names_the_file(
    cache: Path, tiny: Any, tmp_path: Path, damage: str
) -> None:
    path, _ = tiny.packs(tmp_path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("hello")
    else:
        with np.load(path) as pack:
            arrays: dict[str, Any] = {name: pack[name] for name in pack.files}
        if damage == "pickled":
            arrays["classes"] = np.array([print, print, print], dtype=object)
        elif damage == "labels":
            arrays["labels"] += 1
        else:
            del arrays["split"]
        np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"Cannot read .*cifar100_train.npz: it is truncated, damaged .*replace it"):
        read_pack(path)


def test_packs_of_different_datasets_do_not_mix(
    cache: Path, tiny: Any, tmp_path: Path, make_pack: Callable[..., None]
) -> None:
    train, test = tiny.packs(tmp_path)
    make_pack(test, tiny.pixels["test"], tiny.labels["test"], np.ones(6), ("x", "y", "z"), None)
    with pytest.raises(DataError, match="other classes"):
        read_packs([train, test])


def test_a_truncated_archive_is_named(tiny: Any, cifar_layout: CifarLayout, tmp_path: Path) -> None:
    path = tiny.archive(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"Cannot read .*cifar-100-python.tar.gz.*truncated"):
        read_cifar_archive(path, cifar_layout)


def test_an_archive_is_not_extracted_and_foreign_members_are_not_read(
    tiny: Any, cifar_layout: CifarLayout, tmp_path: Path
) -> None:
    path = tiny.archive(tmp_path, {"../../evil": b"x", "file.txt~": b"not a pickle"})
    before = sorted(tmp_path.parent.rglob("*"))
    assert len(read_cifar_archive(path, cifar_layout).splits["train"]) == 12
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_folder_that_lacks_a_file_says_which(tiny: Any, cifar_layout: CifarLayout, tmp_path: Path) -> None:
    folder = tiny.extracted(tmp_path)
    (folder / "test").unlink()
    with pytest.raises(DataError, match="cifar-100-python lacks test"):
        read_cifar_folder(folder, cifar_layout)
