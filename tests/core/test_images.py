"""Transforms and augmentations of whole batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.training.augment import RECIPES, _random_boxes, augment

IMAGENET = Transform(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 0.875)
PLAIN = Transform(32, (0.0,) * 3, (1.0,) * 3)


def photo(height: int = 48, width: int = 64) -> torch.Tensor:
    """A smooth random picture, uint8 [1, 3, H, W]."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(large)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("size", [(48, 64), (500, 400)])
def test_test_view_matches_pillow_within_two_levels(size: tuple[int, int]) -> None:
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


def test_same_size_is_not_resampled() -> None:
    pixels = photo(32, 32)
    assert torch.equal(PLAIN(pixels), pixels.float() / 255)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_give_one_draw_per_image_from_the_named_stream(name: str) -> None:
    pixels = photo(32, 32).repeat(16, 1, 1, 1)

    def view() -> torch.Tensor:
        return augment(pixels, name, PLAIN, torch.Generator().manual_seed(3))

    out = view()
    assert torch.equal(out, view()) and out.min() >= 0 and out.max() <= 1
    if name == "none":
        assert torch.equal(out, PLAIN(pixels))
    else:
        assert any(not torch.equal(out[0], other) for other in out[1:])


def test_flip_and_identity_crop_are_exact() -> None:
    pixels = photo(32, 32).repeat(16, 1, 1, 1)
    out = augment(pixels, "flip", PLAIN, torch.Generator().manual_seed(0))
    straight = pixels[0].float() / 255
    kinds = {
        "straight" if torch.allclose(image, straight, atol=1e-5) else
        "mirrored" if torch.allclose(image, straight.flip(-1), atol=1e-5) else "other"
        for image in out
    }  # fmt: skip
    assert kinds == {"straight", "mirrored"}


def test_boxes_lie_inside_and_cover_the_area_asked_for() -> None:
    boxes = _random_boxes(4000, 30, 50, (0.08, 1.0), torch.Generator().manual_seed(0))
    left, top, width, height = boxes.unbind(1)
    assert (left >= 0).all() and (top >= 0).all() and (left + width <= 50).all() and (top + height <= 30).all()
    share = width * height / 1500
    assert share.min() >= 0.05 and 0.3 < share.mean() < 0.6
    assert torch.equal(boxes, boxes.round())


def test_unknown_recipe_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown augmentation 'mixup'; choose one of none"):
        augment(photo(), "mixup", PLAIN, torch.Generator())
