"""Images of a user: every form, brought to the images of training, and one sentence for anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from cl.data.images import UnreadableImage, decode_resized
from cl.errors import DataError, UsageError
from cl.running.given_images import damaged_in, files_in, images_in
from tests.help.image_folders import save, tree

COLOUR, GREY = (3, 8, 8), (1, 8, 8)


def pixels(given: Any, shape: tuple[int, int, int] = COLOUR) -> list[np.ndarray]:
    return [found.numpy().transpose(1, 2, 0) for _, found in images_in(given, shape)]


def test_a_file_is_decoded_as_a_folder_stream_decodes_it(tmp_path: Path) -> None:
    for number, mode in enumerate(("RGB", "L", "RGBA")):
        path = tmp_path / f"{mode}.png"
        save(path, (13, 21), number, mode)
        assert np.array_equal(pixels(path)[0], decode_resized(path, 8))
        assert np.array_equal(pixels(Image.open(path))[0], decode_resized(path, 8))
    assert pixels(tmp_path / "RGB.png", GREY)[0].shape == (8, 8, 1)


def test_folders_stand_for_their_images_and_names_are_paths(tmp_path: Path) -> None:
    root = tree(tmp_path, {"b": 1, "a": 2})
    (root / "a" / "notes.txt").write_text("no image")
    names = [root / "a" / "0.png", root / "a" / "1.png", root / "b" / "0.png"]
    assert files_in([root]) == names and files_in([names[2], root / "a"]) == [names[2], *names[:2]]
    assert [name for name, _ in images_in(root, COLOUR)] == list(map(str, names))
    assert [name for name, _ in images_in(np.zeros((2, 3, 8, 8), np.uint8), COLOUR)] == ["0", "1"]


def test_arrays_of_every_layout_are_the_same_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    first = image.transpose(2, 0, 1)
    forms = [image, first, image[None], first[None], torch.from_numpy(first), first / 255, [image], [first[None]]]
    forms.append(DataLoader(TensorDataset(torch.from_numpy(first)[None], torch.zeros(1)), batch_size=4))
    forms.append(DataLoader(TensorDataset(torch.from_numpy(first)[None].float() / 255)))
    for form in forms:
        (found,) = pixels(form)
        assert np.array_equal(found, image)
    grey = image[..., 0]
    assert np.array_equal(pixels(grey)[0], np.repeat(grey[..., None], 3, 2))
    assert np.array_equal(pixels(grey, GREY)[0][..., 0], grey)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "what was given is empty"),
        (np.zeros((0, 3, 8, 8), np.uint8), "what was given is empty"),
        (np.zeros((4, 8, 8), np.uint8), "has neither 1 nor 3 channels"),
        (np.zeros((3, 8, 3), np.uint8), "could have its channels first or last"),
        (np.zeros((1, 3, 0, 8), np.uint8), "has no pixels"),
        (np.zeros(8, np.uint8), r"of shape \(8,\) is no image"),
        (np.full((3, 8, 8), -1.5), "floats from 0 to 1"),
        (np.zeros((3, 8, 8), np.int64), "An array of int64"),
        (7, "^A value of type int is no image"),
        (None, "^None is no image"),
        ({"images": 1}, "^A value of type dict is no image"),
    ],
)
def test_anything_else_is_one_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        pixels(given)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*nowhere\.png"):
        files_in([tmp_path / "nowhere.png"])
    with pytest.raises(UsageError, match="There are no images in"):
        files_in([tmp_path])
    with pytest.raises(UsageError, match="no images to predict"):
        files_in([])
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UnreadableImage, match=r"text\.png \(it is not an image"):
        pixels(tmp_path / "text.png")
    absent = [tmp_path / f"{number}.png" for number in range(12)]
    with pytest.raises(UsageError, match=r"There are no files .*/0\.png, .*/9\.png and 2 more; name"):
        files_in(absent)
    with pytest.raises(DataError, match="trained on images of 9 x 8 pixels"):
        pixels(np.zeros((3, 8, 8), np.uint8), (3, 8, 9))


def test_damaged_images_are_collected_and_the_others_read(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 4})
    whole = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "3.png").write_text("no image")
    damaged: dict[str, str] = {}
    found = [name for name, _ in images_in(tmp_path, COLOUR, damaged)]
    assert found == [str(tmp_path / "a" / "0.png"), str(tmp_path / "a" / "2.png")]
    assert list(damaged) == [str(tmp_path / "a" / f"{number}.png") for number in (1, 3)]
    assert "truncated" in damaged[str(tmp_path / "a" / "1.png")]
    assert damaged_in(files_in([tmp_path])) == damaged

    cut = Image.open(tmp_path / "a" / "1.png")
    with pytest.raises(UnreadableImage, match=r"^Cannot read the image given \("):
        pixels([cut])
    damaged = {}
    names = [
        name for name, _ in images_in([Image.open(tmp_path / "a" / "0.png"), cut, np.zeros((8, 8, 3))], COLOUR, damaged)
    ]
    assert names == ["0", "2"] and list(damaged) == ["number 1"], "the number is the place"
