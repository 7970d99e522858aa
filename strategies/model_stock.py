"""Model Stock: two fine-tunings of a task tell how far to move from the weights they started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from cl.bases.merged import Merging
from cl.parts.merging import Weights, added, model_stock, running_average
from cl.strategy import option


class ModelStock(Merging):
    """Merges two fine-tunings of every task with their anchor, layer by layer, by the angle between them.

    Paper: Jang, Yun, Han. Model Stock: All We Need Is Just a Few Fine-tuned Models. ECCV 2024, arXiv 2403.19522.
    Trains: the whole network, twice per task with other orders of the images; a linear head the first time only.
    Stores: the merged task vector (the size of the network).
    Cost: twice the training; one forward pass per test image.
    Differences from the paper: its code was not released. It merges fine-tunings of one task and does not say what
        happens in a sequence: `anchor=previous` starts a task from the merged network, which is also the anchor;
        `anchor=pretrained` starts from the pretrained weights and averages the tasks. Heads as in `cl.bases.merged`,
        outside of the merge. A negative cosine counts as 0. The variant that merges after every epoch is not built.
    """

    trainings = 2

    @dataclass(frozen=True)
    class Options(Merging.Options):
        anchor: str = option(
            "previous", "weights that a task starts from and is merged with", choices=("previous", "pretrained")
        )

    def begin(self) -> None:
        super().begin()
        if self._sequential:
            self.backbone.set_state(dict(self.origin()))

    def origin(self) -> Mapping[str, Tensor]:
        return added(super().origin(), self.merged.values) if self._sequential else super().origin()

    def combined(self, vectors: Sequence[Weights]) -> Weights:
        return model_stock(vectors)

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        before = self.merged.values
        if not before:
            return vector
        if self._sequential:
            return {name: before[name] + change for name, change in vector.items()}
        return running_average(before, vector, self.head_count)

    @property
    def _sequential(self) -> bool:
        return self.options.anchor == "previous" and bool(self.merged.values)
