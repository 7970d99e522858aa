"""Soft masks: major and minor weights, and the gradients through both."""

from __future__ import annotations

import pytest
import torch

from cl.parts.weights.masks import best
from cl.parts.weights.soft_masks import Redrawn, SoftScores
from cl.testing import tiny_backbone
from cl.training.batches import TensorBatches, without_single
from cl.training.generators import generator


def test_major_weights_have_the_largest_scores_and_minor_ones_a_value_below_one() -> None:
    backbone = tiny_backbone()
    scores = SoftScores(backbone, generator(0, "scores"))
    scores.redraw(generator(0, "minor"))
    with torch.no_grad():
        chosen = scores.choose(0.7)
    for mask, values, soft in zip(chosen, scores.values, scores.soft(), strict=True):
        assert torch.equal(mask, soft) and bool(((mask >= 0) & (mask <= 1)).all())
        major = mask == 1
        assert torch.equal(major, best(values, 0.7))
        assert float(major.float().mean()) == pytest.approx(0.7, abs=1 / mask.numel() + 1e-6)
        minor = mask[~major]
        assert len(minor.unique()) > 0.9 * len(minor)  # drawn one by one
        if len(minor) > 100:
            assert float(minor.mean()) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("gradient", ["score", "size"])
def test_gradients_pass_to_weights_by_their_mask_and_straight_to_all_scores(gradient: str) -> None:
    backbone = tiny_backbone()
    scores = SoftScores(backbone, generator(0, "scores"), gradient=gradient).requires_grad_(True)
    scores.redraw(generator(0, "minor"))
    backbone.requires_grad_(True)
    masks = scores.choose(0.7)
    effective = [weight * mask for weight, mask in zip(scores.weights(backbone), masks, strict=True)]
    upstream = [torch.randn(w.shape, generator=generator(i, "g")) for i, w in enumerate(effective)]
    sum((w * g).sum() for w, g in zip(effective, upstream, strict=True)).backward()  # type: ignore[union-attr]
    for weight, values, g, soft in zip(scores.weights(backbone), scores.values, upstream, scores.soft(), strict=True):
        torch.testing.assert_close(weight.grad, g * soft)
        sign = values.detach().sign() if gradient == "size" else 1.0
        torch.testing.assert_close(values.grad, g * weight.detach() * sign)


def test_a_source_of_redrawn_masks_merges_a_last_batch_of_one() -> None:
    scores = SoftScores(tiny_backbone(), generator(0, "scores"))
    source = TensorBatches(torch.zeros(9, 1), torch.arange(9), 4)
    merged = without_single(Redrawn(source, scores, every="step", soft_from=1))
    assert isinstance(merged, Redrawn) and (merged.every, merged.soft_from) == ("step", 1)

    def rng(*purpose: str | int) -> torch.Generator:
        return generator(0, *purpose)

    assert merged.steps == 2 and [len(batch) for batch in merged.epoch(0, rng)] == [4, 5]
