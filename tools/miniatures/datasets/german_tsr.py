"""GTSRB in little: two training images and one test image of each of the 43 signs, in PPM files."""

from __future__ import annotations

from pathlib import Path

from cl.data.releases.german_tsr import CLASSES
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

_HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2"


def write(folder: Path, pen: Pen) -> None:
    """The archives of training images, of test images (with a table without classes), and of the test's classes."""
    train: dict[str, bytes] = {"GTSRB/Readme-Images-Final-test.txt": b"GTSRB\n"}
    test: dict[str, bytes] = {"GTSRB/Readme-Images-Final-test.txt": b"GTSRB\n"}
    truth, blind = [f"{_HEADER};ClassId"], [_HEADER]
    for number, label in enumerate(CLASSES):
        inner = f"GTSRB/Final_Training/Images/{number:05}"
        table = [f"{_HEADER};ClassId"]
        for count in range(2):
            name = f"{count:05}_{count:05}.ppm"
            train[f"{inner}/{name}"] = pen.encoded("train", label, "PPM", (30, 29))
            table.append(f"{name};30;29;5;5;25;24;{number}")
        train[f"{inner}/GT-{number:05}.csv"] = "\r\n".join(table).encode()
    for place in range(len(CLASSES)):
        number = place * 7 % len(CLASSES)
        test[f"GTSRB/Final_Test/Images/{place:05}.ppm"] = pen.encoded("test", CLASSES[number], "PPM", (29, 30))
        blind.append(f"{place:05}.ppm;29;30;5;5;24;25")
        truth.append(f"{blind[-1]};{number}")
    test["GTSRB/Final_Test/Images/GT-final_test.test.csv"] = "\r\n".join(blind).encode()
    write_zip(folder / "GTSRB_Final_Training_Images.zip", train)
    write_zip(folder / "GTSRB_Final_Test_Images.zip", test)
    write_zip(folder / "GTSRB_Final_Test_GT.zip", {"GT-final_test.csv": "\r\n".join(truth).encode()})
