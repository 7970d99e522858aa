"""NIH ChestX-ray14: chest X-rays with 14 findings, several per image, or the class "No Finding".

The authors' lists of training and test images; no patient is in both. Kaggle's archive has everything in one file.
"""

from __future__ import annotations

import csv

from cl.data.official.files import Files
from cl.data.official.listing import Listing, many_classes
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_FINDINGS = tuple(
    """Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax Consolidation Edema Emphysema
    Fibrosis Pleural_Thickening Hernia""".split()  # noqa: SIM905
)
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
_TABLES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")


def _read(files: Files) -> Listing:
    """The table has the name of an image and its findings, A|B; the lists name images, which are in folders."""
    paths = {name.rpartition("/")[2]: name for name, _ in files.match(r"(?:images_\d+/)?images/[^/]+\.png")}
    table = next((name for name in _TABLES if name in files), _TABLES[0])
    found = {row[0]: row[1].split("|") for row in csv.reader(files.lines(table)) if len(row) > 1}
    rows: dict[str, list[tuple[str, list[str]]]] = {}
    for split, name in _LISTS.items():
        images = files.lines(name)
        if missing := [each for each in images if each not in found or each not in paths]:
            raise DataError(
                f"{files.where} lacks the image or the findings of {missing[0]}, which {name} names; get the whole "
                "dataset and run again."
            )
        rows[split] = [(paths[each], found[each]) for each in images]
    return many_classes(files, rows, (*_FINDINGS, "No Finding"))


_PARTS = tuple(f"images_{number:03}" for number in range(1, 13))

RELEASE = Release(
    name="nih_chest_xray",
    title="NIH Chest X-ray",
    files=(
        OfficialFile(
            *("data.zip", (), 0, "ddd3acbfa23adf60ac08312b3c4040e2"),
            holds=(*(f"{part}/images" for part in _PARTS), *_LISTS.values(), _TABLES[0]),
        ),
    ),
    also=tuple(
        (
            *(OfficialFile(f"{part}.tar.gz", holds=("images",)) for part in _PARTS),
            *(OfficialFile(name) for name in (*_LISTS.values(), table)),
        )
        for table in _TABLES
    ),
    read=_read,
    classes=15,
    images=112_120,
    licence="free use; the NIH Clinical Center is to be acknowledged",
    citation="Wang et al., ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks, CVPR 2017",
    page="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    checked=HANDLERS,
    access="download https://www.kaggle.com/datasets/nih-chest-xrays/data (a Kaggle account is needed), or get "
    "images_001.tar.gz to images_012.tar.gz, the two lists and the table from "
    "https://nihcc.app.box.com/v/ChestXray-NIHCC",
    multi_label=True,
    kaggle="nih-chest-xrays/data",
)
