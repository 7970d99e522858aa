"""Pictures that carry a number: through image formats, other sizes and crops; and what carries none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tools.miniatures.pen import IDS, Pen, Truth, encode, number_of, picture


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (16, 12), (32, 32), (48, 36), (500, 375)])
def test_a_number_is_read_from_any_size(size: tuple[int, int]) -> None:
    for number in (*range(0, IDS, 397), IDS - 1):
        pixels = picture(number, size)
        assert pixels.shape == (size[1], size[0]) and pixels.dtype == np.uint8
        assert number_of(pixels) == number
        assert number_of(np.repeat(pixels[..., None], 3, axis=2)) == number


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGBA"), ("BMP", "RGB"), ("GIF", "L")]
)
def test_a_number_survives_an_image_format(kind: str, mode: str) -> None:
    for number in range(0, IDS, 977):
        image = Image.fromarray(picture(number, (20, 16))).convert(mode)
        with Image.open(io.BytesIO(encode(image, kind))) as decoded:
            assert number_of(np.asarray(decoded.convert("RGB"))) == number


@pytest.mark.parametrize("size", [(40, 32), (48, 36), (24, 64)])
def test_a_number_survives_another_size(size: tuple[int, int]) -> None:
    for number in range(0, IDS, 611):
        image = Image.fromarray(picture(number, size)).resize((32, 32), Image.Resampling.BICUBIC)
        assert number_of(np.asarray(image)) == number


def test_nearly_every_picture_that_is_turned_or_cut_is_noticed() -> None:
    """Three bits check the number: of changed pictures, one in eight may carry another one."""
    turned = 0
    for number in range(0, IDS, 13):
        try:
            turned += number_of(np.rot90(picture(number, (32, 32)))) != number
        except ValueError as error:
            assert "carries no number" in str(error)
    assert turned < 0.2 * (IDS / 13)


@pytest.mark.parametrize(("number", "size"), [(-1, (32, 32)), (IDS, (32, 32)), (0, (2, 32)), (0, (32, 2))])
def test_odd_pictures_are_refused(number: int, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a picture carries 0 to 8191 and has at least 3 pixels a side"):
        picture(number, size)


def test_a_pen_keeps_what_its_pictures_are() -> None:
    pen = Pen()
    first = pen.draw("train", "cat", (24, 16), "L")
    second = pen.encoded("", ["cat", "dog"], "PNG")
    assert first.mode == "L" and first.size == (24, 16)
    assert pen.truth == {0: Truth("train", ("cat",)), 1: Truth("", ("cat", "dog"))}
    assert [number_of(np.asarray(each)) for each in (first, Image.open(io.BytesIO(second)))] == [0, 1]
