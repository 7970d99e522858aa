"""Omniglot's archives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl.data.omniglot import decode_drawing, read_omniglot
from cl.errors import DataError


def drawing(ink: int) -> bytes:
    """A 105 px drawing of one bit, black on white, with a black square whose side is `ink`."""
    pixels = np.full((105, 105), 255, np.uint8)
    pixels[:ink, :ink] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(buffer, "png")
    return buffer.getvalue()


def archive(path: Path, alphabets: dict[str, int]) -> Path:
    """An official archive with so many characters per alphabet, each of twenty drawers."""
    root = path.stem
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{root}/", "")
        for alphabet, count in alphabets.items():
            for number in range(1, count + 1):
                for drawer in range(1, 21):
                    name = f"{root}/{alphabet}/character{number:02}/0{number:03}_{drawer:02}.png"
                    file.writestr(name, drawing(10 * number + drawer))
        file.writestr(f"{root}/README.txt", "no drawing")
    return path


@pytest.mark.usefixtures("isolated")
def test_both_archives_are_one_dataset_split_by_drawers(tmp_path: Path) -> None:
    paths = (
        archive(tmp_path / "images_background.zip", {"Latin": 2, "Greek": 1}),
        archive(tmp_path / "images_evaluation.zip", {"Avesta": 1}),
    )
    content = read_omniglot(paths)
    assert content.class_names == (
        "Avesta/character01", "Greek/character01", "Latin/character01", "Latin/character02",
    )  # fmt: skip
    assert {split: np.bincount(store.labels).tolist() for split, store in content.splits.items()} == {
        "train": [15] * 4,
        "test": [5] * 4,
    }
    wanted = {decode_drawing(drawing(20 + drawer), "x").tobytes() for drawer in range(16, 21)}
    last = content.splits["test"]
    assert {image.tobytes() for image in last.pixels[last.labels == 3]} == wanted


def test_ink_is_white_and_the_side_is_32() -> None:
    image = decode_drawing(drawing(52), "x")
    assert image.shape == (32, 32, 1) and image.dtype == np.uint8
    assert image[2, 2, 0] == 255 and image[30, 30, 0] == 0


def test_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images_background.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"images_background.zip: it is truncated or damaged"):
        read_omniglot((path,))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other/file.txt", "")
    with pytest.raises(DataError, match="has no Omniglot drawings"):
        read_omniglot((path,))


@pytest.mark.usefixtures("isolated")
def test_unpacked_folders_are_read_alike(tmp_path: Path) -> None:
    paths = (
        archive(tmp_path / "images_background.zip", {"Latin": 2, "Greek": 1}),
        archive(tmp_path / "images_evaluation.zip", {"Avesta": 1}),
    )
    for path in paths:
        with zipfile.ZipFile(path) as packed:
            packed.extractall(tmp_path)
    packed_content, folders = read_omniglot(paths), read_omniglot(tuple(path.with_suffix("") for path in paths))
    assert folders.class_names == packed_content.class_names
    for split in ("train", "test"):
        assert folders.splits[split].fingerprint == packed_content.splits[split].fingerprint
    (tmp_path / "images_background" / "Latin" / "character01" / "0001_01.png").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"0001_01\.png"):
        read_omniglot(tuple(path.with_suffix("") for path in paths))
