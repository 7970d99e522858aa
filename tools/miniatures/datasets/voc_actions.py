"""PASCAL VOC 2012, actions, in little: photos of two people, and photos without actions."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from cl.data.releases.voc_actions import ACTIONS
from tools.miniatures.packing import write_tar
from tools.miniatures.pascal import annotation
from tools.miniatures.pen import Pen, encode

_ROOT = "VOCdevkit/VOC2012"
_BOXES = ((2, 3, 26, 31), (30, 5, 58, 37))


def write(folder: Path, pen: Pen) -> None:
    """VOCtrainval_11-May-2012.tar with photos, annotations, and a list of people for each action but the last."""
    _write(folder, pen, "")


def write_with_objects_of_other_tasks(folder: Path, pen: Pen) -> None:
    """As `write`; a photo has a boat too, which has no actions."""
    _write(folder, pen, "<object><name>boat</name><bndbox><xmin>1</xmin></bndbox></object>")


def _write(folder: Path, pen: Pen, further: str) -> None:
    content: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {
        f"{each}_{kind}": [] for each in ACTIONS[:-1] for kind in ("train", "val", "trainval")
    }
    for number in range(2 * len(ACTIONS)):
        name = f"2011_{number:06}"
        kind = "train" if number % 2 else "val"
        photo = Image.new("RGB", (60, 40), (90, 120, 60))
        objects = further
        for person, box in enumerate(_BOXES):
            own = {ACTIONS[(number + 3 * person) % len(ACTIONS)]} | ({"walking"} if number % 3 == 0 else set())
            ordered = [action for action in ACTIONS if action in own]
            photo.paste(pen.draw("all", ordered, (box[2] - box[0], box[3] - box[1])), box[:2])
            objects += _person(box, own)
            for action in ACTIONS[:-1]:
                line = f"{name}  {person + 1} {1 if action in own else -1:2d}"
                lists[f"{action}_{kind}"].append(line)
                lists[f"{action}_trainval"].append(line)
        content[f"{_ROOT}/JPEGImages/{name}.jpg"] = encode(photo)
        content[f"{_ROOT}/Annotations/{name}.xml"] = f"<annotation>{objects}</annotation>".encode()
    content[f"{_ROOT}/JPEGImages/2007_000027.jpg"] = pen.encoded("", "other")
    content[f"{_ROOT}/Annotations/2007_000027.xml"] = annotation("2007_000027", ["person"])
    for name, lines in lists.items():
        content[f"{_ROOT}/ImageSets/Action/{name}.txt"] = ("\n".join(lines) + "\n").encode()
    write_tar(folder / "VOCtrainval_11-May-2012.tar", content)


def _person(box: tuple[int, int, int, int], own: set[str]) -> str:
    actions = "".join(f"<{action}>{int(action in own)}</{action}>" for action in sorted(ACTIONS))
    edges = "".join(
        f"<{edge}>{value}.4</{edge}>" for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return (
        f"<object><name>person</name><actions>{actions}</actions><bndbox>{edges}</bndbox><difficult>0</difficult>"
        "<pose>Unspecified</pose><point><x>9</x><y>9</y></point></object>"
    )
