"""Augmentations of whole batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.training.augment import RECIPES, _random_boxes, augment

PLAIN = Transform(32, (0.0,) * 3, (1.0,) * 3)


def photo(height: int = 48, width: int = 64) -> torch.Tensor:
    """A smooth random picture, uint8 [1, 3, H, W]."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(large)).permute(2, 0, 1)[None]


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


def test_a_window_is_cut_from_the_image_resized_to_a_square_with_pillows_values() -> None:
    pixels, size = photo(120, 200), 56
    square = Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).resize((75, 75), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
    transform = Transform(size, (0.0,) * 3, (1.0,) * 3)
    views = augment(pixels.repeat(24, 1, 1, 1), "resize-crop-flip", transform, torch.Generator().manual_seed(0))
    windows = expected.unfold(1, size, 1).unfold(2, size, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    found = []
    for view in views:
        straight, mirrored = ((windows - image).abs().amax((1, 2, 3)) for image in (view, view.flip(-1)))
        assert min(straight.min(), mirrored.min()) <= 3 / 255, "a whole-pixel window of the 75 x 75 image"
        found.append((int(straight.argmin()), bool(straight.min() < mirrored.min())))
    places = [place for place, _ in found]
    assert len(set(places)) > 12 and 0 < sum(straight for _, straight in found) < len(found)
    assert max(place // 20 for place in places) > 14 and max(place % 20 for place in places) > 14


def test_a_recipe_can_have_its_own_filter() -> None:
    pixels, transform = photo(16, 16).repeat(8, 1, 1, 1), Transform(32, (0.0,) * 3, (1.0,) * 3, "bicubic")

    def view(name: str, interpolation: str) -> torch.Tensor:
        own = Transform(32, transform.mean, transform.std, interpolation)
        return augment(pixels, name, own, torch.Generator().manual_seed(1))

    assert torch.equal(view("rrc05-flip-bilinear", "bicubic"), view("rrc05-flip", "bilinear"))
    assert not torch.equal(view("rrc05-flip-bilinear", "bicubic"), view("rrc05-flip", "bicubic"))
    assert torch.equal(transform(pixels), Transform(32, transform.mean, transform.std)(pixels)), (
        "test images keep theirs"
    )
