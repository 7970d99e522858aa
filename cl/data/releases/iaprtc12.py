"""IAPR TC-12, segmented and annotated: 20,000 photos of travels, each with the labels of its regions, 276 in all.

The annotations, the vocabulary and the three sets are those of Escalante et al. (SAIAPR TC-12).

Differs from NEVIS'22's code: an image has the labels of all its regions, there that of its last region alone; the three
published sets are kept, while there the test images are left out and the others divided at random.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, many_classes
from cl.data.official.matlab import numbers
from cl.data.official.release import MINIATURE, OfficialFile, Release
from cl.errors import DataError

_ROOT = "saiaprtc12ok/"
_WORDS = f"{_ROOT}benchmark/wlist.txt"
_SETS = {"train": "training", "val": "validation", "test": "testing"}


def _read(files: Files) -> Listing:
    """FOLDER/images/NUMBER.jpg, and FOLDER/labels.txt with a line of image, region and label for every region."""
    words = _vocabulary(files)
    labels: dict[int, list[str]] = {}
    for name, _ in files.match(rf"{_ROOT}benchmark/saiapr_tc-12/\d\d/labels\.txt"):
        for line in files.lines(name):
            image, label = _region(files, name, line)
            if label not in words:
                raise DataError(f"{name} of {files.where} has a label {label} that {_WORDS} has not; get it again.")
            labels.setdefault(image, []).append(words[label])
    paths = {int(found[1]): name for name, found in files.match(r"(?:.*/)?saiapr_tc-12/\d\d/images/(\d+)\.jpg")}
    rows = {}
    for split, kind in _SETS.items():
        chosen = numbers(files, f"{_ROOT}matlab/matlab/{kind}.mat", kind)
        if lacking := [number for number in chosen if number not in paths]:
            raise DataError(f"{files.where} has no image {lacking[0]}; get the whole dataset and run again.")
        rows[split] = [(paths[number], labels.get(number, [])) for number in chosen]
    return many_classes(files, rows, tuple(dict.fromkeys(words.values())))


def _vocabulary(files: Files) -> dict[int, str]:
    """The words by their numbers, from lines of number and word; one without a word is called unnamed."""
    words = {}
    for line in files.lines(_WORDS):
        number, _, word = line.partition("\t")
        if not number.strip().isdecimal():
            raise DataError(f"{_WORDS} of {files.where} has a line {line!r} without a number; get it again.")
        words[int(number)] = word.strip() or "unnamed"
    return words


def _region(files: Files, name: str, line: str) -> tuple[int, int]:
    """The image and the label of a line, whose numbers may be written as 1.0e+0."""
    try:
        image, _, label = (int(float(each)) for each in line.split()[:3])
    except ValueError as error:
        raise DataError(f"{name} of {files.where} has a line {line!r} that names no region; get it again.") from error
    return image, label


RELEASE = Release(
    name="iaprtc12",
    title="IAPR TC-12",
    files=(
        OfficialFile(
            "iapr-tc12.zip",
            md5="ee251615ac2dbb55eea5a7e5e710740a",
            holds=(f"{_ROOT}benchmark", f"{_ROOT}matlab"),
        ),
    ),
    read=_read,
    classes=276,
    images=0,
    licence="free for research",
    citation="Escalante et al., The Segmented and Annotated IAPR TC-12 Benchmark, CVIU 2010",
    page="https://www.kaggle.com/datasets/nastyatima/iapr-tc12",
    checked=MINIATURE,
    access="download it from https://www.kaggle.com/datasets/nastyatima/iapr-tc12 (a Kaggle account is needed)",
    multi_label=True,
    kaggle="nastyatima/iapr-tc12",
)
