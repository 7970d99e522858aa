"""L2: fine-tuning held near the weights of the last task."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cl.bases.regularized import Regularized
from cl.parts.statistics import Anchors
from cl.strategy import StreamInfo, UsageError, View, option


class L2(Regularized):
    """L2 regularisation: fine-tuning that pays for every squared distance from the weights before the task.

    Paper: Smith, Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual Learning. CVPR 2023 workshop
        CLVision, arXiv 2203.17269. `trains=qkv` (preset `l2-attn`) is its variant for Vision Transformers. The penalty
        with `anchor=learned` is the L2 of Hsu et al. 2018, arXiv 1810.12488.
    Trains: the backbone, or the query, key and value projections of its attention blocks, and one linear head. The
        penalty reg * sum_p (p - anchor_p)^2 is on what is trained of the backbone, never on the head.
    Stores: one copy of what is held (ViT-B: 343 MB; projections alone 85 MB).
    Cost: one forward per test image; training costs what fine-tuning costs.
    Differences from the paper: its learning rates and reg for Vision Transformers could not be read; the preset
        marks ours. With Adam the penalty's gradient is rescaled by the optimiser, so reg is tied to the optimiser.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        reg: float = option(0.05, "weight of the penalty (lambda_reg); 0.05 for SGD in Smith et al.'s code", ge=0)
        anchor: str = option(
            "previous",
            "hold at the weights before each task; at the pretrained ones; as 'previous', but free in the first task",
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
