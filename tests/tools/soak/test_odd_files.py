"""Odd files are what they are called."""

from __future__ import annotations

import stat
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tools.soak.draws import FORMS, LAYOUTS
from tools.soak.odd_files import write_image, write_npz, write_tree

ARRAYS = {"rows": np.arange(6, dtype=np.int32), "prediction/cil_seen": np.zeros((2, 6), np.int16)}


def written(path: Path, *changes: tuple[str, str, Any]) -> Path:
    np.savez(path, **ARRAYS)  # type: ignore[arg-type]
    write_npz(path, changes)
    return path


@pytest.mark.parametrize(
    ("change", "shape", "dtype"),
    [
        (("rows", "shape", "scalar"), (), np.int32),
        (("rows", "shape", "empty"), (0,), np.int32),
        (("prediction/cil_seen", "shape", "transpose"), (6, 2), np.int16),
        (("rows", "dtype", "c16"), (6,), np.complex128),
        (("rows", "value", -1), (6,), np.int32),
    ],
)
def test_arrays_change(tmp_path: Path, change: tuple[str, str, Any], shape: tuple[int, ...], dtype: Any) -> None:
    with np.load(written(tmp_path / "x.npz", change)) as archive:
        assert (archive[change[0]].shape, archive[change[0]].dtype) == (shape, dtype)


def test_names_change(tmp_path: Path) -> None:
    with np.load(written(tmp_path / "x.npz", ("rows", "name", "other"))) as archive:
        assert set(archive.files) == {"other", "prediction/cil_seen"}
    with np.load(written(tmp_path / "x.npz", ("rows", "drop", None))) as archive:
        assert archive.files == ["prediction/cil_seen"]


@pytest.mark.parametrize("header", ["huge", "negative", "text", "version", "deep"])
def test_headers_cannot_be_read(tmp_path: Path, header: str) -> None:
    with (
        np.load(written(tmp_path / "x.npz", ("rows", "header", header))) as archive,
        pytest.raises((ValueError, MemoryError, OSError, tokenize.TokenError)),
    ):
        archive["rows"]


@pytest.mark.parametrize("form", ["crc", "encrypted", "half", "npy"])
def test_archives_cannot_be_read(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "x.npz", ("rows", "archive", form))
    with pytest.raises((zipfile.BadZipFile, RuntimeError, zlib.error)), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            archive.read(name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_form_of_file_in_every_layout(tmp_path: Path, layout: str) -> None:
    files = [("cat", f"{number}.png", form) for number, form in enumerate(FORMS)]
    write_tree(tmp_path / "odd", layout, files)
    assert len(list((tmp_path / "odd").rglob("*.png"))) >= len(FORMS) - 1  # a cycle has no suffix


def test_forms(tmp_path: Path) -> None:
    for form in ("I;16", "F", "thin", "fifo", "dangling", "cut", "bomb"):
        write_image(tmp_path / form, form, 0)
    assert Image.open(tmp_path / "I;16").mode == "I;16"
    assert Image.open(tmp_path / "F").mode == "F"
    assert Image.open(tmp_path / "thin").size == (3000, 1)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert (tmp_path / "dangling").is_symlink() and not (tmp_path / "dangling").exists()
    with pytest.raises(OSError), Image.open(tmp_path / "cut") as image:
        image.load()
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "bomb")
