"""Chars74K, English, in little: two images of each character from photos, one drawn by hand and one in a font."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_tar
from tools.miniatures.pen import Pen

CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def write(folder: Path, pen: Pen) -> None:
    """Three archives with English/KIND/.../SampleNUMBER/NAME.png, and the lists of splits, which are not used."""
    photos: dict[str, bytes] = {}
    drawn: dict[str, bytes] = {}
    printed: dict[str, bytes] = {}
    for number, each in enumerate(CHARACTERS, 1):
        sample = f"Sample{number:03}/img{number:03}"
        for quality in ("GoodImg", "BadImag"):
            photos[f"English/Img/{quality}/Bmp/{sample}-00001.png"] = pen.encoded("all", each, "PNG")
            photos[f"English/Img/{quality}/Msk/{sample}-00001.png"] = pen.encoded("", each, "PNG", mode="L")
        drawn[f"English/Hnd/Img/{sample}-001.png"] = pen.encoded("all", each, "PNG", size=(40, 30))
        drawn[f"English/Hnd/Trj/{sample}-001.m"] = b"ink = [];"
        printed[f"English/Fnt/{sample}-00001.png"] = pen.encoded("all", each, "PNG", mode="L")
    photos["English/Img/all.txt~"] = b""
    write_tar(folder / "EnglishImg.tgz", photos)
    write_tar(folder / "EnglishHnd.tgz", drawn)
    write_tar(folder / "EnglishFnt.tgz", printed)
    write_tar(folder / "Lists.tgz", {f"Lists/English/{kind}/lists.mat": _list(kind) for kind in ("Img", "Hnd", "Fnt")})


def _list(kind: str) -> bytes:
    """A split in which the image of the first character is the test image."""
    first = {"Img": "GoodImg/Bmp/Sample001/img001-00001", "Hnd": "Img/Sample001/img001-001"}
    names = np.array([first.get(kind, "Sample001/img001-00001")])
    one = np.array([[1]], np.uint8)
    values = {
        "ALLnames": names,
        "is_good": one,
        "ALLlabels": one,
        "classlabels": one,
        "classnames": np.array(["Sample001"]),
        "NUMclasses": one,
        "TSTind": one,
        "VALind": one,
        "TXNind": one,
        "TRNind": one,
    }
    return mat_bytes({"list": values})
