"""Streams from trees of image files, in every form that people have: one content, on miniatures of the real files."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from cl.data import catalog, releases
from cl.data.folders import dataset_of
from cl.errors import ClbenchError, DataError, MissingData, UsageError
from cl.streams.trees import CUB200, ImageNetA, ImageNetR, StanfordCars, TinyImageNet
from tests.help.image_trees import build
from tests.help.layouts import (
    Layout,
    miniature,
    packed,
    sorted_validation,
    two_folders_of_cars,
    unpacked,
)
from tests.help.releases import unpack

RELEASES = {
    "imagenet-r": (ImageNetR, "imagenet_r"), "imagenet-a": (ImageNetA, "imagenet_a"),
    "cub-200": (CUB200, "caltech_birds2011"), "tiny-imagenet": (TinyImageNet, "tiny_imagenet"),
    "stanford-cars": (StanfordCars, "stanford_cars"),
}  # fmt: skip


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of CLBENCH_DATA_PATH."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder))
    return folder


LAYOUTS: dict[str, dict[str, Layout]] = {
    name: {"archive": packed(), "archive of clbench data get": packed(release), "unpacked": unpacked(release)}
    for name, (_, release) in RELEASES.items()
}
LAYOUTS["tiny-imagenet"] |= {
    "val/CLASS": sorted_validation(copied=False, nested=False),
    "val/CLASS/images, copied": sorted_validation(copied=True, nested=True),
}
LAYOUTS["stanford-cars"] |= {
    "torchvision": two_folders_of_cars("stanford_cars", nested=False),
    "Kaggle": two_folders_of_cars("stanford_cars", nested=True),
    "of another name": two_folders_of_cars("stanford-cars", nested=False),
}


@pytest.mark.parametrize("name", RELEASES)
def test_every_layout_has_one_content(name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family, release = RELEASES[name]
    source = miniature(release, tmp_path / "official")
    _know(name, source, monkeypatch)
    found = {}
    for layout, lay in LAYOUTS[name].items():
        place = data / layout.replace("/", " ")
        lay(miniature(release, tmp_path / layout.replace("/", " ")), place)
        monkeypatch.setenv("CLBENCH_DATA_PATH", str(place))
        monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "homes" / layout.replace("/", " ")))
        stream = build(family, size=32)
        found[layout] = (stream.id, stream.dataset.fingerprints, stream.dataset.class_names)
    assert len({str(each) for each in found.values()}) == 1, found


def test_cars_are_read_as_torchvision_reads_them(data: Path, tmp_path: Path) -> None:
    """As version 0.1.0 did, which left the reading to torchvision: the identity of the stream is the same."""
    from torchvision.datasets import StanfordCars as Cars

    two_folders_of_cars("stanford_cars", nested=False)(miniature("stanford_cars", tmp_path), data)
    stream = build(StanfordCars, size=32)
    parts = []
    for split in ("train", "test"):
        found = Cars(str(data), split=split)
        files: dict[str, list[Path]] = {}
        for path, label in found._samples:
            files.setdefault(str(found.classes[label]), []).append(Path(path))
        parts.append(files)
    names = tuple(sorted(parts[0]))
    theirs = dataset_of(data, "stanford-cars", names, parts[0], parts[1], 32)
    assert stream.dataset.fingerprints == theirs.fingerprints and stream.dataset.class_names == names
    assert stream.comparable["split"] == "official" and stream.options["split"] == "official"


@pytest.mark.parametrize("name", RELEASES)
def test_other_files_next_to_the_images_change_nothing(name: str, data: Path, tmp_path: Path) -> None:
    family, release = RELEASES[name]
    unpacked(release)(miniature(release, tmp_path / "official"), data)
    plain = build(family, size=32)
    (root,) = (path for path in data.iterdir() if path.is_dir())
    first = next(path for path in sorted(root.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg"))
    for path in (root / "LICENCE", root / ".DS_Store", root / "__MACOSX" / "x.jpg", first.parent / "Thumbs.db"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
    shutil.copy(root / "LICENCE", first.parent / "._a.jpg")
    again = build(family, size=32)
    assert again.id == plain.id and again.dataset.fingerprints == plain.dataset.fingerprints


@pytest.mark.parametrize("name", ["imagenet-r", "imagenet-a"])
def test_the_zip_of_a_port_is_the_whole_dataset(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, release = RELEASES[name]
    unpacked(release)(miniature(release, tmp_path / "official"), data / "official")
    whole = build(family, size=32, folder=str(data / "official" / name))
    packed()(miniature(release, tmp_path / "port", "write_port"), data)
    port = build(family, size=32)
    assert port.id == whole.id and port.dataset.fingerprints == whole.dataset.fingerprints
    assert port.dataset.notes[-1] == "The images of train/ and test/ are put together and split by our seed."
    theirs = build(family, size=32, split="folders")
    assert theirs.id != whole.id and len(theirs.dataset.test) == 200


def test_the_port_of_cub_is_the_whole_dataset_without_its_split(data: Path, tmp_path: Path) -> None:
    from tests.help.releases import written

    unpacked("caltech_birds2011")(miniature("caltech_birds2011", tmp_path / "official"), data / "official")
    folder = str(data / "official" / "CUB_200_2011")
    whole = build(CUB200, size=32, split="seeded", folder=folder)
    written("caltech_birds2011", tmp_path / "port", "port")
    packed()(tmp_path / "port" / "caltech_birds2011", data)
    assert build(CUB200, size=32, split="seeded").dataset.fingerprints == whole.dataset.fingerprints
    assert len(build(CUB200, size=32, split="folders").dataset.test) == 200
    with pytest.raises(DataError, match=r"images\.txt is missing or incomplete; .* choose another split\.$"):
        build(CUB200, size=32)


def test_a_list_of_coda_names_the_files_of_every_layout(data: Path, tmp_path: Path) -> None:
    unpacked("imagenet_r")(miniature("imagenet_r", tmp_path / "official"), data)
    images = sorted(path.relative_to(data) for path in data.rglob("*.jpg"))
    for what, chosen in (
        ("train", [p for p in images if p.name[0] != "s"]),
        ("test", [p for p in images if p.name[0] == "s"]),
    ):
        lines = ["data:", *(f"- data/{path.as_posix()}" for path in chosen), "targets:", *("- 0" for _ in chosen)]
        (tmp_path / f"imagenet-r_{what}.yaml").write_text("\n".join(lines) + "\n")
    lists: dict[str, Any] = {f"{what}_list": str(tmp_path / f"imagenet-r_{what}.yaml") for what in ("train", "test")}
    whole = build(ImageNetR, size=32, split="lists", **lists)
    packed()(miniature("imagenet_r", tmp_path / "port", "write_port"), tmp_path / "ported")
    port = build(ImageNetR, size=32, split="lists", folder=str(_unzipped(tmp_path / "ported")), **lists)
    assert port.id == whole.id and len(port.dataset.test) == 200


def _unzipped(folder: Path) -> Path:
    import zipfile

    with zipfile.ZipFile(folder / "imagenet-r.zip") as archive:
        archive.extractall(folder)
    return folder / "imagenet-r"


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_a_damaged_archive_is_one_sentence(
    name: str, damage: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, release = RELEASES[name]
    packed()(miniature(release, tmp_path), data)
    archive = max(data.iterdir(), key=lambda path: path.stat().st_size)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"no archive at all")
    _know(name, data, monkeypatch)
    with pytest.raises(ClbenchError) as caught:
        build(family, size=32)
    assert archive.name in str(caught.value) and "\n" not in str(caught.value)


def test_another_archive_than_the_published_one_is_refused(data: Path, tmp_path: Path) -> None:
    packed()(miniature("imagenet_r", tmp_path), data)
    with pytest.raises(DataError, match=r"imagenet-r\.tar is damaged or not the file we know: its MD5 is "):
        build(ImageNetR, size=32)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("cub-200", "CUB_200_2011/train_test_split.txt"),
        ("cub-200", "CUB_200_2011/images/001.Black_footed_Albatross/Black_footed_Albatross_0001_796110.jpg"),
        ("tiny-imagenet", "tiny-imagenet-200/val/val_annotations.txt"),
        ("tiny-imagenet", "tiny-imagenet-200/val/images/val_0.JPEG"),
        ("stanford-cars", "cars_annos.mat"),
        ("stanford-cars", "car_ims/000001.jpg"),
    ],
)
def test_a_missing_file_is_one_sentence(name: str, lost: str, data: Path, tmp_path: Path) -> None:
    family, release = RELEASES[name]
    unpack(miniature(release, tmp_path), data, releases.release(release))
    (data / lost).unlink()
    with pytest.raises(ClbenchError) as caught:
        build(family, size=32)
    assert isinstance(caught.value, DataError | MissingData) and "\n" not in str(caught.value)
    assert Path(lost).name in str(caught.value) or "was not found" in str(caught.value)


def test_cars_that_lack_a_table_are_named(data: Path, tmp_path: Path) -> None:
    two_folders_of_cars("stanford_cars", nested=False)(miniature("stanford_cars", tmp_path), data)
    (data / "stanford_cars" / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DataError, match=r"stanford_cars lacks files of Stanford Cars: it needs car_ims.tgz \+ cars_an"):
        build(StanfordCars, size=32)
    with pytest.raises(DataError, match=r"stanford_cars lacks files of Stanford Cars"):
        build(StanfordCars, size=32, folder=str(data / "stanford_cars"))
    with pytest.raises(UsageError, match="There is no folder"):
        build(StanfordCars, size=32, folder=str(data / "none"))


def _know(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the archive of a miniature as the published one."""
    declared = catalog.DATASETS[name]
    path = folder / declared.archive.name
    if path.is_file():
        archive = dataclasses.replace(declared.archive, md5=hashlib.md5(path.read_bytes()).hexdigest())
        monkeypatch.setitem(catalog.DATASETS, name, dataclasses.replace(declared, archive=archive))
