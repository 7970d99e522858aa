"""TIES merging, applied as models arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cl.bases.merged import MergingAll
from cl.parts.merging import Weights, ties
from cl.strategy import option, scales


class TIES(MergingAll):
    """Trim, elect sign and merge: only large changes survive, and only those whose sign most tasks agree on.

    Name: TIES-Merging
    Paper: Yadav, Tam, Choshen, Raffel, Bansal. TIES-Merging: Resolving Interference When Merging Models. NeurIPS 2023,
        arXiv 2306.01708; in sequence as a baseline of OPCM (arXiv 2501.09522).
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network, from the pretrained weights, for every task.
    Stores: the merged task vector; with `keeps=all` also those of all tasks (each the size of the network, or less:
        `form`).
    Cost: three passes over the vectors per task; one forward pass per test image.
    Differences from the paper: heads as in `cl.bases.merged`, because there is no text encoder. The scale is an option
        instead of a choice on validation images of all tasks. `keeps=merged` is the sequential baseline of OPCM: the
        new vector is merged with the merged one, and as in its code the result is added to the merged one again
        (`adds`); without this the result replaces it. Running statistics of batch norms are trimmed and merged like
        parameters.
    """

    @dataclass(frozen=True)
    class Options(MergingAll.Options):
        keep: float = option(0.2, "share of the values of a task vector that are merged, the largest", gt=0, le=1)
        how: str = option("sum", "how values of the elected sign are merged", choices=("mean", "sum", "max"))
        scale: float = option(
            0.5, "factor of the merged vector; 0.5 in OPCM's baseline", ge=0, search=scales.linear(0.1, 2.0)
        )
        keeps: str = option(
            "merged",
            "vectors that are kept: that of every task, or the merged one, which the next is merged with",
            choices=("all", "merged"),
        )
        adds: bool = option(True, "keeps=merged: add the result to the merged vector, as the code of the baseline does")

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        o, before = self.options, self.merged.values
        if o.keeps == "all":
            self.vectors.add(vector)
            return self._times(ties(self.vectors, o.keep, o.how))
        step = self._times(ties([before, vector], o.keep, o.how) if before else vector)
        return {name: before[name] + change for name, change in step.items()} if before and o.adds else step

    def _times(self, vector: Weights) -> dict[str, Tensor]:
        return {name: self.options.scale * change for name, change in vector.items()}
