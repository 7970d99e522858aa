"""Pairwise layer: a head of products of sparse features, each for one class, learned in one pass without tasks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cl.bases.accumulating import Accumulating
from cl.parts.activations import altered, gelu, replace_activations, winners
from cl.parts.heads.pairwise import PairwiseHead
from cl.strategy import Extractor, StreamInfo, UsageError, option


class Pairwise(Accumulating):
    """Few features are active, and every pair of them speaks for one class only, so classes share few weights.

    Name: Pairwise
    Paper: Keskinen. Task agnostic continual learning with Pairwise layer architecture. 2024, arXiv 2405.13632.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the whole network and `weights` weights of the head, by cross-entropy over all classes. Features become
        relu(x - v), with v the k-th largest of an image, k = wta * dim. A step is lr g / sqrt(Omega + 1e-6); Omega is
        the sum over all steps of decay |d mean(logits^2) / d theta| (S-MAS, no labels) or of decay g^2 (Adagrad).
    Stores: Omega, a number per parameter; an index per weight of the head.
    Cost: one forward pass per test image; S-MAS a second backward pass per step. The head computes products of active
        features only.
    Differences from the paper: trainings are compared with skeskinen/pairwise_online_learning @b582770. The pairs are
        in a fixed random order, but PyTorch's, not JAX's. As there, activations of the network are GELU; the network is
        the backbone. Its "mh" variants, which multiply logits by a mask of the task in training, are left out.
    """

    @dataclass(frozen=True)
    class Options(Accumulating.Options):
        optimizer: str = option("s-mas", "what the steps are divided by", choices=("adagrad", "s-mas", "sgd"))
        decay: float = option(0.01, "factor of what is added to the sums in a step (Adagrad: 0.8)", gt=0)
        wta: float = option(0.15, "share of the features that is active", gt=0, le=1)
        weights: int = option(250_000, "weights of the head; 0: one per pair", ge=0)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o, dim = self.options, self.backbone.dim
        self._count = int(o.wta * dim)
        if self._count < 3:
            raise UsageError(
                f"wta={o.wta} of {dim} features leaves {max(self._count - 1, 0)} active, and a pair needs two; set "
                f"wta={3 / dim + 5e-3:.2f} or more, or choose a network with more features."
            )
        pairs = dim * (dim - 1) // 2
        if (o.weights or pairs) < info.n_classes:
            raise UsageError(
                f"weights={o.weights} gives no pair to some of the {info.n_classes} classes; set weights="
                f"{info.n_classes} or more{', or 0 for all pairs' if pairs >= info.n_classes else ''}."
            )
        replace_activations(self.backbone, gelu)
        self.head = PairwiseHead(dim, info.n_classes, o.weights, self.init_rng("head")).to(self.device)

    def logits(self, features: Tensor) -> Tensor:
        return super().logits(winners(features, self._count))

    def extractor(self) -> Extractor:
        return altered(self.backbone, "pairwise")
