"""LiNeS: after each task, the change of the weights is scaled up with depth, so shallow layers change least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cl.bases.rescaled import Rescaled
from cl.parts.merging import interpolated, lines_factors
from cl.strategy import CHUNK, ImageSet, Inputs, Needs, StreamInfo, View, option, scales
from cl.training import state

ALPHAS = tuple(tenths / 10 for tenths in range(10, -1, -1))
"""The values to choose from, in the order of the authors' code: of equally good ones, the first wins."""


class LiNeS(Rescaled):
    """Layer-increasing scaling: block l of L keeps alpha + beta l / (L - 1) of what a task changed in it.

    Name: LiNeS
    Paper: Wang, Dimitriadis, Favero, Ortiz-Jimenez, Fleuret, Frossard. LiNeS: Post-training Layer Scaling Prevents
        Forgetting and Enhances Model Merging. ICLR 2025, arXiv 2410.17146.
    Family: merging
    Networks: vit, cnn, random
    Gradients: whole
    Trains: what the base trains, as the base does; the scaling is an edit after each task.
    Stores: what the base stores; with `anchor=pretrained` also the pretrained weights.
    Cost: one forward pass per test image. `choose` encodes the task's validation images eleven times more.
    Differences from the paper: a transplant to streams; the paper edits one fine-tuning of CLIP (anchor: pretrained) or
        a merged vector. By default the anchor is the network before the task, so scaled changes add up over tasks.
        Tensors outside of blocks (embeddings, final norm) get alpha, as in the code. The paper chooses alpha by 2 x the
        target accuracy (over that of the fine-tuned network) + the control accuracy on other data sets (over that of
        the pretrained network). Here `choose` does so on the task's held-out validation images, of the task's classes
        for the target. A stream allows no other data, so the control is the share of these images whose answer among
        earlier classes is still that of the network before the task; in the first task the target decides alone.
        For merged vectors, LiNeS is the option `lines` of the strategies that merge (`cl.bases.merged`).
    """

    @dataclass(frozen=True)
    class Options(Rescaled.Options):
        alpha: float = option(
            0.5, "factor of the change in the first block and outside of blocks", ge=0, le=1,
            search=scales.linear(0.0, 1.0),
        )  # fmt: skip
        beta: float | None = option(None, "added to alpha in the last block; none: 1 - alpha", ge=0)
        choose: bool = option(
            False, "choose alpha from 0, 0.1, ..., 1 in every task on its validation images (set stream.val_fraction)"
        )
        target_weight: float = option(2.0, "choose: weight of the accuracy on the task", ge=0)

        def __post_init__(self) -> None:
            if self.choose and self.beta is not None:
                raise ValueError(f"beta={self.beta} is not read with choose=true, where beta is 1 - alpha.")

    @classmethod
    def needs(cls, options: Any) -> Needs:
        base = super().needs(options)
        return replace(base, validation=True, purpose="to choose alpha by") if options.choose else base

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.alphas: list[float] = []  # of each task

    def learn(self, view: View) -> None:
        if self.options.choose and view.val is not None:
            images = view.val
            self._answers = self.compute("answers before the task", lambda: self._scores(images))
        super().learn(view)
        self._answers = torch.empty(0)  # it grows with the images

    def factors(self, view: View, anchor: Mapping[str, Tensor]) -> dict[str, float]:
        o, alpha = self.options, self.options.alpha
        if o.choose:
            alpha = self.compute("choice of alpha", lambda: self._best(view, anchor))
        self.alphas = [*self.alphas, alpha]
        return lines_factors(self._names, alpha, 1 - alpha if o.beta is None else o.beta)

    def report(self) -> dict[str, float]:
        """The alpha of every task."""
        return {**self.base.report(), **{f"task{task}.alpha": alpha for task, alpha in enumerate(self.alphas)}}

    def _best(self, view: View, anchor: Mapping[str, Tensor]) -> float:
        """The alpha with the best sum of target and control; the network is as trained afterwards."""
        assert view.val is not None
        trained, labels, classes = state.clone(self.tensors()), view.val.labels, torch.tensor(view.classes)
        targets, controls = [], []
        for alpha in ALPHAS:
            self.load(interpolated(anchor, trained, lines_factors(self._names, alpha, 1 - alpha)))
            scores = self._scores(view.val)
            targets.append(float((classes[scores[:, classes].argmax(1)] == labels).float().mean()))
            controls.append(self._agreement(scores))
        self.load(trained)
        return ALPHAS[tradeoff(targets, controls, self.options.target_weight, 1 / len(labels))]

    def _agreement(self, scores: Tensor) -> float:
        """Share of images whose best class among those seen before the task is what it was before the task."""
        before: Tensor = self._answers
        if before.shape[1] == 0:
            return 1.0
        return float((scores[:, : before.shape[1]].argmax(1) == before.argmax(1)).float().mean())

    @torch.no_grad()
    def _scores(self, images: ImageSet) -> Tensor:
        parts = torch.arange(len(images)).split(CHUNK)
        return torch.cat([self.base.predict(Inputs(images.pixels(part), self.device)).cpu() for part in parts])


def tradeoff(targets: Sequence[float], controls: Sequence[float], weight: float, least: float = 0.0) -> int:
    """The first place with the largest weight * target / (target of the first place) + control.

    The first place has the network as trained; its target counts as at least `least`.
    """
    normal = max(targets[0], least)
    sums = [weight * (target / normal) + control for target, control in zip(targets, controls, strict=True)]
    return sums.index(max(sums))
