"""Batches with more than one version of an image: two views, quarter turns, and mixes of two classes.

Turned and mixed images may have labels of their own, called pseudo-classes; they are used in training only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from cl.backbone.devices import ahead, to_device
from cl.training.augment import augment
from cl.training.batches import Batch, ImageBatches, Rng, Source, without_single

PSEUDO = ("rotations", "mixes", "none")
"""Pseudo-classes: three quarter turns of each class; each pair of classes; none."""

TURNS = 3
"""Quarter turns besides the upright image."""


def pseudo_classes(kind: str, classes: int) -> int:
    """How many pseudo-classes `classes` classes have."""
    return {"rotations": TURNS * classes, "mixes": classes * (classes - 1) // 2, "none": 0}[kind]


def turned(images: Tensor) -> Tensor:
    """Square images [B, C, s, s] after one, two and three quarter turns, [3 B, C, s, s]."""
    return torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(1, TURNS + 1)])


def pair_labels(one: Tensor, two: Tensor, classes: int) -> Tensor:
    """The pseudo-class of a mix of two classes [B]: `classes` plus the number of the pair, in the order (0, 1), (0, 2),
    ..., (1, 2), ...; a mix within a class keeps its label."""
    low, high = torch.minimum(one, two), torch.maximum(one, two)
    return torch.where(low == high, one, classes + (2 * classes - low - 1) * low // 2 + (high - low) - 1)


def mixed(images: Tensor, labels: Tensor, partner: Tensor, drawn: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Each image mixed with image `partner` [B] of the batch, and the labels of the mixes; shapes are those of a batch.

    `drawn` [B] are shares of the image itself. A share outside of 0.4 to 0.6 is replaced by one half, so that both
    classes can be seen (Peng et al. 2022, ALICE).
    """
    shares = torch.where((drawn < 0.4) | (drawn > 0.6), 0.5, drawn).to(images.dtype).view(-1, 1, 1, 1)
    return shares * images + (1 - shares) * images[partner], pair_labels(labels, labels[partner], classes)


def drawn_mixes(count: int, generator: torch.Generator, alpha: float = 20.0) -> tuple[Tensor, Tensor]:
    """Partners, a permutation, and shares from Beta(alpha, alpha), of `count` images."""
    partner = torch.randperm(count, generator=generator)
    seed = int(torch.randint(2**63 - 1, (1,), generator=generator))
    return partner, torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count))


class TwoViews(ImageBatches):
    """Shuffled images, each augmented twice: `x` has all first views, then all second ones; labels and rows repeat."""

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        chosen = ((self._pixels(index), self.labels[index], index) for _, index in self._indices(rng, start))
        for step, (pixels, labels, rows) in enumerate(ahead(chosen, self.device), start):
            views = [
                augment(pixels, self.augment, self.transform, rng(name, step)) for name in ("augment", "second view")
            ]
            yield Batch(torch.cat(views), labels.repeat(2), rows.repeat(2))


class Extended:
    """The batches of `source` with `mixes` mixes and, if `turns`, three quarter turns of each image behind them.

    A batch of B images in `views` views is [views, mixes, turns]: views B, mixes B and 3 B rows; mixes and turns are
    made of the first views. Turn k of class c has the label k classes + c. Mixes have those of `pair_labels`.
    """

    def __init__(self, source: Source, classes: int, *, views: int = 1, mixes: int = 0, turns: bool = False) -> None:
        self.source, self.classes, self.views, self.mixes, self.turns = source, classes, views, mixes, turns

    @property
    def steps(self) -> int:
        return self.source.steps

    @property
    def copies(self) -> int:
        """Rows of a batch per image."""
        return self.views + self.mixes + (TURNS if self.turns else 0)

    def without_single(self) -> Extended:
        """The same for a source whose last batch of one item is part of the batch before."""
        source = without_single(self.source)
        return Extended(source, self.classes, views=self.views, mixes=self.mixes, turns=self.turns)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for step, batch in enumerate(self.source.epoch(epoch, rng, start), start):
            count = len(batch) // self.views
            first, labels = batch.x[:count], batch.y[:count]
            x, y = [batch.x], [batch.y]
            for number in range(self.mixes):
                partner, shares = (to_device(t, first.device) for t in drawn_mixes(count, rng("mix", step, number)))
                blend, names = mixed(first, labels, partner, shares, self.classes)
                x.append(blend)
                y.append(names)
            if self.turns:
                x.append(turned(first))
                y += [labels + turn * self.classes for turn in range(1, TURNS + 1)]
            yield Batch(torch.cat(x), torch.cat(y))
