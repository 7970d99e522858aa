"""Animals with Attributes 2: 85 attributes of 50 kinds of animals.

The attributes are the classes; all images of a kind have the same ones. The authors' 40 training kinds and ten test
kinds are the training and the test images, so tested attributes are those of animals that were never seen.
"""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, many_classes
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_ROOT = "Animals_with_Attributes2"


def _read(files: Files) -> Listing:
    """classes.txt and predicates.txt number the names; row k of the matrix has the attributes of kind k."""
    kinds, attributes = _names(files, "classes.txt"), _names(files, "predicates.txt")
    matrix = [line.split() for line in files.lines(f"{_ROOT}/predicate-matrix-binary.txt")]
    if [len(row) for row in matrix] != [len(attributes)] * len(kinds):
        raise DataError(f"predicate-matrix-binary.txt of {files.where} does not fit the lists of names; get it again.")
    present = {
        kind: [name for name, has in zip(attributes, row, strict=True) if has == "1"]
        for kind, row in zip(kinds, matrix, strict=True)
    }
    splits = {split: set(files.lines(f"{_ROOT}/{split}classes.txt")) for split in ("train", "test")}
    rows: dict[str, list[tuple[str, list[str]]]] = {split: [] for split in splits}
    for path, found in files.match(rf"{_ROOT}/JPEGImages/([^/]+)/[^/]+\.jpg"):
        for split, named in splits.items():
            if found[1] in named:
                rows[split].append((path, present[found[1]]))
    return many_classes(files, rows, attributes)


def _names(files: Files, name: str) -> list[str]:
    return [line.split()[-1] for line in files.lines(f"{_ROOT}/{name}")]


RELEASE = Release(
    name="awa2",
    title="Animals with Attributes 2",
    files=(
        OfficialFile(
            "AwA2-data.zip",
            ("https://cvml.ista.ac.at/AwA2/AwA2-data.zip", "https://cvml.ist.ac.at/AwA2/AwA2-data.zip"),
            md5="eaa27cf799d5cf55af372356d7281b5e",
            holds=(_ROOT,),
        ),
    ),
    read=_read,
    classes=85,
    images=37_322,
    licence="free licences, listed for each image in the archive",
    citation="Xian, Lampert, Schiele, Akata, Zero-Shot Learning - A Comprehensive Evaluation of the Good, the Bad and "
    "the Ugly, TPAMI 41, 2019",
    page="https://cvml.ista.ac.at/AwA2/",
    checked=HANDLERS,
    multi_label=True,
)
