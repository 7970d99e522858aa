"""Layouts of the PASCAL VOC challenges: sets, objects, and damaged annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.pascal import CLASSES, classified, objects
from cl.errors import DataError
from tools.miniatures.packing import write_files
from tools.miniatures.pascal import annotation
from tools.miniatures.pen import Pen


@pytest.fixture
def files(tmp_path: Path) -> Files:
    pen = Pen()
    write_files(
        tmp_path,
        {
            "VOC/ImageSets/Main/train.txt": b"000002\n000001\n",
            "VOC/ImageSets/Main/val.txt": b"000003\n",
            "VOC/Annotations/000001.xml": annotation("000001", ["cat", "dog"]),
            "VOC/Annotations/000002.xml": annotation("000002", ["sheep"]),
            "VOC/Annotations/000003.xml": annotation("000003", ["person"]),
            **{f"VOC/JPEGImages/00000{number}.jpg": pen.encoded("train", "cat") for number in (1, 2, 3)},
        },
    )
    return Files([Folder(tmp_path, ("",))], "here")


def test_images_have_the_classes_of_all_objects(files: Files) -> None:
    listing = classified(files, "VOC", {"train": "train", "test": "val"})
    assert listing.class_names == CLASSES and listing.multi_label and len(CLASSES) == 20
    named = {
        split: [[name for name, has in zip(CLASSES, row, strict=True) if has] for row in each.labels.tolist()]
        for split, each in listing.splits.items()
    }
    assert named == {"train": [["sheep"], ["cat", "dog"]], "test": [["person"]]}


def test_objects_come_in_the_order_of_the_file(files: Files) -> None:
    assert objects(files, "VOC/Annotations/000001.xml") == ["cat", "dog", "cat"]


def test_what_is_no_xml_is_one_sentence(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "VOC/Annotations/000001.xml"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"^VOC/Annotations/000001\.xml of here is no XML \(.*\); replace it\.$"):
        objects(files, "VOC/Annotations/000001.xml")
