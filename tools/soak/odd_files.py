"""Writes the odd files that the fuzz draws: files of predictions, and folders of images."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COMPRESSIONS = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def write_npz(path: Path, changes: Sequence[tuple[str, str, Any]]) -> None:
    """Change a file of predictions in place."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    headers: dict[str, str] = {}
    form = ""
    for name, kind, argument in changes:
        if kind == "archive":
            form = argument
        elif kind == "header":
            headers[name] = argument
        elif name in arrays:
            value = arrays.pop(name)
            if kind == "name":
                arrays[argument] = value
            elif kind != "drop":
                arrays[name] = _changed(value, kind, argument)
    members = {name: _member(array, headers.get(name, "")) for name, array in arrays.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of names that occur twice
        path.write_bytes(_archive(members, form))


def _changed(array: np.ndarray, kind: str, argument: Any) -> np.ndarray:
    if kind == "value":
        changed = array.copy()
        if changed.size and changed.dtype.kind in "iuf":
            changed.flat[0] = np.clip(argument, *_limits(changed.dtype))
        return changed
    if kind == "dtype":
        changed = np.zeros(array.shape, argument)
        if changed.dtype.kind in "iuf?c":
            changed[...] = np.clip(np.nan_to_num(array), 0, 100)
        return changed
    shapes: dict[str, Callable[[], np.ndarray]] = {
        "scalar": lambda: np.array(0, array.dtype),
        "empty": lambda: array[:0],
        "more": lambda: array[None],
        "transpose": lambda: np.ascontiguousarray(array.T),
        "long": lambda: np.concatenate([array, array]),
        "short": lambda: array[:-1],
        "fortran": lambda: np.asfortranarray(array),
    }
    return shapes[argument]()


def _limits(dtype: np.dtype) -> tuple[float, float]:
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return limits.min, limits.max


def _member(array: np.ndarray, header: str) -> bytes:
    """The bytes of a .npy file, with an odd header."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    data = buffer.getvalue()
    if header == "version":
        return data[:6] + b"\x09\x09" + data[8:]
    if header == "text":
        return data[:10] + b"x" * (len(data) - 10)
    if header == "deep":
        return data[:10] + b"(" * (len(data) - 10)
    shape = {"huge": b"(99999999999,)", "negative": b"(-1,)"}.get(header)
    if shape is None:
        return data
    size = int.from_bytes(data[8:10], "little")
    text = data[10 : 10 + size]
    start, end = text.index(b"("), text.index(b")") + 1
    return (
        data[:10] + (text[:start] + shape + text[end:]).rstrip().ljust(size - 1)[: size - 1] + b"\n" + data[10 + size :]
    )


def _archive(members: dict[str, bytes], form: str) -> bytes:
    if form == "npy":
        return next(iter(members.values()), b"")
    if form == "bomb":
        members = {**members, "rows": _member(np.zeros(50_000_000, np.int8), "")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", COMPRESSIONS.get(form, zipfile.ZIP_DEFLATED if form != "stored" else 0)
    ) as archive:
        for name, data in members.items():
            for _ in range(2 if form == "twice" else 1):
                archive.writestr(f"{name}.npy", data)
    data = buffer.getvalue()
    if form == "crc":
        at = (
            30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little") + 40
        )  # in the first member
        return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]
    if form == "encrypted":  # the flag in the first local header and in the central directory
        at = data.rindex(b"PK\x01\x02")
        data = data[:6] + b"\x01" + data[7 : at + 8] + b"\x01" + data[at + 9 :]
    return {"junk": data + b"junk" * 100, "half": data[: len(data) // 2]}.get(form, data)


# -------------------------------------------------------------------------------------------------------------- images


def write_tree(root: Path, layout: str, files: Sequence[tuple[str, str, str]]) -> None:
    """Write a folder of images, twice where the layout has training and test images."""
    parts = {"flat": [""], "deep": ["a/b"], "bare": [""]}.get(layout, layout.split("/"))
    root.mkdir()
    for number, part in enumerate(parts):
        for index, (name, file, form) in enumerate(files):
            folder = root / part / (name if layout != "bare" else "")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_image(folder / file, form, 100 * number + (0 if form == "same" else index))
            except FileExistsError:  # the same name twice
                continue


def write_image(path: Path, form: str, number: int) -> None:
    """Write one file: an image of a mode, or something that only looks like one."""
    from PIL import Image

    if path.exists() or path.is_symlink():
        return
    rng = np.random.default_rng(number)
    special: dict[str, Callable[[], Any]] = {
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("no image"),
        "link": lambda: path.symlink_to(os.path.relpath(_saved(path.with_name("target.png"), "RGB", rng), path.parent)),
        "dangling": lambda: path.symlink_to("nothing.png"),
        "cycle": lambda: path.with_suffix("").symlink_to(".."),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "hard link": lambda: os.link(_saved(path.with_name("first.png"), "RGB", rng), path),
        "no access": lambda: os.chmod(_saved(path, "RGB", rng), 0),
        "bomb": lambda: _bomb(path),
    }
    if form in special:
        special[form]()
        return
    kind = {"gif": "GIF", "bmp": "BMP", "CMYK": "JPEG", "F": "TIFF", "I": "TIFF"}.get(form, "PNG")
    mode = form if form in ("L", "LA", "P", "1", "I;16", "I", "F", "CMYK", "RGBA") else "RGB"
    size = {"one pixel": (1, 1), "thin": (3000, 1)}.get(form, (20, 24))
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(
        mode if mode != "I;16" else "I"
    )
    (image.convert("I;16") if mode == "I;16" else image).save(path, kind)
    if form == "cut":
        path.write_bytes(path.read_bytes()[:-200])


def _saved(path: Path, mode: str, rng: np.random.Generator) -> Path:
    from PIL import Image

    if not path.exists():
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).convert(mode).save(path, "PNG")
    return path


def _bomb(path: Path) -> None:
    """A PNG whose header claims 60,000 x 60,000 pixels."""
    from PIL import Image

    Image.new("L", (1, 1)).save(path, "PNG")
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(bytes(data))
