"""Streams from trees of image files: whose split, where from, decoded once; on small trees of the real layouts."""

from __future__ import annotations

import hashlib
import logging
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cl import registry
from cl.data import catalog
from cl.errors import DataError, UsageError
from cl.settings.orders import class_order
from cl.stream import Evaluate, Stream
from cl.streams.trees import CUB200, ImageNetA, ImageNetR, TinyImageNet
from cl.testing import check_stream

SIZE = 8
PER_CLASS = 5
NAMES = [f"n{1_440_000 + 7 * label:08d}" for label in range(200)]
Files = dict[str, list[str]]


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((9, 11, 3), (number >> 8, number & 255, 99), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")  # content decides, as for the JPEG files that are PNG in the wild


def grow(
    root: Path, per_class: int = PER_CLASS, names: list[str] = NAMES, start: int = 0, suffix: str = ".jpg"
) -> Path:
    for label, name in enumerate(names):
        for index in range(per_class):
            picture(root / name / f"art_{index}{suffix}", start + label * per_class + index)
    return root


@pytest.fixture(scope="module")
def renditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds imagenet-r/ as its archive unpacks."""
    folder = tmp_path_factory.mktemp("data")
    grow(folder / "imagenet-r")
    (folder / "imagenet-r" / "README.txt").write_text("renditions")
    return folder


@pytest.fixture
def data(renditions: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(renditions))
    return renditions


def build(family: Any = ImageNetR, /, seed: int = 1993, **options: Any) -> Stream:
    chosen = family.Options(**{"size": SIZE, **options})
    return family().build(chosen, order_seed=seed, data_seed=seed)


def test_our_split_holds_a_fifth_of_every_class_and_is_the_same_for_every_seed(data: Path) -> None:
    stream = build()
    assert stream.info.classes_per_task == (20,) * 10
    assert np.bincount(stream.dataset.test.labels).tolist() == [1] * 200
    assert np.bincount(stream.dataset.train.labels).tolist() == [4] * 200
    other = build(seed=7)
    assert other.dataset.fingerprints == stream.dataset.fingerprints
    assert build(split_seed=1).dataset.fingerprints != stream.dataset.fingerprints
    assert stream.comparable["split"] == "seeded" and stream.comparable["split_seed"] == 0
    assert not {"folder", "train_list", "test_list"} & set(stream.options)  # paths of this machine
    check_stream(stream)


def test_known_split_and_order_so_that_records_stay_comparable(data: Path) -> None:
    stream = build()
    assert stream.class_order[:10].tolist() == [168, 136, 51, 9, 183, 101, 171, 99, 42, 159]
    assert stream.dataset.fingerprints["test"][:16] == "ee501a9845093d9f"
    assert stream.id[:16] == "9e7fc74b16291902"


@pytest.mark.parametrize(("increment", "tasks"), [(40, 5), (20, 10), (10, 20), (5, 40)])
def test_five_to_forty_tasks(data: Path, increment: int, tasks: int) -> None:
    assert build(increment=increment).info.n_tasks == tasks


def test_the_class_order_is_that_of_papers() -> None:
    order = class_order("pycil", 200, 1993)
    assert order[:20].tolist() == np.random.RandomState(1993).permutation(200)[:20].tolist()
    assert order[:10].tolist() == [168, 136, 51, 9, 183, 101, 171, 99, 42, 159]


def test_images_are_decoded_once_and_memory_mapped(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build()

    def never(*arguments: Any) -> Any:
        raise AssertionError("decoded again")

    monkeypatch.setattr("cl.data.folders.decode_resized", never)
    again = build(increment=10)
    assert isinstance(again.dataset.train.pixels, np.memmap)
    assert again.dataset.fingerprints == first.dataset.fingerprints
    with pytest.raises(AssertionError, match="decoded again"):
        build(size=SIZE + 1)


def lists(folder: Path, renditions: Path, form: str) -> dict[str, Any]:
    """The first two images of every class to test on, as papers write such lists."""
    found: dict[str, Any] = {}
    for what, indices in (("train", range(2, PER_CLASS)), ("test", range(2))):
        paths = [f"{name}/art_{index}.jpg" for name in NAMES for index in indices]
        text = {
            "lines": "\n".join(paths),
            "labels": "\n".join(f"{path} {NAMES.index(path[:9])}" for path in paths),
            "yaml": "data:\n" + "\n".join(f"- data/imagenet-r/{path}" for path in paths) + "\ntargets:\n- 0\n",
            "json": "[" + ", ".join(f'"/home/us/imagenet-r/{path}"' for path in paths) + "]",
        }[form]
        found[f"{what}_list"] = str(folder / f"{what}.{form}")
        Path(found[f"{what}_list"]).write_text(text)
    return found


def test_lists_of_files_in_every_form_give_the_same_stream(data: Path, tmp_path: Path) -> None:
    streams = []
    for form in ("lines", "labels", "yaml", "json"):
        streams.append(build(split="lists", **lists(tmp_path, data, form)))
    assert len({stream.id for stream in streams}) == 1
    assert np.bincount(streams[0].dataset.test.labels).tolist() == [2] * 200
    assert len(streams[0].comparable["train_list"]) == 64  # what was listed, not where the list lies
    assert streams[0].id != build().id


def test_lists_that_do_not_fit_are_refused(data: Path, tmp_path: Path) -> None:
    found = lists(tmp_path, data, "lines")
    with pytest.raises(UsageError, match="needs both"):
        build(split="lists", train_list=found["train_list"])
    with pytest.raises(UsageError, match="belong to split=lists"):
        build(**found)
    with pytest.raises(UsageError, match="in both lists"):
        build(split="lists", train_list=found["train_list"], test_list=found["train_list"])
    with pytest.raises(UsageError, match="no list of files"):
        build(split="lists", train_list=found["train_list"], test_list=str(tmp_path / "none"))
    (tmp_path / "wrong").write_text("n01440000/photo_9.jpg\n")
    with pytest.raises(DataError, match="not among the images"):
        build(split="lists", train_list=found["train_list"], test_list=str(tmp_path / "wrong"))


@pytest.mark.parametrize("test", ["test", "val"])
def test_folders_that_were_split_before_are_another_split(cache: Path, tmp_path: Path, test: str) -> None:
    root = tmp_path / "elsewhere"
    grow(root / "train", 2)
    grow(root / test, 1, start=1000)
    stream = build(split="folders", folder=str(root))
    assert np.bincount(stream.dataset.train.labels).tolist() == [2] * 200 and stream.options["split"] == "folders"
    with pytest.raises(UsageError, match=r"set stream\.split=folders"):
        build(folder=str(root))
    (root / test).rename(root / "held-out")
    with pytest.raises(UsageError, match="neither test/ nor val/"):
        build(folder=str(root))


def test_folders_are_not_found_in_the_official_tree(data: Path) -> None:
    with pytest.raises(UsageError, match="has no train/ and test/"):
        build(split="folders")


def test_the_archive_is_unpacked_once_and_checked(
    renditions: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "archives"
    place.mkdir()
    with tarfile.open(place / "imagenet-r.tar", "w") as archive:
        archive.add(renditions / "imagenet-r", "imagenet-r")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(place))
    with pytest.raises(DataError, match="its MD5 is"):
        build()
    declared = catalog.DATASETS["imagenet-r"]
    digest = hashlib.md5((place / "imagenet-r.tar").read_bytes()).hexdigest()
    ours = replace(declared, archive=replace(declared.archive, md5=digest))
    monkeypatch.setitem(catalog.DATASETS, "imagenet-r", ours)
    stream = build()
    assert (cache / "data" / "imagenet-r" / "imagenet-r" / NAMES[0] / "art_0.jpg").is_file()
    (place / "imagenet-r.tar").unlink()
    monkeypatch.delenv("CLBENCH_DATA_PATH")
    assert build().id == stream.id
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(renditions))
    assert build().id == stream.id  # the same from a folder


def test_what_is_missing_is_one_sentence(cache: Path) -> None:
    with pytest.raises(DataError, match=r"ImageNet-R \(imagenet-r.tar or imagenet-r .* CLBENCH_OFFLINE"):
        build()
    with pytest.raises(UsageError, match="There is no folder"):
        build(folder="/nowhere/at/all")


def test_another_dataset_is_not_taken_for_it(cache: Path, tmp_path: Path) -> None:
    grow(tmp_path / "few", 2, NAMES[:3])
    with pytest.raises(DataError, match="its training images have 3 classes and its test images 3, expected 200"):
        build(folder=str(tmp_path / "few"))


def test_cars_cannot_be_downloaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.streams.trees import StanfordCars

    monkeypatch.delenv("CLBENCH_OFFLINE")
    with pytest.raises(DataError, match="get it from its authors"):
        build(StanfordCars)


def test_imagenet_a_shares_the_layout(renditions: Path, cache: Path) -> None:
    stream = build(ImageNetA, folder=str(renditions / "imagenet-r"))
    assert stream.name == "imagenet-a" and stream.dataset.name == "imagenet-a"


def test_cub_has_its_own_split(cache: Path, tmp_path: Path) -> None:
    root, names = tmp_path / "CUB_200_2011", [f"{n + 1:03d}.Bird_{n}" for n in range(200)]
    grow(root / "images", 3, names)
    paths = [f"{name}/art_{index}.jpg" for name in names for index in range(3)]
    (root / "images.txt").write_text("".join(f"{n} {path}\n" for n, path in enumerate(paths, 1)))
    (root / "train_test_split.txt").write_text("".join(f"{n} {int(n % 3 > 0)}\n" for n in range(1, len(paths) + 1)))
    stream = build(CUB200, folder=str(root))
    assert np.bincount(stream.dataset.train.labels).tolist() == [2] * 200 and stream.options["split"] == "official"
    assert stream.dataset.class_names[0] == "001.Bird_0"
    ours = build(CUB200, folder=str(root), split="seeded")
    assert ours.dataset.fingerprints != stream.dataset.fingerprints
    (root / "images.txt").unlink()
    with pytest.raises(DataError, match="missing or incomplete"):
        build(CUB200, folder=str(root))


def test_tiny_imagenet_is_tested_on_its_validation_images(cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    for label, name in enumerate(NAMES):
        picture(root / "train" / name / "images" / f"{name}_0.JPEG", label)
        picture(root / "val" / "images" / f"val_{label}.JPEG", 500 + label)
    lines = [f"val_{label}.JPEG\t{name}\t0\t0\t9\t9\n" for label, name in enumerate(NAMES)]
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "test" / "images").mkdir(parents=True)
    stream = build(TinyImageNet, folder=str(root))
    assert len(stream.dataset.train) == len(stream.dataset.test) == 200
    assert stream.dataset.test.pixels[0, 0, 0].tolist() == [500 >> 8, 500 & 255, 99]
    assert TinyImageNet.Options().size == 64


def test_data_commands_know_the_trees(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    from cl.housekeeping.datasets import places, verify

    declared = catalog.declaration("imagenet-r")
    assert declared.n_classes == 200 and declared.is_tree and "never run by us" in declared.checked
    assert [place.folder for place in places(declared) if place.is_whole] == [data]
    with caplog.at_level(logging.WARNING):
        assert [check.state for check in verify(declared)] == ["unknown"]
    with pytest.raises(UsageError, match="which its stream splits"):
        catalog.load("imagenet-r")


DECLARED = {"domainnet": 6, "5-datasets": 5, "core50": 11}


@pytest.mark.parametrize("name", DECLARED)
def test_declared_streams_say_what_they_need(name: str, cache: Path) -> None:
    family = registry.streams.get(name)
    assert len(family.declaration().datasets) == DECLARED[name]
    assert "never run by us" in " ".join(str(family.__doc__).split())
    with pytest.raises(DataError, match=f"Stream {name} needs"):
        family().build(family.Options(), order_seed=0, data_seed=0)


def test_domainnet_is_read_from_folders(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.streams.standard import DomainNet

    for start, domain in enumerate(("clipart", "infograph", "painting", "quickdraw", "real", "sketch")):
        grow(tmp_path / "domainnet" / domain, 4, ["ant", "bee"], start=10 * start)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    stream = DomainNet().build(DomainNet.Options(size=SIZE), order_seed=0, data_seed=0)
    assert stream.setting == "domain-incremental" and stream.info.class_names == ("ant", "bee")
    assert stream.groups[0].name == "clipart" and len(stream.experiences) == 6


def test_core50_is_tested_on_sessions_that_are_never_learned(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cl.streams.standard import CORe50

    for session in range(1, 12):
        grow(tmp_path / "core50_128x128" / f"s{session}", 3, ["o1", "o2"], start=10 * session)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    stream = CORe50().build(CORe50.Options(size=SIZE), order_seed=0, data_seed=0)
    assert [group.name for group in stream.groups] == ["s3", "s7", "s10"] and stream.info.class_names == ("o1", "o2")
    assert [len(experience.train) for experience in stream.experiences] == [6] * 8
    assert len(stream.dataset.train) == 48 and len(stream.dataset.test) == 18, "no image is split off or lost"
    tested = [event.groups for event in stream.events if isinstance(event, Evaluate)]
    assert tested == [(0, 1, 2)] * 8
    check_stream(stream)
