"""Transforms of whole batches of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cl.backbone.transform import Transform
from tests.help.pictures import PLAIN, photo

IMAGENET = Transform(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 0.875)


@pytest.mark.parametrize("size", [(48, 64), (500, 400)])
def test_the_test_transform_matches_pillow_within_two_levels(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    height, width = size
    scale = 256 / min(height, width)
    picture = Image.fromarray(pixels[0].permute(1, 2, 0).numpy())
    picture = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
    expected = np.array(picture.crop((left, top, left + 224, top + 224)), dtype=np.float32)
    plain = Transform(224, (0.0,) * 3, (1.0,) * 3, "bicubic", 0.875)
    found = plain(pixels)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() <= 2.01


def test_grey_images_become_three_channels_and_are_normalised() -> None:
    out = IMAGENET(torch.full((2, 1, 10, 10), 255, dtype=torch.uint8))
    assert out.shape == (2, 3, 224, 224)
    assert torch.allclose(out[0, :, 0, 0], (1 - torch.tensor(IMAGENET.mean)) / torch.tensor(IMAGENET.std))


def test_images_of_the_right_size_are_not_resampled() -> None:
    pixels = photo(32, 32)
    assert torch.equal(PLAIN(pixels), pixels.float() / 255)
