"""IAPR TC-12 in little: images of all 276 labels, one label without a word, an image without regions, one in no set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_zip
from tools.miniatures.pen import Pen

_LABELS = 276
_SETS = {"train": ("training", 138), "val": ("validation", 40), "test": ("testing", 60)}


def write(folder: Path, pen: Pen) -> None:
    """The archive of Kaggle: SAIAPR's folder, whose images are in it a second time, and drawings of the regions."""
    root, names = "saiaprtc12ok", [_word(number) for number in range(1, _LABELS + 1)]
    content: dict[str, bytes] = {}
    regions: dict[int, list[str]] = {0: [], 1: []}
    number = 0
    for split, (kind, count) in _SETS.items():
        chosen = []
        for place in range(count):
            number += 1
            own = [(2 * place) % _LABELS, (2 * place + 1) % _LABELS, (place * 11) % _LABELS] if place else []
            data = pen.encoded(split, [names[label] for label in sorted(set(own))], size=(48, 36))
            _place(content, number, data)
            for region, label in enumerate(own, 1):
                regions[number % 2].append(f"{number}\t{region}\t{label + 1}")
            chosen.append(number)
        content[f"{root}/matlab/matlab/{kind}.mat"] = mat_bytes({kind: np.array([chosen], np.float64).T})
    number += 1
    _place(content, number, pen.encoded("", names[0], size=(48, 36)))
    regions[number % 2].append(f"{number}.0e+00 1.0e+00 1.0e+00")
    for part, lines in regions.items():
        content[f"{root}/benchmark/saiapr_tc-12/{part:02}/labels.txt"] = ("\r\n".join(lines) + "\r\n").encode()
        content[f"{root}/benchmark/saiapr_tc-12/{part:02}/segmented_images/1.jpg"] = pen.encoded("", names[0])
    words = [f"{each}\t{'' if _word(each) == 'unnamed' else _word(each)}" for each in range(1, _LABELS + 1)]
    content[f"{root}/benchmark/wlist.txt"] = ("\n".join(words) + "\n").encode()
    write_zip(folder / "iapr-tc12.zip", content)


def _place(content: dict[str, bytes], number: int, data: bytes) -> None:
    for root in ("", "saiaprtc12ok/benchmark/"):
        content[f"{root}saiapr_tc-12/{number % 2:02}/images/{number}.jpg"] = data


def _word(number: int) -> str:
    """The word of a label; the words are made up."""
    return "unnamed" if number == 83 else f"thing-{number}"
