"""Readers of packs (.npz) and CIFAR's official Python archives. Nothing is extracted, and no code from files runs."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cl.data.archives import capped_tar, check_zip, read_member
from cl.data.cifar_pickle import load_cifar_pickle
from cl.data.decoded import Decode, decoded_store
from cl.data.images import decode_image, image_channels
from cl.data.npz import mapped, shape_of, size_of
from cl.data.store import ImageStore, IndexArray, PixelArray, Progress
from cl.errors import DataError
from cl.files import sha256_of

SPLITS = ("train", "test")
PACK_READER = 2
"""Version of the decoding of packs; increased when the same file would give other pixels."""
_IN_MEMORY = 256 << 20
"""Bytes of the images of a pack above which they are not held in memory."""
_BATCH = 256 << 20
"""Maximum bytes of a CIFAR batch; the largest, CIFAR-100's training set, has 155 million."""


@dataclass(frozen=True, eq=False)
class Content:
    """The result of a reader: a store per split, class names by label (empty if the source has none), and free-form
    metadata."""

    splits: dict[str, ImageStore]
    class_names: tuple[str, ...]
    meta: dict[str, Any]


def read_pack(path: Path, progress: Progress | None = None) -> Content:
    """Read a pack: an .npz with `labels`, `split` (0 train, 1 test), `classes`, `meta` (JSON) and the images.

    The images are `images` (uint8 [N, H, W] or [N, H, W, C], held in memory up to 256 MiB, put in order once in the
    cache above), or `data` and `offsets` (concatenated encoded files, decoded once into the cache). Raises `DataError`
    for a file that is damaged or not a pack, or that has pickled content.
    """
    with _damaged(path), np.load(path, allow_pickle=False) as pack:
        check_zip(pack.zip, path)
        labels, split = pack["labels"].astype(np.int64), pack["split"]
        class_names = tuple(str(name) for name in pack["classes"])
        meta = json.loads(str(pack["meta"])) if "meta" in pack.files else {}
        large = size_of(pack.zip, "images") > _IN_MEMORY
        images = pack["images"] if "images" in pack.files and not large else None
        offsets = pack["offsets"].astype(np.int64) if images is None and not large else None
        shape = shape_of(pack.zip, "images") if large else ()
        if not isinstance(meta, dict):
            raise ValueError("`meta` is not a JSON object")
        if len(split) != len(labels) or not np.isin(split, (0, 1)).all():
            raise ValueError("`split` does not fit `labels`")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(class_names):
            raise ValueError("`labels` do not fit `classes`")
        number = shape[0] if large else len(images) if images is not None else len(offsets) - 1  # type: ignore[arg-type]
        if len(labels) != number:
            raise ValueError("`labels` do not fit the images")
    digest = "" if images is not None else sha256_of(path)
    splits = {}
    for code, name in enumerate(SPLITS):
        rows = np.flatnonzero(split == code)
        if not len(rows):
            continue
        if images is not None:
            with _damaged(path):
                splits[name] = ImageStore.from_arrays(images[rows], labels[rows])
        else:
            key = hashlib.sha256(f"pack {PACK_READER} {digest} {name}".encode()).hexdigest()
            source = _Raw(path, rows) if offsets is None else _Encoded(path, rows, offsets, meta.get("channels"))
            splits[name] = decoded_store(f"{path.stem} {name}", key, labels[rows], source.open, progress)
    return Content(splits, class_names, meta)


@dataclass(frozen=True, eq=False)
class _Raw:
    """The images of one split of a pack that is too large for the memory."""

    path: Path
    rows: IndexArray

    def open(self) -> Decode:
        with _damaged(self.path):
            images = mapped(self.path, "images")
            if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
                raise ValueError(f"`images` has the shape {list(images.shape)}")
        pixels = images[..., None] if images.ndim == 3 else images

        def decode(index: int) -> PixelArray:
            return np.asarray(pixels[self.rows[index]])

        return decode


@dataclass(frozen=True, eq=False)
class _Encoded:
    """The encoded images of one split of a pack; the file is read only if it is not in the cache."""

    path: Path
    rows: IndexArray
    offsets: IndexArray
    channels: Any

    def open(self) -> Decode:
        with _damaged(self.path), np.load(self.path, allow_pickle=False) as pack:
            data = pack["data"]
            if (
                data.dtype != np.uint8
                or (np.diff(self.offsets) < 0).any()
                or not 0 <= self.offsets[0] <= self.offsets[-1] <= len(data)
            ):
                raise ValueError("`offsets` do not fit `data`")

        def encoded(index: int) -> bytes:
            row = self.rows[index]
            return data[self.offsets[row] : self.offsets[row + 1]].tobytes()

        channels = self.channels if self.channels in (1, 3) else image_channels(encoded(0), self._name(0))
        shape = decode_image(encoded(0), channels, self._name(0)).shape

        def decode(index: int) -> PixelArray:
            pixels = decode_image(encoded(index), channels, self._name(index))
            if pixels.shape != shape:
                raise DataError(
                    f"{self._name(index)} has the shape {list(pixels.shape)}, not {list(shape)} like the others; "
                    "rebuild the pack."
                )
            return pixels

        return decode

    def _name(self, index: int) -> str:
        return f"{self.path}, image {self.rows[index]}"


def read_packs(paths: Iterable[Path], progress: Progress | None = None) -> Content:
    """Read packs that hold the splits of one dataset. Raises `DataError` if their classes differ."""
    contents = [(path, read_pack(path, progress)) for path in paths]
    _, first = contents[0]
    splits: dict[str, ImageStore] = {}
    for path, content in contents:
        if content.class_names != first.class_names:
            raise DataError(f"{path} has other classes than {contents[0][0]}; use packs of one dataset.")
        splits |= content.splits
    return Content(splits, first.class_names, first.meta)


@dataclass(frozen=True)
class CifarLayout:
    """Names in CIFAR's official Python archive; torchvision's extracted folder has the same names."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: str
    names: str


def read_cifar_archive(path: Path, layout: CifarLayout) -> Content:
    """Read `cifar-*-python.tar.gz` without extracting it; raises `DataError` if it is truncated or another archive."""
    return _cifar(path, _archived(path, layout), layout)


def read_cifar_folder(path: Path, layout: CifarLayout) -> Content:
    """Read torchvision's extracted folder (`cifar-100-python/` or `cifar-10-batches-py/`)."""
    return _cifar(path, _extracted(path, layout), layout)


def cifar_training_images(path: Path, layout: CifarLayout) -> tuple[PixelArray, IndexArray]:
    """Training images and labels of the archive or the extracted folder, in their original order."""
    batches = _extracted(path, layout) if path.is_dir() else _archived(path, layout)
    _complete(path, batches, layout)
    with _damaged(path):
        return _images(batches, layout.train, layout)


def _archived(path: Path, layout: CifarLayout) -> dict[str, dict[str, Any]]:
    wanted = {*layout.train, *layout.test, layout.meta}
    found: dict[str, dict[str, Any]] = {}
    with _damaged(path), capped_tar(path) as archive:
        for member in archive:
            folder, _, name = member.name.removeprefix("./").partition("/")
            if folder == layout.folder and name in wanted and member.isfile():
                found[name] = load_cifar_pickle(read_member(archive, member, path, _BATCH), f"{path}:{member.name}")
    return found


def _extracted(path: Path, layout: CifarLayout) -> dict[str, dict[str, Any]]:
    found = {}
    for name in (*layout.train, *layout.test, layout.meta):
        if (path / name).is_file():
            if (path / name).stat().st_size > _BATCH:
                raise DataError(f"{path / name} is too large for a CIFAR batch; delete it and run again.")
            found[name] = load_cifar_pickle((path / name).read_bytes(), str(path / name))
    return found


def _complete(path: Path, batches: dict[str, dict[str, Any]], layout: CifarLayout) -> None:
    absent = [name for name in (*layout.train, *layout.test, layout.meta) if name not in batches]
    if absent:
        raise DataError(f"{path} lacks {', '.join(absent)}; delete it and run again to download it.")


def _images(
    batches: dict[str, dict[str, Any]], names: Iterable[str], layout: CifarLayout
) -> tuple[PixelArray, IndexArray]:
    pixels = np.concatenate([np.asarray(batches[name]["data"], dtype=np.uint8) for name in names])
    labels = np.concatenate([np.asarray(batches[name][layout.labels], dtype=np.int64) for name in names])
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _cifar(path: Path, batches: dict[str, dict[str, Any]], layout: CifarLayout) -> Content:
    _complete(path, batches, layout)
    with _damaged(path):
        splits = {
            split: ImageStore.from_arrays(*_images(batches, names, layout))
            for split, names in (("train", layout.train), ("test", layout.test))
        }
        return Content(splits, tuple(str(name) for name in batches[layout.meta][layout.names]), {})


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Turn errors of NumPy, tar and gzip for a damaged or foreign file into a `DataError` with the path and the fix."""
    try:
        yield
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
    ) as error:
        raise DataError(
            f"Cannot read {path}: it is truncated, damaged or in another format ({error}); replace it and run again."
        ) from error
