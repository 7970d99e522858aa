"""ShanghaiTech: crowds, with the number of people as ten classes of counts.

Parts A (from the web) and B (streets of Shanghai) together, each with the authors' training and test images. As in
NEVIS'22, the counts of all images, test images too, are divided into ten classes with about the same number of images
(`cl.data.official.counting`), so the edges depend on the data.
"""

from __future__ import annotations

from cl.data.official.counting import equal_bins
from cl.data.official.files import Files
from cl.data.official.listing import Listing, image_files
from cl.data.official.matlab import variables
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_TREE = r"(?:ShanghaiTech/part_[AB]|part_[AB]_final)/(train|test)_data/images/(IMG_\d+)\.jpg"


def _read(files: Files) -> Listing:
    """The heads of images/IMG_1.jpg are in ground-truth/GT_IMG_1.mat; the authors' own archive has ground_truth/."""
    names: dict[str, list[str]] = {"train": [], "test": []}
    counts: dict[str, list[int]] = {"train": [], "test": []}
    for name, found in files.match(_TREE):
        folder = name[: name.index("/images/")]
        places = [f"{folder}/{ground}/GT_{found[2]}.mat" for ground in ("ground-truth", "ground_truth")]
        names[found[1]].append(name)
        counts[found[1]].append(_heads(files, next((place for place in places if place in files), places[0])))
    bins = equal_bins([*counts["train"], *counts["test"]], 10, files.where)
    return Listing(bins.names, {split: image_files(files, names[split], bins.labels(counts[split])) for split in names})


def _heads(files: Files, name: str) -> int:
    """The number of heads: rows of image_info{1}.location."""
    try:
        return int(variables(files, name)["image_info"][0, 0]["location"][0, 0].shape[0])
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{name} of {files.where} has no image_info with locations; get it again.") from error


RELEASE = Release(
    name="shanghai_tech",
    title="ShanghaiTech",
    files=(OfficialFile("shanghaitech.zip", md5="f547d65447063405ea78ab7fa9ae721b", holds=("ShanghaiTech",)),),
    also=(
        (
            OfficialFile(
                "ShanghaiTech_Crowd_Counting_Dataset.zip",
                holds=("part_A_final", "part_B_final"),
            ),
        ),
    ),
    read=_read,
    classes=10,
    images=1_198,
    licence="none stated; research",
    citation="Zhang et al., Single-Image Crowd Counting via Multi-Column Convolutional Neural Network, CVPR 2016",
    page="https://github.com/desenzhou/ShanghaiTechDataset",
    checked=HANDLERS,
    access="download https://www.kaggle.com/tthien/shanghaitech (a Kaggle account is needed)",
    kaggle="tthien/shanghaitech",
)
