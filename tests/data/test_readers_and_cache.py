"""Packs, CIFAR's layouts and the decoded cache; damaged and hostile files."""

from __future__ import annotations

import codecs
import io
import logging
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data import decoded, readers
from cl.data.cifar_pickle import load_cifar_pickle
from cl.data.readers import CifarLayout, read_cifar_archive, read_cifar_folder, read_pack, read_packs
from cl.data.store import ImageStore
from cl.errors import DataError


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


def test_decoded_images_are_cached_and_memory_mapped(
    cache: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = tiny.packs(tmp_path)
    reports: list[tuple[str, int, int]] = []
    first = read_pack(path, lambda *report: reports.append(report)).splits["train"]
    assert reports[-1] == ("decode cifar100_train train", 12, 12)
    assert isinstance(first.pixels, np.memmap)

    def fail(*_: Any) -> Any:
        raise AssertionError("decoded again")

    monkeypatch.setattr(readers, "decode_image", fail)
    again = read_pack(path).splits["train"]
    assert again.fingerprint == first.fingerprint == tiny.stores()["train"].fingerprint
    assert sorted(entry.suffix for entry in (cache / "decoded").iterdir()) == ["", ".lock"]


def test_a_damaged_cache_is_decoded_again(
    cache: Path, tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = tiny.packs(tmp_path)
    first = read_pack(path).splits["train"]
    file = next((cache / "decoded").glob("*/pixels.npy"))
    file.write_bytes(file.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING, "clbench.data"):
        again = read_pack(path).splits["train"]
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(again.pixels, tiny.stores()["train"].pixels)
    assert again.fingerprint == first.fingerprint


def test_without_a_writable_cache_images_stay_in_memory(
    cache: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "clbench.data"):
        content = read_packs(tiny.packs(tmp_path))
    assert "stay in memory" in caplog.text
    for split, store in tiny.stores().items():
        assert content.splits[split].fingerprint == store.fingerprint
        np.testing.assert_array_equal(content.splits[split].pixels, store.pixels)
        assert not isinstance(content.splits[split].pixels, np.memmap)


def test_a_disk_that_fills_while_decoding_costs_the_cache_not_the_run(
    cache: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(decoded, "_sync", full)
    with caplog.at_level(logging.WARNING, "clbench.data"):
        store = read_pack(tiny.packs(tmp_path)[0]).splits["train"]
    assert "No space left" in caplog.text
    assert store.fingerprint == tiny.stores()["train"].fingerprint
    assert [entry.suffix for entry in (cache / "decoded").iterdir()] == [".lock"]


def test_what_a_killed_run_left_is_cleared(cache: Path, tiny: Any, tmp_path: Path) -> None:
    path, _ = tiny.packs(tmp_path)
    read_pack(path)
    folder = next(entry for entry in (cache / "decoded").iterdir() if entry.is_dir())
    folder.rename(folder.with_name(f".{folder.name}.tmp"))
    (folder.with_name(f".{folder.name}.tmp") / "meta.json").unlink()
    assert read_pack(path).splits["train"].fingerprint == tiny.stores()["train"].fingerprint
    assert [entry.name for entry in (cache / "decoded").iterdir() if entry.is_dir()] == [folder.name]


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


class Hostile:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "function", [os.system, subprocess.run, eval, exec, getattr, io.open, np.load, np.save, pickle.loads, __import__]
)
def test_a_hostile_pickle_is_refused_before_anything_is_imported(function: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = pickle.dumps({"data": Hostile(function, f"touch {marker}")}, protocol=2)
    with pytest.raises(DataError, match=r"x is not a CIFAR batch \(it asks for"):
        load_cifar_pickle(data, "x")
    assert not marker.exists()


def test_damaged_pickles_are_data_errors() -> None:
    good = pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 1]}, protocol=2)
    assert load_cifar_pickle(good, "x")["data"].shape == (2, 3072)
    for data in (b"", good[:40], good[:-1], b"\x80\x02]q\x00.", b"hello", b"\x80\x02K"):
        with pytest.raises(DataError, match="x is not a CIFAR batch"):
            load_cifar_pickle(data, "x")
    for place in range(2, 200):  # a flipped byte either loads or is refused, and raises nothing else
        damaged = bytearray(good)
        damaged[place] ^= 0x21
        try:
            load_cifar_pickle(bytes(damaged), "x")
        except DataError as error:
            assert "x is not a CIFAR batch" in str(error)


def test_dtypes_and_encodings_that_no_batch_needs_are_refused() -> None:
    for value in (np.zeros(2, object), np.zeros(2, "f8,i4"), np.zeros(2, "S4"), Hostile(codecs.encode, "x", "zlib")):
        with pytest.raises(DataError, match=r"it asks for the (dtype|encoding)"):
            load_cifar_pickle(pickle.dumps({"data": value}, protocol=2), "x")


def test_pickles_of_python_2_load() -> None:
    """The originals are protocol 2 from Python 2, with byte strings and the array's data as a latin-1 string."""
    raw = bytes([0, 200, 255])
    data = (
        b"\x80\x02}q\x01(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01K\x03"
        b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03"
        + raw
        + b"tbu."
    )
    assert load_cifar_pickle(data, "x")["data"].tolist() == [[0, 200, 255]]
