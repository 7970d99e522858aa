"""PASCAL VOC 2005 in little: two images of each folder, of those too that nobody should read."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

FIRST = {
    "Caltech_cars": "car", "Caltech_motorbikes_side": "motorbike", "ETHZ_motorbike-testset": "",
    "ETHZ_sideviews-cars": "car", "TUGraz_bike": "bicycle", "TUGraz_cars": "car", "TUGraz_person": "person",
    "UIUC_TestImages": "", "UIUC_TestImages_Scale": "", "UIUC_TrainImages": "",
}  # fmt: skip
SECOND = {
    "INRIA_graz-person-test": "person", "INRIA_inria-person-test": "person", "bicycle": "bicycle", "bike": "bicycle",
    "car": "car", "motocyclette": "motorbike", "motorbike": "motorbike", "motorcycle": "motorbike",
    "pedestrian": "person", "pieton": "person", "velo": "bicycle", "voiture": "car",
}  # fmt: skip


def write(folder: Path, pen: Pen) -> None:
    """voc2005_1.tar.gz and voc2005_2.tar.gz with PNGImages/FOLDER/NAME.png and their annotations."""
    for number, split, folders in ((1, "train", FIRST), (2, "test", SECOND)):
        content = {}
        for name, kind in folders.items():
            for image in ("0001", "0090"):
                path = f"{name}/{image}"
                data = pen.encoded(split if kind else "", kind or name, "PNG", size=(40, 32))
                content[f"VOC2005_{number}/PNGImages/{path}.png"] = data
                content[f"VOC2005_{number}/Annotations/{path}.txt"] = b"# PASCAL Annotation Version 1.00\n"
        write_tar(folder / f"voc2005_{number}.tar.gz", content)
