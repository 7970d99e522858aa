"""CORe50 in little: two images of each object in each session."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

TESTED = (3, 7, 10)


def write(folder: Path, pen: Pen) -> None:
    """core50_128x128.zip with core50_128x128/sN/oN/C_SESSION_OBJECT_NUMBER.png."""
    write_zip(folder / "core50_128x128.zip", {f"core50_128x128/{name}": data for name, data in _images(pen).items()})


def write_array(folder: Path, pen: Pen) -> None:
    """core50_imgs.npz with the same images in one array, and paths.pkl, as Python 2 wrote it."""
    images = _images(pen)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in images.values()])
    np.savez(folder / "core50_imgs.npz", x=pixels)
    write_files(folder, {"paths.pkl": pickle.dumps(list(images), protocol=0)})


def _images(pen: Pen) -> dict[str, bytes]:
    content = {}
    for session in range(1, 12):
        for item in range(1, 51):
            for number in range(2):
                path = f"s{session}/o{item}/C_{session:02}_{item:02}_{number:03}.png"
                split = "test" if session in TESTED else "train"
                content[path] = pen.encoded(split, f"o{item}", "PNG", size=(16, 16))
    return content
