"""Class means that are updated as images arrive."""

from __future__ import annotations

import torch

from cl.parts.heads.prototypes import add_to_means, class_means


def test_running_means_are_means() -> None:
    features, labels = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 5
    means, counts = torch.empty(0, 4), torch.empty(0, dtype=torch.long)
    for part in ([0, 5, 10, 1], [2, 3], list(range(11, 60)), [4, 6, 7, 8, 9]):
        classes = tuple(sorted(set(labels[part].tolist())))
        means, counts = add_to_means(means, counts, features[part], labels[part], classes)
    assert counts.tolist() == [12] * 5
    assert torch.allclose(means, class_means(features, labels, range(5)), atol=1e-6)
