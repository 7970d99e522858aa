"""Pictures of a few pixels: those that can carry a number do, in their size and enlarged."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tools.miniatures.pen import Pen, number_of, picture


def test_small_pictures_carry_different_numbers() -> None:
    pen = Pen()
    drawn = [pen.draw("train", "a", size=(3, 3)) for _ in range(20)]
    numbers = [number_of(np.asarray(image)) for image in drawn]
    assert numbers == list(pen.truth)
    assert [number_of(np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))) for image in drawn] == numbers
    larger = pen.draw("train", "b")
    assert number_of(np.asarray(larger)) not in numbers
    assert len(pen.truth) == 21


def test_a_picture_below_three_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 pixels a side"):
        picture(0, (2, 3))
