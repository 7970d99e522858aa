"""Folders named after WordNet numbers."""

from __future__ import annotations

import re

from tools.miniatures.wordnet import classes, dealt, readme


def test_there_are_as_many_classes_as_published() -> None:
    assert len(classes()) == len(set(classes().values())) == 200
    assert all(re.fullmatch(r"n\d{8}", number) for number in classes())


def test_the_text_names_every_class() -> None:
    assert readme("X").decode().splitlines()[2:] == [f"{number} {name}" for number, name in classes().items()]


def test_every_third_image_of_a_class_is_for_tests() -> None:
    content = {f"x/{folder}/{n}.jpg": bytes([n]) for folder in ("n1", "n2") for n in range(4)}
    found = dealt(content | {"x/README.txt": b"text"}, "y")
    assert found["x/README.txt"] == b"text"
    assert sorted(name for name in found if "/test/" in name) == ["y/test/n1/2.jpg", "y/test/n2/2.jpg"]
    assert found["y/train/n2/3.jpg"] == b"\3" and len(found) == 9
