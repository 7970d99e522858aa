"""Declared datasets: found in every layout, checked, and complete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.data import catalog
from cl.data.store import ImageStore
from cl.errors import DataError


def fingerprints(tiny: Any) -> dict[str, str]:
    return {split: ImageStore.from_arrays(tiny.pixels[split], tiny.labels[split]).fingerprint for split in tiny.pixels}


def load(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder))
    return catalog.load("cifar100")


def test_cifar_is_found_in_every_layout_and_is_the_same(
    cache: Path, tiny: Any, declare: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tiny.archive(tmp_path / "a")
    declare(sha256=hashlib.sha256(archive.read_bytes()).hexdigest(), **fingerprints(tiny))
    tiny.archive(tmp_path / "b" / "cifar100")
    (tmp_path / "b" / "cifar100" / archive.name).write_bytes(archive.read_bytes())
    tiny.extracted(tmp_path / "c")
    tiny.packs(tmp_path / "d" / "images")
    loaded = [load(monkeypatch, tmp_path / name) for name in "abcd"]
    assert [dataset.fingerprints for dataset in loaded] == [fingerprints(tiny)] * 4
    assert all(dataset.verified and dataset.class_names == tiny.class_names for dataset in loaded)
    (cache / "data").mkdir()
    (cache / "data" / archive.name).write_bytes(archive.read_bytes())
    monkeypatch.delenv("CLBENCH_DATA_PATH")
    assert catalog.load("cifar100").fingerprints == fingerprints(tiny)


def test_content_that_is_not_the_dataset_is_refused(
    cache: Path, tiny: Any, declare: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(sha256="0" * 64, **fingerprints(tiny))
    tiny.archive(tmp_path / "a")
    with pytest.raises(DataError, match=r"cifar-100-python.tar.gz is damaged .*delete it and run again"):
        load(monkeypatch, tmp_path / "a")
    tiny.pixels["test"][0, 0, 0, 0] ^= 1
    tiny.extracted(tmp_path / "b")
    with pytest.raises(DataError, match="does not hold the test images of CIFAR-100: their fingerprint is"):
        load(monkeypatch, tmp_path / "b")
    declare()
    assert not load(monkeypatch, tmp_path / "b").verified
    tiny.pixels["train"], tiny.labels["train"] = tiny.pixels["train"][1:], tiny.labels["train"][1:]
    tiny.extracted(tmp_path / "c")
    with pytest.raises(DataError, match="is not CIFAR-100: it has 11 training and 6 test images"):
        load(monkeypatch, tmp_path / "c")


def test_declarations_are_complete() -> None:
    assert {"cifar10", "cifar100"} < set(catalog.DATASETS)
    for name, declared in catalog.DATASETS.items():
        assert declared.name == name and declared.licence and declared.citation
    for declared in (catalog.DATASETS["cifar10"], catalog.DATASETS["cifar100"]):
        assert "Krizhevsky" in declared.citation
        assert len(declared.archive.urls) >= 2 and len(declared.archive.sha256 or "") == 64
    assert len(catalog.DATASETS["cifar100"].class_names) == 100
    assert sorted(catalog.DATASETS["cifar100"].class_names) == list(catalog.DATASETS["cifar100"].class_names)
    assert set(catalog.DATASETS["cifar100"].fingerprints) == {"train", "test"}
