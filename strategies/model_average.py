"""Model averaging: the mean of the networks of all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cl.bases.merged import Merging
from cl.parts.merging import Weights, running_average


class ModelAverage(Merging):
    """The running mean of the fine-tuned networks of all tasks so far.

    Name: Model averaging
    Paper: Wortsman et al. Model Soups: Averaging Weights of Multiple Fine-tuned Models Improves Accuracy without
        Increasing Inference Time. ICML 2022, arXiv 2203.05482; in sequence as a baseline of OPCM (arXiv 2501.09522).
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network, from the pretrained weights, for every task.
    Stores: the merged task vector (the size of the network).
    Cost: one interpolation per task; one forward pass per test image.
    Differences from the paper: a soup averages fine-tunings of one task, this method networks of different tasks. Heads
        as in `cl.bases.merged`, because there is no text encoder.
    """

    @dataclass(frozen=True)
    class Options(Merging.Options):
        """The options of `cl.bases.merged`."""

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        return running_average(self.merged.values, vector, self.head_count) if self.merged.values else vector
