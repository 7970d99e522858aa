"""ISIC 2017 in little: four training, two validation and three test images of each class, with their superpixels."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

FLAGS = {"melanoma": "1.0,0.0", "seborrheic keratosis": "0.0,1.0", "benign nevus": "0.0,0.0"}


def write(folder: Path, pen: Pen) -> None:
    """For each part an archive with photos, superpixels and metadata, and the ground truth as CSV."""
    number = 0
    for split, part, each in (("train", "Training", 4), ("val", "Validation", 2), ("test", "Test_v2", 3)):
        content: dict[str, bytes] = {}
        truth, metadata = ["image_id,melanoma,seborrheic_keratosis"], ["image_id,age_approximate,sex"]
        for _ in range(each):
            for label, flags in FLAGS.items():
                name = f"ISIC_{number:07}"
                number += 1
                content[f"{name}.jpg"] = pen.encoded(split, label, size=(40, 30))
                content[f"{name}_superpixels.png"] = pen.encoded("", label, "PNG", (40, 30))
                truth.append(f"{name},{flags}")
                metadata.append(f"{name},unknown,unknown")
        content[f"ISIC-2017_{part}_Data_metadata.csv"] = _text(metadata)
        write_zip(
            folder / f"ISIC-2017_{part}_Data.zip",
            {f"ISIC-2017_{part}_Data/{name}": data for name, data in content.items()},
        )
        write_files(folder, {f"ISIC-2017_{part}_Part3_GroundTruth.csv": _text(truth)})


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
