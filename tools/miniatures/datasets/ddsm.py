"""CBIS-DDSM in little: two mammograms of each class, kind and split, some with two abnormalities; crops and masks."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

CLASSES = ("BENIGN", "MALIGNANT", "BENIGN_WITHOUT_CALLBACK")
DICOM = tuple(
    """file_path image_path AccessionNumber BitsAllocated BitsStored BodyPartExamined Columns ContentDate ContentTime
    ConversionType HighBit InstanceNumber LargestImagePixelValue Laterality Modality PatientBirthDate PatientID
    PatientName PatientOrientation PatientSex PhotometricInterpretation PixelRepresentation ReferringPhysicianName
    Rows SOPClassUID SOPInstanceUID SamplesPerPixel SecondaryCaptureDeviceManufacturer
    SecondaryCaptureDeviceManufacturerModelName SeriesDescription SeriesInstanceUID SeriesNumber
    SmallestImagePixelValue SpecificCharacterSet StudyDate StudyID StudyInstanceUID StudyTime""".split()  # noqa: SIM905
)
CASES = {
    "calc": "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,calc type,"
    "calc distribution,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path",
    "mass": "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
    "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path",
}


def write(folder: Path, pen: Pen) -> None:
    """cbis-ddsm-breast-cancer-image-dataset.zip with the tables in csv/ and jpeg/SERIES/NAME.jpg."""
    content: dict[str, bytes] = {}
    infos: list[dict[str, str]] = []
    for kind, columns in CASES.items():
        for split, called in (("train", "Training"), ("test", "Test")):
            rows: list[dict[str, str]] = []
            for number in range(6):
                own = CLASSES[number % 3]
                second = CLASSES[(number + 1) % 3]
                image = f"{kind.capitalize()}-{called}_P_{number + 1:05}_LEFT_{'CC' if number % 2 else 'MLO'}"
                path = _add(
                    content, infos, image, "full mammogram images", pen.encoded(split, own, size=(36, 45), mode="L")
                )
                for turn, pathology in enumerate((own, second) if number > 3 else (own,), start=1):
                    part = f"{image}_{turn}"
                    crop = _add(content, infos, part, "cropped images", pen.encoded("", own, mode="L"))
                    mask = _add(content, infos, part, "ROI mask images", pen.encoded("", own, size=(36, 45), mode="L"))
                    rows.append(
                        dict(zip(columns.split(","), ("",) * 14, strict=True))
                        | {"patient_id": f"P_{number + 1:05}", "abnormality id": str(turn), "pathology": pathology}
                        | {"image file path": path, "cropped image file path": crop, "ROI mask file path": f"{mask}\n"}
                    )
            content[f"csv/{kind}_case_description_{split}_set.csv"] = _csv(columns.split(","), rows)
    content["csv/dicom_info.csv"] = _csv(DICOM, infos)
    content["csv/meta.csv"] = b"SeriesInstanceUID,StudyInstanceUID,Modality\n"
    write_zip(folder / "cbis-ddsm-breast-cancer-image-dataset.zip", content)


def _add(content: dict[str, bytes], infos: list[dict[str, str]], name: str, kind: str, image: bytes) -> str:
    """Add an image; returns the path of its DICOM file in the authors' archive."""
    series = f"1.3.6.1.4.1.9590.100.1.2.{100000 + len(infos)}"
    place = f"jpeg/{series}/1-{len(infos) % 300:03}.jpg"
    content[place] = image
    infos.append(
        dict.fromkeys(DICOM, "")
        | {"file_path": f"CBIS-DDSM/dicom/{series}/1-1.dcm", "image_path": f"CBIS-DDSM/{place}", "PatientID": name}
        | {"PatientName": name, "Modality": "MG", "SeriesDescription": kind, "SeriesInstanceUID": series}
    )
    return f"{name}/1.3.6.1.4.1.9590.100.1.2.7/{series}/000000.dcm"


def _csv(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
