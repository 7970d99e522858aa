"""Trees of image files: found, unpacked, split by lists or folders, and decoded once."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data import catalog
from cl.errors import DataError, UsageError
from tests.help.image_trees import NAMES, PER_CLASS, SIZE, build, grow


def test_images_are_decoded_once_and_memory_mapped(image_trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_lists_of_files_in_every_form_give_the_same_stream(image_trees: Path, tmp_path: Path) -> None:
    streams = []
    for form in ("lines", "labels", "yaml", "json"):
        streams.append(build(split="lists", **lists(tmp_path, image_trees, form)))
    assert len({stream.id for stream in streams}) == 1
    assert np.bincount(streams[0].dataset.test.labels).tolist() == [2] * 200
    assert len(streams[0].comparable["train_list"]) == 64  # what was listed, not where the list lies
    assert streams[0].id != build().id


def test_lists_that_do_not_fit_are_refused(image_trees: Path, tmp_path: Path) -> None:
    found = lists(tmp_path, image_trees, "lines")
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


def test_folders_are_not_found_in_the_official_tree(image_trees: Path) -> None:
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
