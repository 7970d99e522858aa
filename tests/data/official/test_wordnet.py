"""Images in folders that are named after WordNet numbers."""

from __future__ import annotations

from pathlib import Path

from cl.data.official.files import Files, Folder
from cl.data.official.wordnet import numbered
from tools.miniatures.packing import write_files

IMAGES = {"r/n00000002/a.jpg": b"", "r/train/n00000001/b.JPEG": b"", "r/test/n00000001/c.png": b""}


def listed(root: Path, readme: str = "") -> tuple[tuple[str, ...], list[int]]:
    write_files(root, IMAGES | ({"r/README.txt": readme.encode()} if readme else {}))
    write_files(root, {"r/.hidden/n00000001/x.jpg": b"", "r/masks/n00000001/x.jpg": b"", "r/n00000001/x.txt": b""})
    listing = numbered(Files([Folder(root, ("",))], "here"), "r")
    return listing.class_names, listing.splits["all"].labels.tolist()


def test_folders_of_a_port_are_one_set(tmp_path: Path) -> None:
    assert listed(tmp_path) == (("n00000001", "n00000002"), [1, 0, 0])


def test_classes_have_the_names_of_the_text(tmp_path: Path) -> None:
    text = "Classes:\nn00000002 great white shark\nn00000001 goldfish\nn00000003 other\n"
    assert listed(tmp_path, text)[0] == ("goldfish", "great white shark")


def test_one_name_for_two_classes_names_none(tmp_path: Path) -> None:
    assert listed(tmp_path, "n00000002 crane\nn00000001 crane\n")[0] == ("n00000001", "n00000002")
