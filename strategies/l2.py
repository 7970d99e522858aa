"""L2: fine-tuning with a penalty on the distance from earlier weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cl.bases.regularized import Regularized
from cl.parts.statistics import Anchors
from cl.strategy import StreamInfo, UsageError, View, option, scales


class L2(Regularized):
    """L2 regularisation: fine-tuning with a penalty on the squared distance from the weights before the task.

    Name: L2
    Paper: Smith, Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual Learning. CVPR 2023 workshop
        CLVision, arXiv 2203.17269. `trains=qkv` (preset `l2-attn`) is its variant for Vision Transformers. The penalty
        with `anchor=learned` is the L2 of Hsu et al. 2018, arXiv 1810.12488.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone, or the query, key and value projections of its attention blocks, and one linear head. The
        penalty reg * sum_p (p - anchor_p)^2 applies to the trained parameters of the backbone, not to the head.
    Stores: one copy of the penalised parameters (ViT-B: 343 MB; projections only: 85 MB).
    Cost: one forward pass per test image; training costs as much as fine-tuning.
    Differences from the paper: the learning rates and reg for Vision Transformers were not available to us; the preset
        marks our values. Adam rescales the gradient of the penalty, so reg depends on the optimiser.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        reg: float = option(
            0.05, "weight of the penalty (lambda_reg); 0.05 for SGD in Smith et al.'s code", ge=0,
            search=scales.log(1e-3, 100.0),  # on the first two or three tasks, as the paper prescribes
        )  # fmt: skip
        anchor: str = option(
            "previous",
            "penalise the distance from the weights before each task (previous), or from the pretrained weights "
            "(initial); learned: as previous, but no penalty in the first task",
            choices=("previous", "initial", "learned"),
        )

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.anchors = Anchors(self.device)
        if not self.tuned():
            raise UsageError(
                f"l2 has nothing to hold: trains={self.options.trains} trains nothing of backbone "
                f"{self.backbone.identity['name']}; set trains=all."
            )
        if self.options.anchor != "learned":
            self.anchors.hold(self.anchored())

    def penalty(self) -> Tensor | None:
        distance = self.anchors.penalty(self.tuned()) if self.options.reg else None
        return None if distance is None else self.options.reg * distance

    def remember(self, view: View) -> None:
        super().remember(view)
        if self.options.anchor != "initial":
            self.anchors.hold(self.anchored())
