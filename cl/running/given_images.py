"""Images that a user gives a finished learner, brought to the form of the images that it was trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl.data.images import UnreadableImage, native, readable, square
from cl.data.store import PixelArray
from cl.data.tree_walk import LeftOut, images_below
from cl.errors import DataError, UsageError

Shape = tuple[int, int, int]
"""Channels, height and width of the images of training, as in `cl.stream.StreamInfo`."""

_KINDS = "paths, Pillow images, arrays, or a DataLoader"
_SHOWN = 10
"""Files in an error message."""


def files_in(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The image files among paths: files as given, of folders all images below them, sorted.

    Raises `UsageError` if there are none or a path does not exist.
    """
    found, absent = list[Path](), list[Path]()
    for path in map(Path, paths):
        if path.is_dir():
            left = LeftOut()
            inside = [Path(each.path) for each in images_below(path, left)]
            if not inside:
                raise UsageError(f"There are no images in {path}; name image files, or a folder that holds some.")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            absent.append(path)
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        there = "is no file" if len(absent) == 1 else "are no files"
        raise UsageError(f"There {there} {', '.join(map(str, absent[:_SHOWN]))}{more}; name image files that exist.")
    if not found:
        raise UsageError("There are no images to predict; name image files, or a folder that holds some.")
    return found


def damaged_in(paths: Sequence[Path]) -> dict[str, str]:
    """The files among paths that cannot be decoded, and why."""
    found = ((str(path), _decoded(path)) for path in paths)
    return {name: each.reason for name, each in found if isinstance(each, UnreadableImage)}


def images_in(given: Any, shape: Shape, damaged: dict[str, str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """The images in what a user gave, one by one: a name, and pixels uint8 [C, H, W] of `shape`.

    `given`: a path, a Pillow image or an array, a sequence of them, or a DataLoader, whose batches are arrays or begin
    with one. A path of a folder stands for the images below it. Arrays are uint8, or float from 0 to 1: [H, W], [C, H,
    W], [H, W, C], or a batch of the last two. The name of an image that is no file is its number from 0. Raises
    `UsageError` for anything else and if there is no image. Images that cannot be decoded are left out and written into
    `damaged`, the reason by the name; without it the first raises `UnreadableImage`.
    """
    number = 0
    for name, pixels in _each(given):
        if not isinstance(pixels, UnreadableImage):
            yield name or str(number), _tensor(prepared(pixels, shape))
        elif damaged is None:
            raise pixels
        else:
            damaged[name or f"number {number}"] = pixels.reason
        number += 1
    if not number:
        raise UsageError(f"There are no images to predict: what was given is empty; give {_KINDS}.")


def prepared(pixels: PixelArray, shape: Shape) -> PixelArray:
    """Decoded pixels [h, w, 1 or 3] as the streams prepare theirs: colours, shorter side and centre of `shape`.

    Raises `DataError` for another size if the images of training were not square: how they were made is not known.
    """
    channels, height, width = shape
    if pixels.shape[2] == 3 and channels == 1:
        from PIL import Image

        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    elif pixels.shape[2] == 1 and channels == 3:
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.shape[:2] == (height, width):
        return pixels
    if height != width:
        raise DataError(
            f"This learner was trained on images of {width} x {height} pixels, and one of {pixels.shape[1]} x "
            f"{pixels.shape[0]} was given; give images of that size."
        )
    return square(pixels, height)


def _each(given: Any) -> Iterator[tuple[str, PixelArray | UnreadableImage]]:
    """Name, "" if there is none, and pixels uint8 [h, w, 1 or 3] of every image, or why it cannot be decoded."""
    if isinstance(given, str | os.PathLike):
        for path in files_in([given]):
            yield str(path), _decoded(path)
    elif _is_pillow(given):
        try:
            with readable("given"):
                found: PixelArray | UnreadableImage = native(given)
        except UnreadableImage as error:
            found = error
        yield "", found
    elif isinstance(given, np.ndarray | Tensor):
        yield from (("", pixels) for pixels in _of_array(given))
    elif isinstance(given, Iterable) and not isinstance(given, bytes | dict):
        batches = not isinstance(given, Sequence)  # a DataLoader, or another iterable of batches
        for each in given:
            yield from _each(each[0] if batches and isinstance(each, list | tuple) and each else each)
    else:
        what = "None" if given is None else f"A value of type {type(given).__name__}"
        raise UsageError(f"{what} is no image; give {_KINDS}.")


def _decoded(path: Path) -> PixelArray | UnreadableImage:
    from PIL import Image

    try:
        with readable(str(path)), Image.open(path) as opened:
            return native(opened)
    except UnreadableImage as error:
        return error


def _is_pillow(given: Any) -> bool:
    from PIL import Image

    return isinstance(given, Image.Image)


def _of_array(given: np.ndarray | Tensor) -> Iterator[PixelArray]:
    """The images of an array, each uint8 [h, w, 1 or 3]."""
    values = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    shape = tuple(values.shape)
    if values.ndim == 2:
        values = values[None, :, :, None]
    elif values.ndim in (3, 4):
        values = values if values.ndim == 4 else values[None]
        first, last = values.shape[1] in (1, 3), values.shape[3] in (1, 3)
        if first == last:
            why = "could have its channels first or last" if first else "has neither 1 nor 3 channels"
            raise UsageError(f"An array of shape {shape} {why}; give images as [B, 3, H, W] or [B, 1, H, W].")
        values = values if last else values.transpose(0, 2, 3, 1)
    else:
        raise UsageError(f"An array of shape {shape} is no image; give images as [B, C, H, W].")
    if 0 in values.shape[1:]:
        raise UsageError(f"An array of shape {shape} has no pixels; give images as [B, C, H, W].")
    yield from np.ascontiguousarray(_bytes(values))


def _bytes(values: np.ndarray) -> PixelArray:
    """Values as uint8: whole numbers as they are, floats from 0 to 1 times 255."""
    if values.dtype == np.uint8:
        return values
    fits = values.dtype.kind == "f" and (not values.size or (values.min() >= 0 and values.max() <= 1))
    if not fits:
        raise UsageError(
            f"An array of {values.dtype} is no image unless its values are floats from 0 to 1; give uint8 pixels, "
            "which the learner normalises itself."
        )
    return np.rint(values * 255).astype(np.uint8)


def _tensor(pixels: PixelArray) -> Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
