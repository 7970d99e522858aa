"""CelebA: faces of celebrities, aligned and cropped to 178 x 218 pixels, with 40 attributes each.

The images are those of img_align_celeba.zip, as in tensorflow_datasets, which NEVIS'22 reads; the attributes are the
classes. The authors publish training, validation and test images with different people.
"""

from __future__ import annotations

import csv

from cl.data.official.files import Files
from cl.data.official.listing import Listing, many_classes
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.errors import DataError

_SPLITS = {"0": "train", "1": "val", "2": "test"}


def _read(files: Files) -> Listing:
    """The images that the list of partitions names; Kaggle's archive has both lists as CSV."""
    folder = _folder(files)
    names, rows = _attributes(files)
    parts = _table(files, "list_eval_partition")[1 if _is_csv(files) else 0 :]
    found: dict[str, list[tuple[str, list[str]]]] = {split: [] for split in _SPLITS.values()}
    for row in parts:
        if len(row) != 2 or row[1] not in _SPLITS or row[0] not in rows:
            raise DataError(
                f"{files.where} has the partition {' '.join(row)!r}, which no attributes fit; get it again."
            )
        present = [name for name, value in zip(names, rows[row[0]], strict=True) if value == "1"]
        found[_SPLITS[row[1]]].append((folder + row[0], present))
    return many_classes(files, found, names)


def _folder(files: Files) -> str:
    """The folder of the images; Kaggle's archive puts it into another one of its name."""
    _, found = next(files.match(r"((?:.*/)?img_align_celeba/)\d{6}\.jpg"))
    return found[1]


def _attributes(files: Files) -> tuple[list[str], dict[str, list[str]]]:
    """The names of the attributes, and for each image -1 or 1 for every one of them."""
    table, heads = _table(files, "list_attr_celeba"), 1 if _is_csv(files) else 2
    if len(table) <= heads:
        raise DataError(f"list_attr_celeba of {files.where} lists no image; get the list again.")
    names, body = table[heads - 1][2 - heads :], table[heads:]
    if odd := [row for row in body if len(row) != len(names) + 1]:
        raise DataError(f"{files.where} has the attributes {' '.join(odd[0])!r}, too few or many; get the list again.")
    return names, {row[0]: row[1:] for row in body}


def _is_csv(files: Files) -> bool:
    return next(files.match(r"(?:.*/)?list_attr_celeba\.(?:txt|csv)"))[0].endswith(".csv")


def _table(files: Files, name: str) -> list[list[str]]:
    path, _ = next(files.match(rf"(?:.*/)?{name}\.(?:txt|csv)"))
    lines = files.lines(path)
    return list(csv.reader(lines)) if path.endswith(".csv") else [line.split() for line in lines]


RELEASE = Release(
    name="celeb_a",
    title="CelebA",
    files=(
        OfficialFile("img_align_celeba.zip", md5="00d2c5bc6d35e252742224ab0c1e8fcb", holds=("img_align_celeba",)),
        OfficialFile("list_attr_celeba.txt", md5="75e246fa4810816ffd6ee81facbd244c"),
        OfficialFile("list_eval_partition.txt", md5="d32c9cbf5e040fd4025c592c306e6668"),
    ),
    also=(
        (
            OfficialFile("Img/img_align_celeba.zip", holds=("Img/img_align_celeba",), into="Img"),
            OfficialFile("Anno/list_attr_celeba.txt", md5="75e246fa4810816ffd6ee81facbd244c"),
            OfficialFile("Eval/list_eval_partition.txt", md5="d32c9cbf5e040fd4025c592c306e6668"),
        ),
        (
            OfficialFile(
                "celeba-dataset.zip",
                holds=("img_align_celeba/img_align_celeba", "list_attr_celeba.csv", "list_eval_partition.csv"),
            ),
        ),
    ),
    read=_read,
    classes=40,
    images=202_599,
    licence="non-commercial research; no redistribution",
    citation="Liu, Luo, Wang, Tang, Deep Learning Face Attributes in the Wild, ICCV 2015",
    page="http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    checked=TORCHVISIONS,
    access="accept the terms at http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and follow its link to Google Drive",
    folders=("celeba", "CelebA"),
    multi_label=True,
)
