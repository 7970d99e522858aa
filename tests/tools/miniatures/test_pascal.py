"""Image sets of the PASCAL VOC challenges in little."""

from __future__ import annotations

from xml.etree import ElementTree

from tools.miniatures.pascal import annotation, main_sets
from tools.miniatures.pen import Pen

CLASSES = ("bird", "cat", "cow", "dog", "horse", "person", "sheep", "sofa", "train")


def test_an_annotation_has_an_object_per_class_and_a_difficult_one() -> None:
    root = ElementTree.fromstring(annotation("000007", ["cat", "dog"]))
    objects = [(each.findtext("name"), each.findtext("difficult")) for each in root.iterfind("object")]
    assert objects == [("cat", "0"), ("dog", "0"), ("cat", "1")]
    assert root.findtext("filename") == "000007.jpg"


def test_lists_name_the_images_and_tell_their_classes() -> None:
    pen = Pen()
    content = main_sets(pen, "VOC", CLASSES, {"train": "train", "val": "val"}, "{:06}")
    names = [f"{number:06}" for number in range(1, 37)]
    for kind, own in (("train", names[:18]), ("val", names[18:]), ("trainval", names)):
        lists = {each: content[kind][f"VOC/ImageSets/Main/{each}_{kind}.txt"].decode().splitlines() for each in CLASSES}
        assert content[kind][f"VOC/ImageSets/Main/{kind}.txt"].decode().split() == own
        for place, name in enumerate(own):
            number = place if kind != "val" else place + 18
            has = tuple(each for each in CLASSES if lists[each][place] == f"{name}  1")
            assert has == pen.truth[number].labels
            assert all(lists[each][place] in (f"{name}  1", f"{name} -1") for each in CLASSES)
    assert [each.split for each in pen.truth.values()] == ["train"] * 18 + ["val"] * 18
    assert {len(each.labels) for each in pen.truth.values()} == {1, 2}
    assert {f"VOC/JPEGImages/{name}.jpg" for name in names[:18]} <= content["train"].keys()
    assert {f"VOC/Annotations/{name}.xml" for name in names[18:]} <= content["val"].keys()
