"""Miniatures of DomainNet's domains."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tools.miniatures.domainnet import CLASSES, write_domain
from tools.miniatures.pen import Pen


def test_lists_name_the_images_of_the_archive(tmp_path: Path) -> None:
    pen = Pen()
    write_domain(tmp_path, pen, "sketch", absent={"train": ("zebra",)})
    with zipfile.ZipFile(tmp_path / "sketch.zip") as archive:
        names = set(archive.namelist())
    train, test = ((tmp_path / f"sketch_{split}.txt").read_text().splitlines() for split in ("train", "test"))
    assert len(CLASSES) == len(set(CLASSES)) == len(test) == 345 and len(train) == 344 + 8
    assert {line.rpartition(" ")[0] for line in train + test} < names
    assert train[5] == "sketch/airplane/sketch_002_000001.jpg 1"
    assert len(names) == len(pen.truth) == 2 * 345 + 18 + 8


def test_unpacked_the_lists_are_in_a_folder(tmp_path: Path) -> None:
    write_domain(tmp_path, Pen(), "sketch", "PNG", unpacked=True)
    assert {path.name for path in tmp_path.iterdir()} == {"sketch", "splits"}
    assert (tmp_path / "sketch" / "ant" / "sketch_007_000001.png").is_file()
    assert (tmp_path / "splits" / "sketch_test.txt").is_file()
