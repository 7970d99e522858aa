"""DomainNet, CORe50 and 5-Datasets in every form that people have: one content, on miniatures of the real files."""

from __future__ import annotations

import dataclasses
import io
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cl.data import catalog, releases
from cl.data.official.release import load
from cl.declared.family import Declared
from cl.errors import DataError
from cl.stream import Stream
from cl.streams.standard import CORe50, DomainNet, DomainNetOfficial, FiveDatasets
from tests.help.layouts import miniature
from tests.help.releases import located, unpack

DOMAINS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of CLBENCH_DATA_PATH."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder))
    return folder


def stream_of(family: type[Declared], home: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Stream:
    """The stream, decoded into a new cache."""
    monkeypatch.setenv("CLBENCH_HOME", str(home))
    return family().build(family.Options(**options), order_seed=0, data_seed=0)


def same(one: Stream, other: Stream) -> bool:
    return (one.id, one.dataset.fingerprints, one.dataset.class_names) == (
        *(other.id, other.dataset.fingerprints, other.dataset.class_names),
    )


def release_of(domain: str) -> str:
    return "domainnet" if domain == "real" else f"domainnet_{domain}"


def test_domainnet_is_one_content_in_archives_and_folders(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives, folders, beside = data / "archives", data / "folders", data / "releases"
    for domain in DOMAINS:
        source = miniature(release_of(domain), tmp_path / "official")
        (archives / "domainnet").mkdir(parents=True, exist_ok=True)
        shutil.copy(source / f"{domain}.zip", archives / "domainnet")
        unpack(source, folders / "domainnet", releases.release(release_of(domain)))
        shutil.copytree(source, beside / release_of(domain))
    found = []
    for place in (folders, archives, beside):
        monkeypatch.setenv("CLBENCH_DATA_PATH", str(place))
        found.append(stream_of(DomainNet, tmp_path / "homes" / place.name, monkeypatch, size=16, train_per_class=1))
    assert same(found[0], found[1]) and same(found[0], found[2])
    assert len(found[0].info.class_names) == 345
    for place in (folders, beside):
        monkeypatch.setenv("CLBENCH_DATA_PATH", str(place))
        found.append(stream_of(DomainNetOfficial, tmp_path / "homes" / place.name, monkeypatch, size=16))
    assert same(found[3], found[4])
    official = found[3]
    assert [len(each.train) for each in official.experiences] == [353, 353, 352, 353, 353, 353]
    assert [note.partition("(")[2] for note in official.dataset.notes if note.startswith("painting: Left")] == [
        "t-shirt)."
    ]
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(archives))
    with pytest.raises(
        DataError, match=r"Stream domainnet-official needs clipart \(.* lacks clipart_train.txt, clipart_test.txt\)"
    ):
        stream_of(DomainNetOfficial, tmp_path / "none", monkeypatch, size=16)


def test_core50_is_one_content_in_every_form(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = miniature("core50", tmp_path / "official")
    shutil.copytree(source, data / "zip")
    shutil.copytree(source, data / "release" / "core50")
    unpack(source, data / "folder", releases.release("core50"))
    shutil.copytree(miniature("core50", tmp_path / "array", "write_array"), data / "array" / "core50")
    found = []
    for form in ("folder", "zip", "release", "array"):
        monkeypatch.setenv("CLBENCH_DATA_PATH", str(data / form))
        found.append(stream_of(CORe50, tmp_path / "homes" / form, monkeypatch, size=16))
    assert all(same(found[0], each) for each in found[1:])
    assert [len(each.train) for each in found[0].experiences] == [100] * 8
    assert len(found[0].dataset.test) == 300


@pytest.mark.parametrize(
    ("family", "release", "lost"),
    [(CORe50, "core50", "core50_128x128.zip"), (DomainNetOfficial, "domainnet_clipart", "clipart.zip"),
     (DomainNetOfficial, "domainnet_clipart", "clipart_test.txt")],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_damage_is_one_sentence(
    family: type[Declared], release: str, lost: str, damage: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = miniature(release, data) / lost
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 - 1] if damage == "truncated" else b"no archive at all\n")
    if damage == "missing":
        path.unlink()
    with pytest.raises(DataError) as caught:
        stream_of(family, data / "home", monkeypatch, size=16, missing="skip")
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_list_of_paths_that_runs_code_is_refused(data: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    folder = miniature("core50", data, "write_array")
    whole = (folder / "paths.pkl").read_bytes()
    paths = pickle.loads(whole)
    for content, why in (
        (pickle.dumps([Evil()]), "it asks for "),
        (pickle.dumps({"a": 1}), "it is no list of texts"),
        (whole[: len(whole) // 2], "is not CORe50's list of paths"),
        (pickle.dumps(paths[:-1]), "not the 1099 images of paths.pkl"),
        (pickle.dumps(["../x.png", *paths[1:]]), "has an odd path '../x.png'"),
    ):
        (folder / "paths.pkl").write_bytes(content)
        with pytest.raises(DataError, match=why) as caught:
            load(located(releases.release("core50")), 16)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def folders_of_digits(root: Path) -> None:
    """SVHN and notMNIST as users who converted the official files have them: folders of classes."""
    for name, target in (("svhn_cropped", "svhn"), ("not_mnist", "notMNIST_small")):
        release = releases.release(name)
        listing = release.read(located(release).open())
        for split, examples in listing.splits.items():
            for index in range(len(examples)):
                part = "." if split == "all" else split
                folder = root / target / part / listing.class_names[int(examples.labels[index])]
                folder.mkdir(parents=True, exist_ok=True)
                buffer = io.BytesIO()
                Image.fromarray(np.squeeze(examples.decode(index))).save(buffer, "PNG")
                (folder / f"{index:05}.png").write_bytes(buffer.getvalue())


def test_five_datasets_are_one_content_in_official_files_and_folders(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = catalog.DATASETS["cifar10"]
    monkeypatch.setitem(catalog.DATASETS, "cifar10", small(declared))
    names = ("svhn_cropped", "not_mnist", "mnist", "fashion_mnist", "cifar10")
    for name in names:
        miniature(name, data / "official")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data / "official"))
    official = stream_of(FiveDatasets, tmp_path / "homes" / "official", monkeypatch)
    assert len(official.info.class_names) == 50 and [len(each.train) for each in official.experiences][3] == 20
    folders_of_digits(data / "folders")
    for name in ("mnist", "fashion_mnist", "cifar10"):
        unpack(data / "official" / name, tmp_path / "plain" / name, releases.release(name))
    for name, raw in (("mnist", "MNIST/raw"), ("fashion_mnist", "FashionMNIST/raw"), ("cifar10", "cifar10")):
        shutil.copytree(tmp_path / "plain" / name, data / "folders" / raw)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data / "folders"))
    for path in (data / "folders").rglob("*-ubyte.gz"):
        _gunzip(path)
    folders = stream_of(FiveDatasets, tmp_path / "homes" / "folders", monkeypatch)
    assert same(official, folders)


def _gunzip(path: Path) -> None:
    import gzip

    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


def small(declared: Any) -> Any:
    """The declaration of the miniature of CIFAR-10: five training images and one test image of each class."""
    archive = dataclasses.replace(declared.archive, sha256=None)
    return dataclasses.replace(declared, sizes=(50, 10), archive=archive, fingerprints={})
