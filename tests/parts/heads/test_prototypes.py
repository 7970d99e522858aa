"""Class means and the cosine head."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from cl.parts.heads.prototypes import CosineHead, class_means, cosines


def test_class_means_do_not_depend_on_the_order_of_images() -> None:
    rng = torch.Generator().manual_seed(0)
    features, labels = 1000 + torch.randn(300, 4, generator=rng), torch.arange(300) % 3
    means = class_means(features, labels, (2, 0))
    assert means.dtype == torch.float32 and means.shape == (2, 4)
    order = torch.randperm(300, generator=rng)
    assert torch.equal(class_means(features[order], labels[order], (2, 0)), means)
    expected = features.double()[labels == 2].mean(0).float()
    assert torch.equal(means[0], expected)


def test_the_cosine_head_scales_cosines_and_ignores_lengths() -> None:
    head = CosineHead(16, 5, torch.Generator().manual_seed(0))
    assert float(head.weight.abs().max()) <= 0.25 and float(head.weight.abs().max()) > 0.2, "U(-1/4, 1/4)"
    features = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        head.scale.fill_(3.0)
    for row, logits in zip(features, head(features), strict=True):
        by_hand = torch.stack([3 * F.cosine_similarity(row, weight, dim=0) for weight in head.weight])
        torch.testing.assert_close(logits, by_hand)
    torch.testing.assert_close(head(10 * features), head(features))
    torch.testing.assert_close(cosines(features, head.weight), head(features) / 3)
