"""LFW-a in little: five or six images of each of the 423 people, and people with too few."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_tar, write_zip
from tools.miniatures.pen import Pen

PEOPLE = 423


def write(folder: Path, pen: Pen) -> None:
    """lfwa.tar.gz with lfw2/PERSON/PERSON_NUMBER.jpg, grey."""
    write_tar(folder / "lfwa.tar.gz", {f"lfw2/{name}": data for name, data in _faces(pen).items()})


def write_zipped(folder: Path, pen: Pen) -> None:
    """lfwa.zip, the archive that NEVIS'22 reads."""
    write_zip(folder / "lfwa.zip", {f"lfwa/{name}": data for name, data in _faces(pen).items()})


def _faces(pen: Pen) -> dict[str, bytes]:
    """Made-up names, of which one begins as another one does."""
    content = {}
    for place in range(PEOPLE + 4):
        person = f"Ann_No{place}" if place else "Ann"
        count = (6 if place % 40 == 0 else 5) if place < PEOPLE else 4
        for number in range(1, count + 1):
            split = "test" if number > count - 2 else "val" if number == count - 2 else "train"
            face = pen.encoded(split if place < PEOPLE else "", person, mode="L", size=(16, 16))
            content[f"{person}/{person}_{number:04}.jpg"] = face
    return content
