"""Task arithmetic: the sum of all task vectors, times one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cl.bases.merged import Merging
from cl.parts.merging import Weights
from cl.strategy import option, scales


class TaskArithmetic(Merging):
    """Task arithmetic applied as models arrive: `scale` times every task vector is added to the pretrained weights.

    Name: Task Arithmetic
    Paper: Ilharco, Ribeiro, Wortsman, Gururangan, Schmidt, Hajishirzi, Farhadi. Editing Models with Task Arithmetic.
        ICLR 2023, arXiv 2212.04089; in sequence as a baseline of OPCM (arXiv 2501.09522).
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network, from the pretrained weights, for every task.
    Stores: the merged task vector (the size of the network).
    Cost: one addition per task; one forward pass per test image.
    Differences from the paper: heads as in `cl.bases.merged`, because there is no text encoder. The paper chooses the
        scale on validation images of all tasks; here it is an option.
    """

    @dataclass(frozen=True)
    class Options(Merging.Options):
        scale: float = option(
            0.3, "factor of every task vector; 0.3 in OPCM's baseline", ge=0, search=scales.linear(0.1, 1.0)
        )

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        before = self.merged.values
        return {name: self.options.scale * change + (before[name] if before else 0) for name, change in vector.items()}
