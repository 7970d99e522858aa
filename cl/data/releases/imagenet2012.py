"""ImageNet of 2012 (ILSVRC): 1,000 classes, 1.3 million training images and 50 validation images of each class.

The classes of the test images are not published, so that the validation images are tested, as in NEVIS'22. Classes are
in the order of their WordNet numbers and have the first of their names, with the number where two share it. A copy in
folders by class that has no list of names has the numbers as names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from cl.data.official.files import Files, joined
from cl.data.official.listing import Listing, by_class
from cl.data.official.matlab import variable
from cl.data.official.release import TORCHVISIONS, OfficialFile, Release
from cl.data.official.tables import rows
from cl.errors import DataError

_KIT = "ILSVRC2012_devkit_t12/data/"
_KAGGLE = "ILSVRC/Data/CLS-LOC/"
_SOLUTION, _MAPPING = "LOC_val_solution.csv", "LOC_synset_mapping.txt"
_SYNSET = r"(n\d{8})"


def _read(files: Files) -> Listing:
    files = _with_archives(files)
    train = [(name, found[1]) for name, found in files.match(rf"(?:{_KAGGLE})?train/{_SYNSET}/[^/]+\.JPEG")]
    if _SOLUTION in files:
        known = {
            image: answer.partition(" ")[0] for image, answer in rows(files, _SOLUTION, ("ImageId", "PredictionString"))
        }
        names = _named(line.split(maxsplit=1) for line in files.lines(_MAPPING))
    elif f"{_KIT}meta.mat" in files:
        known, names = _kit(files)
    else:
        test = [(name, found[1]) for name, found in files.match(rf"val/{_SYNSET}/[^/]+\.JPEG")]
        numbers = sorted({number for _, number in train})
        return by_class(files, {"train": train, "test": test}, numbers)
    test = []
    for name, matched in files.match(rf"(?:{_KAGGLE})?val/(ILSVRC2012_val_\d{{8}})\.JPEG"):
        if matched[1] not in known:
            raise DataError(f"{files.where} has no class of {name}; get the whole dataset and run again.")
        test.append((name, known[matched[1]]))
    if odd := sorted({number for _, number in [*train, *test]} - set(names)):
        raise DataError(f"{files.where} has images of an unknown class {odd[0]}; get the dataset again.")
    found = {"train": train, "test": test}
    named = {split: [(name, names[number]) for name, number in each] for split, each in found.items()}
    return by_class(files, named, [names[number] for number in sorted(names)])


def _with_archives(files: Files) -> Files:
    """The files with those in the archives of the classes, of which the archive of training images is made."""
    archives = [(name, found[1]) for name in files.names if (found := re.fullmatch(rf"train/{_SYNSET}\.tar", name))]
    return joined(files, *(files.inside(name, f"train/{number}") for name, number in archives))


def _kit(files: Files) -> tuple[dict[str, str], dict[str, str]]:
    """The WordNet number of each validation image, and the name of each class by its WordNet number.

    meta.mat has inner nodes of WordNet behind the classes; line N of the list of answers is image N's class.
    """
    synsets = variable(files, f"{_KIT}meta.mat", "synsets")
    wanted = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    if not set(wanted) <= set(synsets.dtype.names or ()):
        raise DataError(f"meta.mat of {files.where} has no table of classes; get the development kit again.")
    leaves = [each for each in zip(*(synsets[key] for key in wanted), strict=True) if int(each[3]) == 0]
    by_place = {str(int(place)): str(number) for place, number, _, _ in leaves}
    answers = files.lines(f"{_KIT}ILSVRC2012_validation_ground_truth.txt")
    if odd := [answer for answer in answers if answer not in by_place]:
        raise DataError(f"The validation images of {files.where} have an unknown class {odd[0]!r}; get them again.")
    known = {f"ILSVRC2012_val_{place:08}": by_place[answer] for place, answer in enumerate(answers, 1)}
    return known, _named((str(number), str(words)) for _, number, words, _ in leaves)


def _named(pairs: Iterable[Iterable[str]]) -> dict[str, str]:
    """The names of classes by their WordNet numbers, from pairs of number and words."""
    first = {number: "".join(words).partition(",")[0].strip() for number, *words in pairs}
    count = Counter(first.values())
    return {number: name if count[name] == 1 else f"{name} ({number})" for number, name in first.items()}


_TRAIN = OfficialFile("train", holds=("train", "train/n01440764"))
_VAL = OfficialFile(
    "ILSVRC2012_img_val.tar",
    size=6_744_924_160,
    md5="29b22e2961454d5413ddabcf34fc5622",
    holds=("val", "val/ILSVRC2012_val_00000001.JPEG"),
    into="val",
)
_DEVKIT = OfficialFile(
    "ILSVRC2012_devkit_t12.tar.gz",
    size=2_568_145,
    md5="fa75699e90414af021442c21a62c3abf",
    holds=("ILSVRC2012_devkit_t12",),
)

RELEASE = Release(
    name="imagenet2012",
    title="ImageNet 2012",
    files=(
        OfficialFile(
            "ILSVRC2012_img_train.tar",
            size=147_897_477_120,
            md5="1d675b47d978889d74fa0da5fadfb00e",
            into="train",
        ),
        _VAL,
        _DEVKIT,
    ),
    also=(
        (_TRAIN, _VAL, _DEVKIT),
        (_TRAIN, OfficialFile("val", holds=("val", "val/n01440764"))),
        (
            OfficialFile(
                "imagenet-object-localization-challenge.zip",
                holds=(f"{_KAGGLE}train", f"{_KAGGLE}val", _SOLUTION, _MAPPING),
            ),
        ),
    ),
    read=_read,
    classes=1_000,
    images=1_331_167,
    licence="ImageNet terms of access: non-commercial research and education",
    citation="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
    page="https://image-net.org/challenges/LSVRC/2012/",
    checked=TORCHVISIONS,
    access="register and accept the terms of access at https://image-net.org/download-images",
    folders=("imagenet", "ILSVRC2012"),
    kaggle="imagenet-object-localization-challenge",
)
