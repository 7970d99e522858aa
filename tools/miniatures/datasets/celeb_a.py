"""CelebA in little: sixty images, every third of which is validation or test, and one that no list names."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

ATTRIBUTES = """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones
Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie
Young""".split()  # noqa: SIM905
SPLITS = ("train", "val", "test")
IMAGES = 60


def write(folder: Path, pen: Pen) -> None:
    """img_align_celeba.zip and the authors' lists, those of people, boxes and landmarks too."""
    images, parts, rows = _content(pen)
    write_zip(folder / "img_align_celeba.zip", {f"img_align_celeba/{name}": data for name, data in images.items()})
    write_files(folder, _lists(parts, rows))


def write_drive(folder: Path, pen: Pen) -> None:
    """The same in the folders of the authors' Google Drive."""
    images, parts, rows = _content(pen)
    packed = {f"img_align_celeba/{name}": data for name, data in images.items()}
    write_zip(folder / "Img" / "img_align_celeba.zip", packed)
    lists = _lists(parts, rows)
    write_files(folder / "Eval", {"list_eval_partition.txt": lists.pop("list_eval_partition.txt")})
    write_files(folder / "Anno", lists)


def write_kaggle(folder: Path, pen: Pen) -> None:
    """celeba-dataset.zip of Kaggle: images one folder deeper, lists as CSV."""
    images, parts, rows = _content(pen)
    content = {f"img_align_celeba/img_align_celeba/{name}": data for name, data in images.items()}
    header = ",".join(["image_id", *ATTRIBUTES])
    content["list_attr_celeba.csv"] = _text([header, *(",".join([name, *row]) for name, row in rows.items())])
    content["list_eval_partition.csv"] = _text(
        ["image_id,partition", *(f"{name},{part}" for name, part in parts.items())]
    )
    write_zip(folder / "celeba-dataset.zip", content)


def _content(pen: Pen) -> tuple[dict[str, bytes], dict[str, int], dict[str, list[str]]]:
    """The images, and for those that the lists name the number of the split and -1 or 1 for each attribute."""
    images: dict[str, bytes] = {}
    parts: dict[str, int] = {}
    rows: dict[str, list[str]] = {}
    for number in range(IMAGES):
        name = f"{number + 1:06}.jpg"
        present = [each for place, each in enumerate(ATTRIBUTES) if (number + 1) * (place + 3) % 7 < 2]
        parts[name] = number % 3
        images[name] = pen.encoded(SPLITS[parts[name]], present, size=(44, 54))
        rows[name] = ["1" if each in present else "-1" for each in ATTRIBUTES]
    images[f"{IMAGES + 1:06}.jpg"] = pen.encoded("", (), size=(44, 54))
    return images, parts, rows


def _lists(parts: dict[str, int], rows: dict[str, list[str]]) -> dict[str, bytes]:
    count = str(len(rows))
    marks = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    attributes = [f"{name} " + " ".join(value.rjust(2) for value in row) for name, row in rows.items()]
    boxes = [f"{name}    95  71 226 313" for name in rows]
    landmarks = [f"{name} 69  109  106  113   77  142   73  152  108  154" for name in rows]
    return {
        "list_attr_celeba.txt": _text([count, " ".join(ATTRIBUTES) + " ", *attributes]),
        "list_eval_partition.txt": _text([f"{name} {part}" for name, part in parts.items()]),
        "identity_CelebA.txt": _text([f"{name} {number}" for number, name in enumerate(rows)]),
        "list_bbox_celeba.txt": _text([count, "image_id x_1 y_1 width height", *boxes]),
        "list_landmarks_align_celeba.txt": _text(
            [count, " ".join(f"{mark}_{axis}" for mark in marks for axis in "xy"), *landmarks]
        ),
    }


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
