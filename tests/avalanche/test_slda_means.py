"""Streaming LDA: means of frozen features."""

from __future__ import annotations

from typing import Any

import torch

from cl.strategies.avalanche import AvalancheSLDA
from tests.conftest import make, tiny_stream


def test_slda_has_the_means_of_frozen_features(learn: Any) -> None:
    stream, learner = tiny_stream(), make(AvalancheSLDA)
    learn(learner, stream, 2)
    view = stream.view(1)
    features, labels = learner.encode(view.train), view.train.labels
    expected = torch.stack([features[labels == position].mean(0) for position in view.classes])
    torch.testing.assert_close(learner.statistics["muK"][list(view.classes)], expected, rtol=1e-4, atol=1e-4)
    assert learner.statistics["num_updates"] == 2 * len(view.train) and learner.backbone.is_pristine
