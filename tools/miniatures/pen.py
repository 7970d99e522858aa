"""Generated pictures that carry a number, so that what a reader returns can be compared with what was written."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

GRID = 4
"""Fields of a picture per side; each is dark or light, one bit."""
LEAST = 3
"""Fewest pixels of a picture per side."""
IDS = 1 << 13
"""Numbers that a picture can carry; three further bits are a check sum."""


@dataclass(frozen=True)
class Truth:
    """What a picture is in its dataset: its split, and its classes, one unless the dataset has several per image."""

    split: str
    labels: tuple[str, ...]


class Pen:
    """Draws the pictures of one dataset and keeps what each of them is."""

    def __init__(self) -> None:
        self.truth: dict[int, Truth] = {}

    def draw(
        self, split: str, label: str | Sequence[str], size: tuple[int, int] = (32, 32), mode: str = "RGB"
    ) -> Image.Image:
        """A new picture of `size` (width, height) in a split of `cl.data.official.listing.SPLITS`.

        `split` is empty for a picture that no reader should return. A picture below 8 pixels a side takes one of the
        few numbers that so few pixels can carry.
        """
        number = next(each for each in range(len(self.truth), IDS) if each not in self.truth and _legible(each, size))
        self.truth[number] = Truth(split, (label,) if isinstance(label, str) else tuple(label))
        return Image.fromarray(picture(number, size)).convert(mode)

    def encoded(
        self, split: str, label: str | Sequence[str], kind: str = "JPEG", size: tuple[int, int] = (32, 32),
        mode: str = "RGB",
    ) -> bytes:  # fmt: skip
        """As `draw`, as the bytes of an image file."""
        return encode(self.draw(split, label, size, mode), kind)


def encode(image: Image.Image, kind: str = "JPEG") -> bytes:
    """An image file; JPEG in a quality that keeps the fields apart."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    return buffer.getvalue()


def picture(number: int, size: tuple[int, int]) -> np.ndarray:
    """The fields of a number as grey levels, uint8 [height, width]."""
    if not 0 <= number < IDS or min(size) < LEAST:
        raise ValueError(f"a picture carries 0 to {IDS - 1} and has at least {LEAST} pixels a side")
    code = number << 3 | _check(number)
    bits = np.array([code >> place & 1 for place in range(GRID * GRID)], np.uint8).reshape(GRID, GRID)
    rows, columns = _fields(size[1]), _fields(size[0])
    return np.where(bits[rows][:, columns] == 1, 224, 32).astype(np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """The number of a picture, uint8 [H, W] or [H, W, C]; raises `ValueError` if it carries none."""
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels.astype(np.float64)
    height, width = grey.shape
    bits = np.empty((GRID, GRID))
    for row in range(GRID):
        for column in range(GRID):
            top, bottom = _middle(row, height)
            left, right = _middle(column, width)
            bits[row, column] = grey[top:bottom, left:right].mean()
    code = sum(1 << place for place, value in enumerate((bits.reshape(-1) > 128).tolist()) if value)
    number, check = code >> 3, code & 7
    if check != _check(number):
        raise ValueError("the picture carries no number: it is cut, turned or another one")
    return number


def _fields(side: int) -> np.ndarray:
    """The field of each pixel of a side."""
    if side < 2 * GRID:  # some fields have no pixel of their own
        return ((np.arange(side) + 0.5) * GRID / side).astype(np.int64)
    return np.arange(side) * GRID // side


def _legible(number: int, size: tuple[int, int]) -> bool:
    """Whether a number can be read from a picture of this size, and from one that was enlarged from it."""
    if min(size) >= 2 * GRID:
        return True
    small = picture(number, size)
    larger = Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)
    try:
        return number_of(small) == number_of(np.asarray(larger)) == number
    except ValueError:
        return False


def _middle(field: int, side: int) -> tuple[int, int]:
    """The middle of a field in pixels, at least one wide."""
    if side < 2 * GRID:
        centre = int((field + 0.5) * side / GRID)
        return centre, centre + 1
    start, end = field * side / GRID, (field + 1) * side / GRID
    low = max(math.ceil(start), int(start + (end - start) * 0.25))
    return low, max(low + 1, int(start + (end - start) * 0.75))


def _check(number: int) -> int:
    return (number * 5 + (number >> 3) * 3 + (number >> 6) + (number >> 9) * 7 + 1) & 7
