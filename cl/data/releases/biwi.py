"""Biwi Kinect Head Pose: faces of 20 people in 24 sequences, with the rotation of the head as 15 classes.

As in NEVIS'22, the rotation matrix becomes three angles, around the camera's z, y and x axis, and the values of each
angle are divided into fifths of all images, test images too; so every image has three classes, one per angle, and the
edges depend on the data.

The authors publish no split. That of NEVIS'22 keeps the sequences apart: 1, 4, 8 and 10 are tested, 3 and 9 validated.
It chooses with 2 and 7, which are training images here.
"""

from __future__ import annotations

import numpy as np

from cl.data.official.files import Files
from cl.data.official.listing import Listing, image_files
from cl.data.official.release import HANDLERS, OfficialFile, Release
from cl.errors import DataError

_FIFTHS = 5
_TEST, _VALIDATION = (1, 4, 8, 10), (3, 9)


def _read(files: Files) -> Listing:
    names: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    images: list[str] = []
    angles: list[tuple[float, float, float]] = []
    for name, found in files.match(r"(?:faces_0|hpdb)/(\d\d)/frame_\d+_rgb\.png"):
        sequence = int(found[1])
        split = "test" if sequence in _TEST else "val" if sequence in _VALIDATION else "train"
        names[split].append(len(images))
        images.append(name)
        angles.append(_angles(files, name.replace("_rgb.png", "_pose.txt")))
    labels = np.zeros((len(images), 3 * _FIFTHS), np.bool_)
    for axis, column in enumerate(np.array(angles).T):
        labels[np.arange(len(images)), axis * _FIFTHS + _fifths(column)] = True
    classes = tuple(f"rotation around {axis}, fifth {number}" for axis in "zyx" for number in range(1, _FIFTHS + 1))
    return Listing(
        classes, {split: image_files(files, [images[i] for i in own], labels[own]) for split, own in names.items()}
    )


def _angles(files: Files, name: str) -> tuple[float, float, float]:
    """The angles around z, y and x in degrees, of the rotation matrix in the first three lines of a text."""
    try:
        matrix = np.array([[float(value) for value in line.split()] for line in files.lines(name)[:3]])
        (cosine, sine, across), (_, _, up), (_, _, ahead) = matrix.tolist()
    except ValueError as error:
        raise DataError(f"{name} of {files.where} is no rotation matrix; get it again.") from error
    turns = np.arctan2(-sine, cosine), np.arcsin(np.clip(across, -1, 1)), np.arctan2(-up, ahead)
    z, y, x = np.degrees(turns).tolist()
    return z, y, x


def _fifths(values: np.ndarray) -> np.ndarray:
    """The fifth of each value, from 0; edges are interpolated between the values in order."""
    places = np.linspace(0, len(values), _FIFTHS + 1)[1:-1]
    edges = np.interp(places, np.arange(len(values)), np.sort(values))
    return np.searchsorted(edges, values, "right")


RELEASE = Release(
    name="biwi",
    title="Biwi Kinect Head Pose",
    files=(
        OfficialFile("biwi-kinect-head-pose-database.zip", md5="59d49d96e5719f248f6d66f8ff205569", holds=("faces_0",)),
    ),
    also=((OfficialFile("kinect_head_pose_db.tgz", holds=("hpdb",)),),),
    read=_read,
    classes=15,
    images=15_678,
    licence="non-commercial use, such as university research and education",
    citation="Fanelli et al., Random Forests for Real Time 3D Face Analysis, IJCV 101, 2013",
    page="https://www.kaggle.com/datasets/kmader/biwi-kinect-head-pose-database",
    checked=HANDLERS,
    access="download https://www.kaggle.com/datasets/kmader/biwi-kinect-head-pose-database (a Kaggle account is "
    "needed)",
    multi_label=True,
    kaggle="kmader/biwi-kinect-head-pose-database",
)
