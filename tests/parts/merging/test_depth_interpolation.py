"""Weights between two checkpoints by depth, coefficients of groups of blocks, the factor of merged vectors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.merging import (
    added,
    averaging_coefficients,
    groups_of,
    interpolated,
    lines_factors,
    multi_task_alpha,
    scaled,
)

NAMES = ["cls_token", *(f"blocks.{block}.norm1.weight" for block in range(5)), "norm.weight"]


def checkpoint(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(4, 3, generator=generator) for name in NAMES}


def test_factors_of_0_and_1_give_either_checkpoint_bit_for_bit() -> None:
    one, two = checkpoint(0), checkpoint(1)
    for factor, wanted in ((0.0, one), (1.0, two)):
        found = interpolated(one, two, dict.fromkeys(NAMES, factor))
        assert all(torch.equal(found[name], wanted[name]) for name in NAMES)


def test_an_interpolation_adds_the_scaled_task_vector() -> None:
    one, two = checkpoint(0), checkpoint(1)
    factors = lines_factors(NAMES, 0.25, 1.5)
    found = interpolated(one, two, factors)
    wanted = added(one, scaled({name: two[name] - one[name] for name in NAMES}, factors))
    for name in NAMES:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-5)


def test_integers_are_left_out_and_variances_stay_at_least_0() -> None:
    name = "layer1.0.bn1.running_var"
    one = {name: torch.tensor([1.0, 1.0]), "layer1.0.bn1.num_batches_tracked": torch.tensor(3)}
    two = {name: torch.tensor([0.1, 2.0]), "layer1.0.bn1.num_batches_tracked": torch.tensor(5)}
    assert interpolated(one, two, {name: 2.0})[name].tolist() == [0.0, 3.0]
    assert list(interpolated(one, two, {name: 2.0})) == [name]


def test_a_tensor_without_a_factor_or_an_origin_is_refused() -> None:
    one, two = checkpoint(0), checkpoint(1)
    for call in (lambda: scaled(one, {}), lambda: interpolated(one, two, {})):
        with pytest.raises(UsageError, match=r"^tensor 'blocks\.0\.norm1\.weight' has no factor; give one for each"):
            call()
    with pytest.raises(UsageError, match=r"^the origin has no tensor 'blocks\.0\.norm1\.weight'"):
        interpolated({}, two, dict.fromkeys(NAMES, 0.5))


def test_the_last_group_has_the_rest_of_the_blocks() -> None:
    assert list(groups_of(NAMES, 2).values()) == [0, 0, 0, 1, 1, 1, 1]
    assert list(groups_of(NAMES, 3).values()) == [0, 0, 1, 2, 2, 2, 2]
    with pytest.raises(UsageError, match="6 coefficients cannot be spread over 5 blocks; give 1 to 5"):
        groups_of(NAMES, 6)


def test_coefficients_keep_their_mean_and_are_at_most_1() -> None:
    raw = torch.tensor([-3.0, 0.0, 2.0])
    found = averaging_coefficients(raw, 0.2, 0.1)
    assert float(found.mean()) == pytest.approx(0.2) and bool((found[1:] > found[:-1]).all())
    assert averaging_coefficients(torch.zeros(4), 0.3).tolist() == pytest.approx([0.3] * 4)
    near = averaging_coefficients(raw, 0.2, 100.0)
    assert float(near.std()) < 0.01, "a large epsilon keeps coefficients near their mean"
    assert float(averaging_coefficients(torch.tensor([-50.0, 50.0]), 0.9).max()) == 1.0


def test_the_factor_of_a_merged_vector_is_a_ratio_of_absolute_sums() -> None:
    total = {"blocks.0.weight": torch.tensor([3.0, -3.0]), "norm.weight": torch.tensor([6.0])}
    merged = {"blocks.0.weight": torch.tensor([1.0, 1.0]), "norm.weight": torch.tensor([-1.0])}
    assert multi_task_alpha(total, merged, 2) == pytest.approx(12 / 3 / 2)
    assert multi_task_alpha(total, total, 4) == pytest.approx(1 / 4), "task arithmetic"
    with pytest.raises(UsageError, match="the merged task vector is zero"):
        multi_task_alpha(total, {"norm.weight": torch.zeros(2)}, 2)
