"""DomainNet's archives and lists. That odd lines are refused is tested in tests/data/releases/test_domainnet.py."""

from __future__ import annotations

from pathlib import Path

from cl.data.official.domainnet import domain, in_splits, listed, unlisted
from cl.data.official.files import Files, Folder
from tools.miniatures.packing import write_files


def files(root: Path) -> Files:
    lists = {"sketch_train.txt": b"sketch/zebra/1.jpg 0\n", "sketch_test.txt": b"sketch/wheel/2.jpg 1\n"}
    write_files(root, {"sketch/zebra/1.jpg": b"", "sketch/wheel/2.jpg": b"", "sketch/wheel/3.png": b"", **lists})
    write_files(root, {"real/wheel/4.jpg": b"", "sketch/readme.txt": b""})
    return Files([Folder(root, ("",))], "here")


def test_lists_split_the_images_and_number_the_classes(tmp_path: Path) -> None:
    listing = listed(files(tmp_path), "sketch")
    assert listing.class_names == ("zebra", "wheel")
    assert {split: len(each) for split, each in listing.splits.items()} == {"train": 1, "test": 1}


def test_without_lists_all_images_of_a_domain_are_one_set(tmp_path: Path) -> None:
    listing = unlisted(files(tmp_path), "sketch")
    assert listing.class_names == ("wheel", "zebra") and listing.splits["all"].labels.tolist() == [0, 0, 1]


def test_a_domain_has_an_archive_and_two_lists_with_checksums() -> None:
    release = domain("sketch", 5, "groundtruth/", ("a", "b", "c"))
    assert [(file.name, file.md5) for file in release.files] == [
        *(("sketch.zip", "a"), ("sketch_train.txt", "b"), ("sketch_test.txt", "c")),
    ]
    assert release.files[0].urls[0].endswith("/multi-source/groundtruth/sketch.zip") and release.downloadable
    ((archive, *lists),) = in_splits(release.files)
    assert archive == release.files[0]
    assert [(each.name, each.md5) for each in lists] == [
        *(("splits/sketch_train.txt", "b"), ("splits/sketch_test.txt", "c")),
    ]
