"""Policies: brightness, AutoAugment and Cutout after a recipe, from the generators of a batch alone."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.training.augment import RECIPES, augment
from cl.training.policies import POLICIES, _by_autoaugment, _outside_squares, augmented, check_augmentation
from tests.training.test_augment_recipes import PLAIN, photo


def test_recipes_are_those_of_augment_and_unknown_names_are_refused() -> None:
    pixels = photo(32, 32).repeat(4, 1, 1, 1)
    for name in ("none", "crop-flip"):
        one, two = (f(pixels, name, PLAIN, torch.Generator().manual_seed(1)) for f in (augment, augmented))
        assert torch.equal(one, two)
    assert not set(RECIPES) & set(POLICIES)
    with pytest.raises(UsageError, match=r"'mixup'; choose one of .*autoaugment-cutout"):
        check_augmentation("mixup")


def test_jitter_is_a_crop_times_a_factor_per_image_then_normalised() -> None:
    pixels = photo(32, 32).repeat(6, 1, 1, 1)
    transform = Transform(32, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    found = augmented(pixels, "crop-flip-jitter", transform, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    cropped = 255 * augment(pixels, "crop-flip", PLAIN, generator)
    factor = 1 + (2 * torch.rand(6, generator=generator) - 1) * 63 / 255
    expected = transform.normalise((cropped * factor.view(-1, 1, 1, 1)).clamp(0, 255))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_autoaugment_is_torchvision_s_and_leaves_the_global_generator() -> None:
    pixels = photo(32, 32).repeat(8, 1, 1, 1).float()
    before = torch.get_rng_state()
    found = _by_autoaugment(pixels, torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=torch.Generator().manual_seed(5))))
    policy = AutoAugment(AutoAugmentPolicy.CIFAR10, fill=128)
    expected = torch.stack([policy(image) for image in pixels.to(torch.uint8)])
    torch.set_rng_state(before)
    assert torch.equal(found, expected.float()) and len(found.unique(dim=0)) > 4
    grey = _by_autoaugment(pixels[:, :1], torch.Generator().manual_seed(5))
    assert grey.shape == (8, 1, 32, 32)


def test_cutout_blackens_a_square_of_half_the_side_around_a_pixel_of_the_image() -> None:
    generator = torch.Generator().manual_seed(2)
    outside = _outside_squares(64, 32, 16, generator)
    centres = torch.randint(0, 32, (2, 64), generator=torch.Generator().manual_seed(2))
    for mask, y, x in zip(outside[:, 0], *centres.tolist(), strict=True):
        expected = torch.ones(32, 32, dtype=torch.bool)
        expected[max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8] = False
        assert torch.equal(mask, expected)
    white = torch.full((16, 3, 32, 32), 255, dtype=torch.uint8)
    black = (augmented(white, "autoaugment-cutout", PLAIN, torch.Generator().manual_seed(0)) == 0).all(1)
    assert all(int(each.sum()) >= 64 for each in black)
