"""Images of any size, mode and orientation become RGB squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.help.image_folders import folder, save


def test_images_become_rgb_squares(cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    for index, (mode, size) in enumerate([("L", (16, 8)), ("RGB", (8, 16)), ("RGBA", (5, 7)), ("RGB", (8, 8))]):
        for split in ("train", "test"):
            save(root / split / f"c{index}" / "i.png", size, index, mode)
    data = folder(root).dataset
    assert data.train.pixels.shape == (4, 8, 8, 3)
    np.testing.assert_array_equal(data.train.pixels[0, ..., 0], data.train.pixels[0, ..., 2])
    with Image.open(root / "train" / "c0" / "i.png") as wide, Image.open(root / "train" / "c3" / "i.png") as exact:
        np.testing.assert_array_equal(data.train.pixels[0, ..., 0], np.asarray(wide)[:, 4:12])
        np.testing.assert_array_equal(data.train.pixels[3], np.asarray(exact))


def test_orientation_and_transparency(cache: Path, tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 8, 4))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    for split in ("train", "test"):
        (tmp_path / split / "turned").mkdir(parents=True)
        (tmp_path / split / "clear").mkdir()
        image.save(tmp_path / split / "turned" / "i.png", exif=exif)
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / split / "clear" / "i.png")
    clear, turned = folder(tmp_path).dataset.train.pixels
    assert clear.min() == 255
    assert turned[:4].max() == 0 and turned[4:].min() == 255
