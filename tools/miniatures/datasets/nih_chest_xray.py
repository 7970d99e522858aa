"""NIH ChestX-ray14 in little: two training images and one test image in each of the twelve parts."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_tar, write_zip
from tools.miniatures.pen import Pen

FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia", "No Finding"),
)
COLUMNS = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,"
    "Height],OriginalImagePixelSpacing[x,y]"
)


def write(folder: Path, pen: Pen) -> None:
    """Kaggle's data.zip: images_PART/images/PATIENT_FOLLOWUP.png, table, lists and papers."""
    parts, rows, lists = _content(pen)
    content = {f"{part}/images/{name}": data for part, images in parts.items() for name, data in images.items()}
    content["Data_Entry_2017.csv"] = ("\n".join(f"{line}," for line in [COLUMNS, *rows]) + "\n").encode()
    content["BBox_List_2017.csv"] = b"Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Mass,1,2,3,4,,,\n"
    content |= {f"{name}_CHESTXRAY.pdf": b"%PDF-1.5" for name in ("ARXIV_V5", "FAQ", "LOG", "README")}
    write_zip(folder / "data.zip", {**content, **lists})


def write_authors(folder: Path, pen: Pen) -> None:
    """The authors' twelve archives, images_PART.tar.gz with images/PATIENT_FOLLOWUP.png, their later table, lists."""
    parts, rows, lists = _content(pen)
    for part, images in parts.items():
        write_tar(folder / f"{part}.tar.gz", {f"images/{name}": data for name, data in images.items()})
    write_files(folder, {"Data_Entry_2017_v2020.csv": "\n".join([COLUMNS, *rows]).encode(), **lists})


def write_unpacked(folder: Path, pen: Pen) -> None:
    """The same unpacked into one folder images/, with the earlier table."""
    parts, rows, lists = _content(pen)
    content = {f"images/{name}": data for images in parts.values() for name, data in images.items()}
    write_files(folder, {**content, "Data_Entry_2017.csv": "\n".join([COLUMNS, *rows]).encode(), **lists})


def _content(pen: Pen) -> tuple[dict[str, dict[str, bytes]], list[str], dict[str, bytes]]:
    parts: dict[str, dict[str, bytes]] = {}
    rows, lists = [], {"train": [""] * 0, "test": [""] * 0}
    for part in range(1, 13):
        own = parts[f"images_{part:03}"] = {}
        for followup, split in enumerate(("train", "train", "test")):
            patient = 2 * part - (split == "train")
            name = f"{patient:08}_{followup:03}.png"
            place = (3 * part + followup) % 15
            found = [FINDINGS[place]] if place == 14 or followup == 0 else [FINDINGS[(place + 5) % 14], FINDINGS[place]]
            ordered = sorted(set(found), key=FINDINGS.index)
            own[name] = pen.encoded(split, ordered, "PNG", mode="RGBA" if part == 5 else "L")
            rows.append(f"{name},{'|'.join(found)},{followup},{patient},058Y,M,PA,2682,2749,0.143,0.143")
            lists[split].append(name)
    texts = {"train_val_list.txt": "\n".join(lists["train"]), "test_list.txt": "\n".join(lists["test"])}
    return parts, rows, {name: text.encode() for name, text in texts.items()}
