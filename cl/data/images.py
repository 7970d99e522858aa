"""Decoding of image files with Pillow; errors are one sentence that names the file."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cl.data.store import PixelArray
from cl.errors import ClbenchError, DataError

if TYPE_CHECKING:
    from PIL import Image


_LONGEST = 32
"""Ratio of the sides above which an image is cropped before it is resized: the whole would take gigabytes."""

_SIXTEEN_BITS = 257
"""The value of an 8-bit step on 16 bits: 65535 / 255."""


_HELD = 8
"""Bytes per pixel of an image while it is decoded: four as Pillow holds it, and a copy in another mode."""


class Budget:
    """Memory that threads share: who needs more than is left waits. Something larger than all of it gets all of it."""

    def __init__(self, total: int) -> None:
        self.total, self._left, self._changed = total, total, threading.Condition()

    @contextmanager
    def held(self, wanted: int) -> Iterator[None]:
        """Hold so many bytes of the memory inside."""
        wanted = min(wanted, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._left += wanted
                self._changed.notify_all()


_WHOLE = Budget(512 << 20)
"""Memory of images that are decoded whole before they are resized."""


class UnreadableImage(DataError):
    """An image file that cannot be decoded: its `name` and the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot read the image {name} ({reason}); replace or remove it and run again.")
        self.name, self.reason = name, reason


def unreadable(errors: Sequence[UnreadableImage]) -> DataError:
    """One error for all of them; it names the first ten."""
    if len(errors) == 1:
        return errors[0]
    shown = ", ".join(f"{each.name} ({each.reason})" for each in errors[:10])
    more = f" and {len(errors) - 10} more" if len(errors) > 10 else ""
    return DataError(f"Cannot read {len(errors)} images: {shown}{more}; replace or remove them and run again.")


def decode_image(data: bytes, channels: int, name: str) -> PixelArray:
    """Decode an image file to uint8 [H, W, channels]; `name` is used in a `DataError`."""
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    with readable(name), Image.open(io.BytesIO(data)) as opened:
        image = _eight_bits(opened)
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))  # which copies in any case
    return pixels[..., None] if channels == 1 else pixels


def image_channels(data: bytes, name: str) -> int:
    """1 for a grey image, 3 for any other. Raises `DataError`."""
    from PIL import Image

    with readable(name), Image.open(io.BytesIO(data)) as image:
        return 1 if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16") else 3


def decode_resized(path: Path, size: int) -> PixelArray:
    """Decode a file to RGB, resize its shorter side to `size` (bicubic, antialiased), crop the centre: uint8 [size,
    size, 3].

    Applies the EXIF orientation, and puts transparent images on white. Grey levels of 16 bits are divided by 257, those
    of floating-point images are scaled from their declared range or from 0 to 1. Images more than 32 times as long as
    wide are cropped first. Of several threads that decode large photos some wait for others, so that the whole photos
    take about half a gigabyte together. Raises `DataError`.
    """
    from PIL import ExifTags, Image, ImageOps

    with readable(str(path)), Image.open(path) as opened, _WHOLE.held(opened.width * opened.height * _HELD):
        image = _eight_bits(opened)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return _square(_opaque(ImageOps.exif_transpose(image) if turned else image), size)


def native(image: Image.Image, box: tuple[int, int, int, int] | None = None) -> PixelArray:
    """An opened image, or the part in `box`, as uint8 [H, W, 1 or 3] in its own size: grey stays grey.

    Transparent images are put on white, more than 8 bits are scaled as by `decode_resized`; the EXIF orientation is
    applied unless there is a box, which counts pixels as they are stored. Raises `ValueError` for an empty box.
    """
    from PIL import ImageOps

    whole = _eight_bits(image)
    if box is not None:
        left, upper, right, lower = max(0, box[0]), max(0, box[1]), min(image.width, box[2]), min(image.height, box[3])
        if left >= right or upper >= lower:
            raise ValueError(f"its part {box} is empty")
        whole = whole.crop((left, upper, right, lower))
    else:
        whole = ImageOps.exif_transpose(whole)
    if whole.mode in ("1", "L") and not whole.has_transparency_data:
        return np.asarray(whole.convert("L"))[..., None]
    return np.asarray(_opaque(whole))


def square(pixels: PixelArray, size: int) -> PixelArray:
    """Decoded pixels [H, W, 1 or 3], brought to [size, size] as by `decode_resized`; grey stays grey."""
    from PIL import Image

    if pixels.shape[:2] == (size, size):
        return pixels
    found = _square(Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels), size)
    return found[..., None] if found.ndim == 2 else found


def resized(pixels: PixelArray, size: int) -> PixelArray:
    """Convert decoded pixels [H, W, 1 or 3] to RGB [size, size, 3], like `decode_resized` for a file."""
    from PIL import Image

    if pixels.shape == (size, size, 3):
        return pixels
    return _square(Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels).convert("RGB"), size)


def _square(image: Image.Image, size: int) -> PixelArray:
    from PIL import Image

    short = min(image.size)
    if not short:
        raise ValueError("it has no pixels")
    if max(image.size) > _LONGEST * short:
        left, top = ((side - _LONGEST * short) // 2 if side > _LONGEST * short else 0 for side in image.size)
        image = image.crop((left, top, image.width - left, image.height - top))
    scale = size / short
    width, height = (max(size, round(side * scale)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits or floating point as 8 bits; other images unchanged.

    Raises `ValueError` for values whose range is not known.
    """
    from PIL import Image

    if not (image.mode in ("I", "F") or image.mode.startswith("I;16")):
        return image
    pixels = np.asarray(image)
    if getattr(image, "tag_v2", {}).get(262) == 0 and image.mode.startswith("I;16"):  # white is zero
        pixels = 65535 - pixels
    if image.mode.startswith("I;16"):
        eight = np.rint(pixels / _SIXTEEN_BITS)
    elif image.mode == "I":
        if image.format not in ("PNG", "PPM"):  # which know no more than 16 bits
            raise ValueError("it holds 32-bit integers, whose range is not known; convert it to 8 or 16 bits")
        eight = np.rint(pixels.clip(0, 65535) / _SIXTEEN_BITS)
    else:
        low, high = _declared_range(image)
        if not pixels.size or not (low <= pixels.min() <= pixels.max() <= high):
            raise ValueError(
                f"it holds floating-point values outside {low:g} to {high:g}; scale them, or declare their range"
            )
        eight = np.rint((pixels - low) / (high - low) * 255)
    result = Image.fromarray(eight.astype(np.uint8))
    result.info = dict(image.info)
    if "transparency" in result.info and image.mode != "F":  # one 16-bit level: several levels share its 8 bits
        clear = np.where(pixels == result.info.pop("transparency"), 0, 255).astype(np.uint8)
        result.putalpha(Image.fromarray(clear))
    result._exif = image.getexif()
    return result


def _declared_range(image: Image.Image) -> tuple[float, float]:
    """The smallest and largest value that a TIFF declares; 0 to 1 if there is none."""
    tags = getattr(image, "tag_v2", {})
    low, high = (tags.get(tag) for tag in (340, 341))  # SMinSampleValue, SMaxSampleValue
    low, high = (float(value[0] if isinstance(value, tuple) else value) for value in (low or 0.0, high or 1.0))
    if not low < high:
        raise ValueError(f"it declares values from {low:g} to {high:g}; declare another range")
    return low, high


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    from PIL import Image

    layers = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, (255, 255, 255, 255)), layers).convert("RGB")


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn an error of Pillow for a damaged, truncated or foreign file into an `UnreadableImage` with its name."""
    from PIL import Image

    try:
        yield
    except ClbenchError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{name} disappeared while it was read; put it back and run again.") from error
    except Exception as error:  # decoders of damaged files raise nearly every type
        known = isinstance(error, Image.UnidentifiedImageError)
        why = "it is not an image that Pillow reads" if known else str(error) or type(error).__name__
        raise UnreadableImage(name, " ".join(why.split())) from error
