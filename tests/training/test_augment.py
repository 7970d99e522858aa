"""Augmentations of whole batches of images."""

from __future__ import annotations

import pytest
import torch

from cl.errors import UsageError
from cl.training.augment import RECIPES, _random_boxes, augment
from tests.help.pictures import PLAIN, photo


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_draw_once_per_image_from_the_given_generator(name: str) -> None:
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


def test_boxes_are_inside_the_image_and_cover_the_given_area() -> None:
    boxes = _random_boxes(4000, 30, 50, (0.08, 1.0), torch.Generator().manual_seed(0))
    left, top, width, height = boxes.unbind(1)
    assert (left >= 0).all() and (top >= 0).all() and (left + width <= 50).all() and (top + height <= 30).all()
    share = width * height / 1500
    assert share.min() >= 0.05 and 0.3 < share.mean() < 0.6
    assert torch.equal(boxes, boxes.round())


def test_an_unknown_recipe_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown augmentation 'mixup'; choose one of none"):
        augment(photo(), "mixup", PLAIN, torch.Generator())
