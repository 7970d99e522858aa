"""Images of any size, mode and orientation become RGB squares."""

from __future__ import annotations

import io
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from cl.data import images
from cl.data.images import Budget, decode_image, decode_resized, image_channels
from cl.errors import DataError
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


def encoded(image: Image.Image, kind: str, **more: Any) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **more)
    return buffer.getvalue()


RAMP = np.linspace(0, 1, 256).reshape(16, 16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_values(tmp_path: Path, kind: str) -> None:
    data = encoded(Image.fromarray(np.rint(RAMP * 65535).astype(np.uint16)), kind)
    right = np.rint(RAMP * 255).astype(np.uint8)
    assert image_channels(data, "x") == 1
    np.testing.assert_array_equal(decode_image(data, 1, "x")[..., 0], right)
    (tmp_path / "x").write_bytes(data)
    np.testing.assert_array_equal(decode_resized(tmp_path / "x", 16)[..., 1], right)


def test_floating_point_is_scaled_from_its_declared_range_or_from_zero_to_one() -> None:
    right = np.rint(RAMP * 255).astype(np.uint8)
    plain = encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF")
    np.testing.assert_array_equal(decode_image(plain, 1, "x")[..., 0], right)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in ((340, -5.0), (341, 15.0)):
        tags[tag] = value
        tags.tagtype[tag] = 12
    declared = encoded(Image.fromarray((RAMP * 20 - 5).astype(np.float32)), "TIFF", tiffinfo=tags)
    np.testing.assert_array_equal(decode_image(declared, 1, "x")[..., 0], right)
    for wrong in (RAMP * 2, np.full((4, 4), np.nan)):
        with pytest.raises(DataError, match=r"image x \(it holds floating-point values outside 0 to 1; scale them"):
            decode_image(encoded(Image.fromarray(wrong.astype(np.float32)), "TIFF"), 1, "x")


def test_integers_of_an_unknown_range_are_refused() -> None:
    data = encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF")
    with pytest.raises(DataError, match="32-bit integers, whose range is not known; convert it to 8 or 16 bits"):
        decode_image(data, 1, "x")


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000)])
def test_thin_images_take_little_memory(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(np.arange(20_000, dtype=np.uint32).astype(np.uint8).reshape(size[::-1])).save(tmp_path / "x.png")
    tracemalloc.start()
    pixels = decode_resized(tmp_path / "x.png", 224)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pixels.shape == (224, 224, 3) and peak < 50e6


def test_images_of_ordinary_shape_are_resized_whole(tmp_path: Path) -> None:
    save(tmp_path / "x.png", (320, 10))
    with Image.open(tmp_path / "x.png") as image:
        right = np.asarray(image.convert("RGB").resize((640, 20), Image.Resampling.BICUBIC))[:, 310:330]
    np.testing.assert_array_equal(decode_resized(tmp_path / "x.png", 20), right)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(7), b"P5 0 0 255\n", b"BM" + bytes(60)])
def test_false_headers_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(DataError, match=r"Cannot read the image .*x\.png \(.*\); replace or remove it"):
        decode_resized(tmp_path / "x.png", 8)
    with pytest.raises(DataError, match=r"Cannot read the image pack, image 3 \("):
        decode_image(data, 3, "pack, image 3")


def test_a_transparent_level_of_sixteen_bits_is_only_that_level(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 25_700, np.uint16)).save(tmp_path / "x.png", transparency=100)
    assert (decode_resized(tmp_path / "x.png", 4) == 100).all()
    Image.fromarray(np.full((4, 4), 25_700, np.uint16)).save(tmp_path / "x.png", transparency=25_700)
    assert (decode_resized(tmp_path / "x.png", 4) == 255).all(), "transparent pixels are put on white"


def test_sixteen_bits_with_white_as_zero_are_inverted() -> None:
    data = encoded(Image.fromarray(np.full((4, 4), 25_700, np.uint16)), "TIFF", tiffinfo={262: 0})
    assert (decode_image(data, 1, "x") == 155).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_the_wanted_mode_is_not_copied_and_has_the_same_pixels(mode: str, channels: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image, file = Image.fromarray(noise).convert(mode), io.BytesIO()
    image.save(file, "TIFF")
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        expected = np.asarray(opened.convert("L" if channels == 1 else "RGB")).reshape(5, 7, channels)
    np.testing.assert_array_equal(decode_image(file.getvalue(), channels, "x"), expected)


@pytest.mark.parametrize("orientation", [None, 1, 6])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK"])
def test_an_image_that_is_not_copied_has_the_pixels_of_a_copy(
    tmp_path: Path, mode: str, orientation: int | None
) -> None:
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(tmp_path / "x.tiff", exif=exif)
    with Image.open(tmp_path / "x.tiff") as opened:
        expected = images._square(ImageOps.exif_transpose(opened).convert("RGB"), 8)
    np.testing.assert_array_equal(decode_resized(tmp_path / "x.tiff", 8), expected)


def test_threads_share_the_memory_of_large_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    most: list[int] = []

    def square(image: Image.Image, size: int) -> Any:
        held.append(1)
        most.append(len(held))
        time.sleep(0.01)
        held.pop()
        return np.zeros((size, size, 3), np.uint8)

    for number in range(8):
        save(tmp_path / f"{number}.png", (40, 40))
    monkeypatch.setattr(images, "_square", square)
    for together, total in ((2, 2 * 40 * 40 * 8), (1, 100)):  # a photo larger than the whole is decoded alone
        monkeypatch.setattr(images, "_WHOLE", Budget(total))
        most.clear()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: decode_resized(tmp_path / f"{number}.png", 8), range(8)))
        assert max(most) <= together and len(most) == 8
