"""Streams from trees of image files, on small trees of the real layouts: splits, orders and tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.errors import DataError
from cl.streams.trees import CUB200, ImageNetA, TinyImageNet
from cl.testing import check_stream
from tests.help.image_trees import NAMES, build, grow, picture


def test_our_split_holds_a_fifth_of_every_class_and_is_the_same_for_every_seed(image_trees: Path) -> None:
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


def test_known_split_and_order_so_that_records_stay_comparable(image_trees: Path) -> None:
    stream = build()
    assert stream.class_order[:10].tolist() == [168, 136, 51, 9, 183, 101, 171, 99, 42, 159]
    assert stream.dataset.fingerprints["test"][:16] == "ee501a9845093d9f"
    assert stream.id[:16] == "9e7fc74b16291902"


@pytest.mark.parametrize(("increment", "tasks"), [(40, 5), (20, 10), (10, 20), (5, 40)])
def test_five_to_forty_tasks(image_trees: Path, increment: int, tasks: int) -> None:
    assert build(increment=increment).info.n_tasks == tasks


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
