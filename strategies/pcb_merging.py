"""PCB-Merging: the parameters of all task vectors compete; the winners are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cl.bases.merged import MergingAll
from cl.parts.merging import Weights, pcb
from cl.strategy import option, scales


class PCBMerging(MergingAll):
    """Parameter competition balancing, repeated over all task vectors so far after every task.

    Name: PCB-Merging
    Paper: Du, Lee, Li, Jiang, Guo, Yu, Liu, Goh, Tang, He, Zhang. Parameter Competition Balancing for Model Merging.
        NeurIPS 2024, arXiv 2410.02396.
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network, from the pretrained weights, for every task.
    Stores: the merged task vector and those of all tasks (each the size of the network, or less: `form`).
    Cost: order statistics of all vectors per task, which holds two copies of them; one forward pass per test image.
    Differences from the paper: heads as in `cl.bases.merged`, because there is no text encoder. The published method
        merges all models at once; here it merges again after every task. The three scripts of the authors differ: the
        default is the one for vision, `raw` is the form of the other script. Its search for one factor per task on
        validation images is not built; `scale` is the factor of all tasks. Running statistics of batch norms compete
        like parameters. Vectors as signs (`form=ternary`) follow ComPEFT (Yadav et al. 2023, arXiv 2311.13171), whose
        scale is the standard deviation times a factor chosen on validation images; here it is the mean size of the
        values that are kept.
    """

    @dataclass(frozen=True)
    class Options(MergingAll.Options):
        keep: float = option(0.05, "r: share of the parameters of each vector that are merged", gt=0, le=1)
        scale: float = option(1.2, "lambda: factor of every task vector", ge=0, search=scales.linear(0.2, 2.0))
        clip_share: float = option(
            0.01, "sizes are clamped to the order statistics at this share from either end", ge=0, lt=0.5
        )
        raw: bool = option(False, "competition between tasks by the vectors themselves, not by their normalised sizes")

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        o = self.options
        self.vectors.add(vector)
        return pcb(self.vectors, o.keep, o.scale, o.clip_share, raw=o.raw)
