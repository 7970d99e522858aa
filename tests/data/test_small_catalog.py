"""MNIST, Fashion-MNIST and Omniglot in the catalog."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cl.data import catalog
from cl.data.sources import RemoteFile
from cl.errors import DataError, MissingData
from cl.housekeeping.datasets import removable, verify
from tests.help.idx import declare, write, write_pack

NAMES = catalog.DATASETS["mnist"].class_names


def load(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str = "mnist") -> object:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder))
    return catalog.load(name)


@pytest.mark.usefixtures("isolated")
def test_every_layout_gives_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, "mnist")
    write(tmp_path / "a" / "MNIST" / "raw", zipped=False)
    write(tmp_path / "b" / "mnist", zipped=True)
    write(tmp_path / "c", zipped=True, prefix="mnist-")
    for path in write(tmp_path / "d" / "mnist", zipped=False):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))  # as Kaggle names them
    found = [load(monkeypatch, tmp_path / name) for name in "abcd"]
    assert len({tuple(dataset.fingerprints.items()) for dataset in found}) == 1  # type: ignore[attr-defined]
    assert all(not dataset.notes and len(dataset.train) == 60 for dataset in found)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("isolated")
def test_debians_package_is_found_and_the_files_of_one_dataset_are_not_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = catalog.DATASETS["fashion-mnist"]
    places = {name.rpartition("/")[0] for source in declared.sources for name in source.names}
    assert {"/usr/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist", "FashionMNIST/raw"} < places
    write(tmp_path / "MNIST" / "raw", zipped=False)
    relative = tuple(source for source in declared.sources if not source.names[0].startswith("/"))  # not this machine's
    monkeypatch.setitem(catalog.DATASETS, "fashion-mnist", dataclasses.replace(declared, sources=relative))
    with pytest.raises(MissingData, match="Fashion-MNIST"):
        load(monkeypatch, tmp_path, "fashion-mnist")


@pytest.mark.usefixtures("isolated")
def test_an_absolute_name_is_one_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.data.known import Source

    declare(monkeypatch, "fashion-mnist")
    paths = write(tmp_path / "system", zipped=True)
    real = catalog.DATASETS["fashion-mnist"]
    here = Source(tuple(map(str, paths)), real.sources[0].read)
    monkeypatch.setitem(catalog.DATASETS, "fashion-mnist", dataclasses.replace(real, sources=(here,)))
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "other"))
    copies = list(catalog.copies(catalog.DATASETS["fashion-mnist"]))
    assert [copy.paths for copy in copies] == [paths]
    assert len(catalog.load("fashion-mnist").train) == 60


@pytest.mark.usefixtures("isolated")
def test_a_pack_is_a_part_and_says_so_and_whole_files_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, "mnist")
    write_pack(tmp_path / "mnist.npz", NAMES)
    part = load(monkeypatch, tmp_path)
    assert len(part.train) == 30 and len(part.test) == 10  # type: ignore[attr-defined]
    (note,) = part.notes  # type: ignore[attr-defined]
    assert note.startswith("mnist.npz holds a part of MNIST: 30 of 60 training and 10 of 20 test images")
    assert catalog.here(catalog.DATASETS["mnist"]).endswith("mnist.npz: a part, 30 training and 10 test images")
    assert [check.state for check in verify(catalog.DATASETS["mnist"])] == ["unknown"] * 2
    write(tmp_path / "MNIST" / "raw", zipped=False)
    whole = load(monkeypatch, tmp_path)
    assert not whole.notes and len(whole.train) == 60  # type: ignore[attr-defined]
    write_pack(tmp_path / "mnist.npz", NAMES, train=2)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="is not MNIST: it has 20 training and 10 test images"):
        load(monkeypatch, tmp_path)


@pytest.mark.usefixtures("isolated")
def test_missing_files_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingData) as caught:
        catalog.load("mnist")
    for name in ("mnist-train-images-idx3-ubyte.gz + mnist-train-labels-idx1-ubyte.gz", "MNIST/raw/", "mnist.npz"):
        assert name in str(caught.value)


@pytest.mark.usefixtures("isolated")
def test_all_files_are_downloaded_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, "mnist")
    fetched: list[str] = []

    def fetch(file: RemoteFile, progress: object) -> Path:
        fetched.append(file.name)
        return tmp_path / "home" / "data" / file.name

    write(tmp_path / "home" / "data", zipped=True, prefix="mnist-")
    declared = catalog.DATASETS["mnist"]
    assert len(removable(declared)) == 4
    monkeypatch.setattr(catalog, "copies", lambda declared: iter(()))
    monkeypatch.setattr(catalog, "fetch", fetch)
    monkeypatch.delenv("CLBENCH_OFFLINE")
    assert len(catalog.load("mnist").train) == 60
    assert fetched == [file.name for file in declared.archives] and len(set(fetched)) == 4


def test_declarations() -> None:
    for name in ("mnist", "fashion-mnist", "omniglot"):
        declared = catalog.DATASETS[name]
        assert all(len(file.md5 or "") == 32 and file.urls and file.size for file in declared.archives)
        assert declared.part is not None and set(declared.part.fingerprints) == {"train", "test"}
        assert not declared.is_tree
    assert set(catalog.DATASETS["fashion-mnist"].fingerprints) == {"train", "test"}
    assert catalog.DATASETS["omniglot"].n_classes == 1623
