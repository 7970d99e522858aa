"""Biwi Kinect Head Pose in little: five frames of each of the 24 sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen

SPLITS = {**dict.fromkeys((1, 4, 8, 10), "test"), **dict.fromkeys((3, 9), "val")}


def write(folder: Path, pen: Pen) -> None:
    """Kaggle's archive: frames with their rotation in faces_0/, the same rotations as binary files, and masks."""
    content = _content(pen, "faces_0")
    for name in list(content):
        if name.endswith("_rgb.png"):
            place = name.removeprefix("faces_0/").removesuffix("_rgb.png")
            content[f"db_annotations/{place}_pose.bin"] = bytes(24)
            content[f"head_pose_masks/{place}_depth_mask.png"] = pen.encoded("", "mask", "PNG", (32, 24), "L")
    write_zip(folder / "biwi-kinect-head-pose-database.zip", content)


def write_authors(folder: Path, pen: Pen) -> None:
    """The authors' kinect_head_pose_db.tgz with hpdb/."""
    write_tar(folder / "kinect_head_pose_db.tgz", _content(pen, "hpdb"))


def _content(pen: Pen, top: str) -> dict[str, bytes]:
    content = {f"{top}/readme.txt": b"Biwi Kinect Head Pose Database\n"}
    for sequence in range(1, 25):
        folder = f"{top}/{sequence:02}"
        content[f"{folder}/rgb.cal"] = content[f"{folder}/depth.cal"] = b"517.679 0 320\n"
        content[f"{folder}.obj"] = b"v 0 0 0\n"
        for frame in range(5):
            fifths = frame, (frame + sequence) % 5, (2 * frame + sequence) % 5
            labels = [f"rotation around {axis}, fifth {1 + each}" for axis, each in zip("zyx", fifths, strict=True)]
            name = f"{folder}/frame_{3 + 7 * frame:05}"
            content[f"{name}_rgb.png"] = pen.encoded(SPLITS.get(sequence, "train"), labels, "PNG", (32, 24))
            content[f"{name}_depth.bin"] = bytes(8)
            content[f"{name}_pose.txt"] = _pose(*(-40 + 20 * each + 0.1 * sequence for each in fifths))
    return content


def _pose(z: float, y: float, x: float) -> bytes:
    """A rotation of z, then y, then x degrees around these axes, and a place in space."""
    (a, b, c), (d, e, f) = np.cos(np.radians([z, y, x])).tolist(), np.sin(np.radians([z, y, x])).tolist()
    around_z = np.array([[a, -d, 0], [d, a, 0], [0, 0, 1]])
    around_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    around_x = np.array([[1, 0, 0], [0, c, -f], [0, f, c]])
    rows = [" ".join(f"{value:.6g}" for value in row) + " " for row in (around_x @ around_y @ around_z).tolist()]
    return ("\n".join([*rows, "", "88.7665 -4.08406 878.874", ""])).encode()
