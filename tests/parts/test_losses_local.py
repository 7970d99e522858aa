"""The local cross-entropy against a masked softmax."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from cl.parts.losses import local_cross_entropy


def test_local_cross_entropy_is_the_masked_softmax() -> None:
    logits, labels = torch.randn(6, 7), torch.tensor([2, 5, 5, 2, 3, 3])
    logits.requires_grad_(True)
    masked = logits.detach().clone()
    masked[:, [0, 1, 4, 6]] = float("-inf")
    loss = local_cross_entropy(logits, labels, (2, 3, 5))
    assert torch.allclose(loss, F.cross_entropy(masked, labels))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[:, [0, 1, 4, 6]] == 0).all()
