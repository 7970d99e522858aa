"""Decoding of image files with Pillow; errors are one sentence that names the file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cl.data.store import PixelArray
from cl.errors import DataError

if TYPE_CHECKING:
    from PIL import Image


def decode_image(data: bytes, channels: int, name: str) -> PixelArray:
    """Decode an image file to uint8 [H, W, channels]; `name` is used in a `DataError`."""
    from PIL import Image

    with readable(name), Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[..., None] if channels == 1 else pixels


def image_channels(data: bytes, name: str) -> int:
    """1 for a grey image, 3 for any other. Raises `DataError`."""
    from PIL import Image

    with readable(name), Image.open(io.BytesIO(data)) as image:
        return 1 if image.mode in ("1", "L", "LA") else 3


def decode_resized(path: Path, size: int) -> PixelArray:
    """Decode a file to RGB, resize its shorter side to `size` (bicubic, antialiased), crop the centre: uint8 [size,
    size, 3].

    Applies the EXIF orientation, and puts transparent images on white. Raises `DataError`.
    """
    from PIL import Image, ImageOps

    with readable(str(path)), Image.open(path) as opened:
        image = _opaque(ImageOps.exif_transpose(opened))
    return _square(image, size)


def resized(pixels: PixelArray, size: int) -> PixelArray:
    """Convert decoded pixels [H, W, 1 or 3] to RGB [size, size, 3], like `decode_resized` for a file."""
    from PIL import Image

    if pixels.shape == (size, size, 3):
        return pixels
    return _square(Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels).convert("RGB"), size)


def _square(image: Image.Image, size: int) -> PixelArray:
    from PIL import Image

    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image

    layers = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, (255, 255, 255, 255)), layers).convert("RGB")


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn Pillow's errors for a damaged, truncated or foreign file into a `DataError` with its name."""
    from PIL import Image

    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name} disappeared while it was read; put it back and run again.") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        TypeError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        why = "it is not an image that Pillow reads" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise DataError(f"Cannot read the image {name} ({why}); replace or remove it and run again.") from error
