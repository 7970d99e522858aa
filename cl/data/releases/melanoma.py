"""ISIC 2017: skin lesions, photographed through a dermatoscope: melanoma, seborrheic keratosis or benign nevus.

The third part of the challenge, with its training, validation and test images. The archives have an image of
superpixels (PNG) for each photo, which is not read.
"""

from __future__ import annotations

import csv

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_CLASSES = ("melanoma", "seborrheic keratosis", "benign nevus")
_SITE = "https://isic-challenge-data.s3.amazonaws.com/2017/"
_SPLITS = {"train": "Training", "val": "Validation", "test": "Test_v2"}
_MD5 = {
    "train": ("a14a7e622c67a358797ae59abb8a0b0c", "0cb4add57c65c22ca1a1cb469ad1f0c5"),
    "val": ("8d6419d942112f709894c0d82f6c9038", "8d4826a76adcd8fb928ca52a23ebae4c"),
    "test": ("5f6a0b5e1f2972bd1f5ea02680489f09", "9e957b72a0c4f9e0d924889fd03b36ed"),
}


def _read(files: Files) -> Listing:
    """The photos that the ground truth names: image_id, melanoma, seborrheic_keratosis, as 0.0 or 1.0."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for split, part in _SPLITS.items():
        name, rows[split] = f"ISIC-2017_{part}_Part3_GroundTruth.csv", []
        for image, *flags in list(csv.reader(files.lines(name)))[1:]:
            try:
                present = [float(flag) == 1 for flag in flags]
            except ValueError:
                present = []
            if len(present) != 2 or all(present):
                raise DataError(f"{name} of {files.where} has {','.join(flags)!r} for {image!r}; get it again.")
            label = next((each for each, has in zip(_CLASSES, present, strict=False) if has), _CLASSES[2])
            rows[split].append((f"ISIC-2017_{part}_Data/{image}.jpg", label))
    return by_class(files, rows, _CLASSES)


def _files() -> tuple[OfficialFile, ...]:
    found = []
    for split, part in _SPLITS.items():
        data, truth = f"ISIC-2017_{part}_Data", f"ISIC-2017_{part}_Part3_GroundTruth.csv"
        found.append(OfficialFile(f"{data}.zip", (f"{_SITE}{data}.zip",), md5=_MD5[split][0], holds=(data,)))
        found.append(OfficialFile(truth, (f"{_SITE}{truth}",), md5=_MD5[split][1]))
    return tuple(found)


RELEASE = Release(
    name="melanoma",
    title="ISIC 2017",
    files=_files(),
    read=_read,
    classes=3,
    images=2_750,
    licence="CC0 1.0",
    citation="Codella et al., Skin Lesion Analysis Toward Melanoma Detection: A Challenge at the 2017 International "
    "Symposium on Biomedical Imaging, arXiv 1710.05006, 2017",
    page="https://challenge.isic-archive.com/data/",
    checked=HANDLERS,
)
