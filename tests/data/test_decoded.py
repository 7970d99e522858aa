"""The cache of decoded images: memory-mapped, decoded again where it is damaged, never in a run's way."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data import decoding, readers
from cl.data.readers import read_pack, read_packs
from cl.paths import look_only


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
    assert sorted(entry.suffix for entry in (cache / "decoded").iterdir()) == [""]


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

    monkeypatch.setattr(decoding, "sync", full)
    with caplog.at_level(logging.WARNING, "clbench.data"):
        store = read_pack(tiny.packs(tmp_path)[0]).splits["train"]
    assert "No space left" in caplog.text
    assert store.fingerprint == tiny.stores()["train"].fingerprint
    assert [entry.suffix for entry in (cache / "decoded").iterdir()] == []


def test_what_a_killed_run_left_is_cleared(cache: Path, tiny: Any, tmp_path: Path) -> None:
    path, _ = tiny.packs(tmp_path)
    read_pack(path)
    folder = next(entry for entry in (cache / "decoded").iterdir() if entry.is_dir())
    folder.rename(folder.with_name(f".{folder.name}.tmp"))
    (folder.with_name(f".{folder.name}.tmp") / "meta.json").unlink()
    assert read_pack(path).splits["train"].fingerprint == tiny.stores()["train"].fingerprint
    assert [entry.name for entry in (cache / "decoded").iterdir() if entry.is_dir()] == [folder.name]


def test_no_flipped_bit_of_the_cache_reaches_a_result(
    cache: Path, tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = tiny.packs(tmp_path)
    true = tiny.stores()["train"]
    read_pack(path)
    for place in range(0, 10_000, 211):
        file = sorted((cache / "decoded").glob("*/*"))[place % 4]
        data = bytearray(file.read_bytes())
        data[(place * 7919) % len(data)] ^= 1 << (place % 8)
        file.write_bytes(data)
        found = read_pack(path).splits["train"]
        np.testing.assert_array_equal(found.pixels, true.pixels)
        np.testing.assert_array_equal(found.labels, true.labels)
        assert found.fingerprint == true.fingerprint
    assert caplog.text.count("the images are decoded again") > 40


def test_pixels_are_checked_when_they_are_used_and_not_before(
    cache: Path, tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = tiny.packs(tmp_path)
    read_pack(path)
    for file in (cache / "decoded").glob("*/pixels.npy"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    store = read_pack(path).splits["train"]
    assert store.fingerprint == tiny.stores()["train"].fingerprint and not caplog.text
    np.testing.assert_array_equal(store.pixels, tiny.stores()["train"].pixels)
    assert "is damaged" in caplog.text


def test_a_cache_of_version_0_1_0_is_checked_by_its_fingerprint(
    cache: Path, tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = tiny.packs(tmp_path)
    read_pack(path)
    folder = next(entry for entry in (cache / "decoded").iterdir() if entry.is_dir())
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({key: meta[key] for key in ("fingerprint", "shape")}))
    np.testing.assert_array_equal(read_pack(path).splits["train"].pixels, tiny.stores()["train"].pixels)
    assert not caplog.text
    data = bytearray((folder / "pixels.npy").read_bytes())
    data[-1] ^= 1
    (folder / "pixels.npy").write_bytes(data)
    np.testing.assert_array_equal(read_pack(path).splits["train"].pixels, tiny.stores()["train"].pixels)
    assert "is damaged" in caplog.text


def test_looking_only_leaves_the_cache_as_it_is(cache: Path, tiny: Any, tmp_path: Path) -> None:
    path, _ = tiny.packs(tmp_path)
    with look_only():
        store = read_pack(path).splits["train"]
        assert store.fingerprint == tiny.stores()["train"].fingerprint and isinstance(store.pixels, np.memmap)
    assert not (cache / "decoded").exists()
