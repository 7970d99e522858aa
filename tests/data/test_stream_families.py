"""The families: digits, CIFAR through synthetic archives, and folders of images."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cl.data import catalog
from cl.data.store import ImageStore
from cl.errors import ClbenchError, DataError, UsageError
from cl.settings.class_incremental import IncrementalOptions
from cl.streams.cifar import SplitCIFAR10, SplitCIFAR100
from cl.streams.digits import SplitDigits, digits
from cl.streams.folder import Folder

SEEDS: dict[str, Any] = {"order_seed": 1993, "data_seed": 1993}


def test_modules_import_no_torch() -> None:
    modules = "cl.streams.digits, cl.streams.cifar, cl.streams.folder, cl.data.catalog, cl.stream, "
    modules += "cl.settings.class_incremental"
    heavy = {"torch", "sklearn", "PIL", "pooch", "requests"}
    code = f"import sys, {modules}; bad = {heavy} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("family", [SplitDigits, SplitCIFAR100, SplitCIFAR10, Folder])
def test_families_say_what_they_are_and_explain_every_option(family: Any) -> None:
    assert family.__doc__.splitlines()[0].strip()
    assert isinstance(family.version, str)
    assert all(field.metadata["help"] for field in fields(family.Options))


def test_digits_are_the_fixed_split() -> None:
    data = digits()
    assert (len(data.train), len(data.test)) == (1347, 450)
    assert data.train.image_shape == (8, 8, 1) and data.train.pixels.max() == 255
    for label in range(10):
        held_out, kept = (data.test.labels == label).sum(), (data.train.labels == label).sum()
        assert held_out == round((held_out + kept) / 4)
    assert data.fingerprints == {
        "train": "39a1bbd7c3e134a864176c910738c04886d2227cb5572d6866426623c6809a8f",
        "test": "163a71213eb4ea34382d47ce4d7402010391afb38b66b830b5de3662fd506372",
    }


def test_digits_default_to_five_tasks_of_two() -> None:
    stream = SplitDigits().build(SplitDigits.Options(), **SEEDS)
    assert stream.info.classes_per_task == (2,) * 5
    assert stream.options["increment"] == 2
    assert sum(len(group.rows["test"]) for group in stream.groups) == 450
    assert SplitDigits().build(SplitDigits.Options(tasks=2), **SEEDS).info.classes_per_task == (5, 5)
    natural = SplitDigits().build(SplitDigits.Options(order="natural"), **SEEDS)
    assert natural.info.class_names[:2] == ("zero", "one")


def test_a_stream_order_seed_beats_that_of_the_run() -> None:
    build = SplitDigits().build
    own = build(SplitDigits.Options(order_seed=7), order_seed=1, data_seed=1)
    assert own.class_order.tolist() == np.random.RandomState(7).permutation(10).tolist()
    assert build(SplitDigits.Options(), order_seed=7, data_seed=1).id == own.id


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


def test_missing_offline_says_what_where_and_how(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        SplitCIFAR100().build(SplitCIFAR100.Options(), **SEEDS)
    text = str(caught.value)
    for part in ("cifar-100-python.tar.gz", "cifar100_train.npz", str(cache), "CLBENCH_DATA_PATH", "CLBENCH_OFFLINE"):
        assert part in text
    assert "\n" not in text and caught.value.exit_code == 3


def test_options_are_checked_before_data_is_looked_for(cache: Path) -> None:
    with pytest.raises(UsageError, match="tasks=101 does not fit 100 classes"):
        SplitCIFAR100().build(IncrementalOptions(tasks=101), **SEEDS)


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


def save(path: Path, size: tuple[int, int] = (12, 10), seed: int = 0, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) + (() if mode == "L" else (len(mode),))
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode).save(path)


def tree(root: Path, per_class: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(per_class.items()):
        for index in range(count):
            save(root / name / f"{index}.png", seed=100 * number + index)
    return root


def folder(path: Path, **options: Any) -> Any:
    return Folder().build(Folder.Options(**({"size": 8} | options)), argument=str(path), **SEEDS)


def test_class_folders_are_split_by_ourselves(cache: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"cat": 10, "ant": 5, "dog": 2})
    (root / ".hidden").mkdir()
    (root / "cat" / "notes.txt").write_text("x")
    stream = folder(root)
    assert stream.name == "folder:pets" and stream.info.n_tasks == 3
    data = stream.dataset
    assert data.class_names == ("ant", "cat", "dog")
    assert np.bincount(data.test.labels).tolist() == [1, 2, 1]
    assert np.bincount(data.train.labels).tolist() == [4, 8, 1]
    assert data.train.image_shape == (8, 8, 3)
    assert folder(root).id == stream.id
    assert Folder().build(Folder.Options(size=8), order_seed=1993, data_seed=2, argument=str(root)).id == stream.id
    assert len({folder(root, **change).id for change in ({"split_seed": 1}, {"size": 9}, {"test_fraction": 0.5})}) == 3


@pytest.mark.parametrize("name", ["test", "val"])
def test_train_and_test_folders_keep_their_split(cache: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "data"
    tree(root / "train", {f"c{i}": 1 for i in range(7)})
    tree(root / name, {f"c{i}": 2 for i in range(7)})
    stream = folder(root)
    assert stream.info.classes_per_task == (2, 2, 1, 1, 1)
    assert (len(stream.dataset.train), len(stream.dataset.test)) == (7, 14)
    assert folder(root, split_seed=3).id == stream.id
    assert folder(root, base=5).info.classes_per_task == (5, 1, 1)


def test_the_order_of_files_does_not_matter_and_a_changed_file_is_seen(cache: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "a" / "pets", {"x": 4, "y": 4})
    first = folder(root).dataset.fingerprints
    other = tmp_path / "b" / "pets"
    for path in sorted(root.rglob("*.png"), reverse=True):
        target = other / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert folder(other).dataset.fingerprints == first
    save(root / "x" / "0.png", seed=999)
    os.utime(root / "x" / "0.png", ns=(1, 1))
    assert folder(root).dataset.fingerprints != first


def test_images_become_rgb_squares(cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    for index, (mode, size) in enumerate([("L", (16, 8)), ("RGB", (8, 16)), ("RGBA", (5, 7)), ("RGB", (8, 8))]):
        for split in ("train", "test"):
            save(root / split / f"c{index}" / "i.png", size, index, mode)
    data = folder(root).dataset
    assert data.train.pixels.shape == (4, 8, 8, 3)
    np.testing.assert_array_equal(data.train.pixels[0, ..., 0], data.train.pixels[0, ..., 2])
    with Image.open(root / "train" / "c0" / "i.png") as wide, Image.open(root / "train" / "c3" / "i.png") as exact:
        np.testing.assert_array_equal(data.train.pixels[0, ..., 0], np.asarray(wide)[:, 4:12])
        np.testing.assert_array_equal(data.train.pixels[3], np.asarray(exact))


def test_orientation_and_transparency(cache: Path, tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 8, 4))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    for split in ("train", "test"):
        (tmp_path / split / "turned").mkdir(parents=True)
        (tmp_path / split / "clear").mkdir()
        image.save(tmp_path / split / "turned" / "i.png", exif=exif)
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / split / "clear" / "i.png")
    clear, turned = folder(tmp_path).dataset.train.pixels
    assert clear.min() == 255
    assert turned[:4].max() == 0 and turned[4:].min() == 255


def damaged(root: Path) -> None:
    tree(root, {"a": 3, "b": 3})
    (root / "a" / "0.png").write_bytes((root / "a" / "0.png").read_bytes()[:-40])


def foreign(root: Path) -> None:
    tree(root, {"a": 3, "b": 3})
    (root / "a" / "0.png").write_text("hello")


@pytest.mark.parametrize(
    ("make", "message", "kind"),
    [
        (lambda root: None, "There is no folder", UsageError),
        (lambda root: root.mkdir(), "no class folders", UsageError),
        (lambda root: tree(root, {"a": 2, "b": 1}), "Class 'b' of .* has a single image", DataError),
        (lambda root: (root / "a").mkdir(parents=True), "Class folder .*a holds no images", DataError),
        (lambda root: tree(root / "train", {"a": 1}), "neither test/ nor val/", UsageError),
        (
            lambda root: (tree(root / "train", {"a": 1, "b": 1}), tree(root / "test", {"a": 1})),
            "Class 'b' of .* has no test images",
            DataError,
        ),
        (
            lambda root: (tree(root / "train", {"a": 1}), tree(root / "test", {"a": 1, "b": 1})),
            "Class 'b' of .* has no training images",
            DataError,
        ),
        (damaged, r"Cannot read the image .*0.png .*replace or remove it", DataError),
        (foreign, r"Cannot read the image .*0.png \(it is not an image", DataError),
    ],
)
def test_folders_that_cannot_be_used_are_one_sentence(
    cache: Path, tmp_path: Path, make: Callable[[Path], Any], message: str, kind: type[ClbenchError]
) -> None:
    make(tmp_path / "data")
    with pytest.raises(kind, match=message) as caught:
        folder(tmp_path / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"size": 0}, {"test_fraction": 0.0}, {"test_fraction": 1.0}, {"tasks": 3}])
def test_folder_options_are_checked(cache: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        folder(tree(tmp_path / "data", {"a": 2, "b": 2}), **options)
    assert not cache.exists()


def test_a_folder_needs_a_path() -> None:
    with pytest.raises(UsageError, match="folder:/path/to/images"):
        Folder().build(Folder.Options(), **SEEDS)
