"""Model Stock: the angle between fine-tunings of a task tells how far to move from the weights they started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cl.bases.merged import Merging
from cl.parts.merging import Weights, added, average, model_stock, running_average
from cl.strategy import TaskSize, Work, option


class ModelStock(Merging):
    """Merges fine-tunings of every task with their anchor, layer by layer, by the angle between them.

    Name: Model Stock
    Paper: Jang, Yun, Han. Model Stock: All We Need Is Just a Few Fine-tuned Models. ECCV 2024, arXiv 2403.19522.
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network, `models` times per task with other orders of the images and other augmentations; a linear
        head the first time only.
    Stores: the merged task vector (the size of the network); during a task also one vector per fine-tuning.
    Cost: `models` times the training; one forward pass per test image.
    Differences from the paper: its code was not released. It merges fine-tunings of one task and does not say what
        happens in a sequence: `anchor=previous` starts a task from the merged network, which is also the anchor;
        `anchor=pretrained` starts from the pretrained weights and averages the tasks. Heads as in `cl.bases.merged`,
        outside of the merge. A negative cosine counts as 0. The variant that merges after every epoch is not built.
        `how=average` is the uniform model soup that the paper compares with (Wortsman et al. 2022, arXiv 2203.05482):
        the mean of the fine-tunings of a task, without the anchor.
    """

    @dataclass(frozen=True)
    class Options(Merging.Options):
        models: int = option(2, "fine-tunings of each task", ge=2)
        how: str = option(
            "angle",
            "merge of the fine-tunings: their mean moved towards the anchor by their angle, or the mean itself",
            choices=("angle", "average"),
        )
        anchor: str = option(
            "previous", "weights that a task starts from and is merged with", choices=("previous", "pretrained")
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return super().work(options, task) * options.models

    @property
    def trainings(self) -> int:
        return self.options.models

    def begin(self) -> None:
        super().begin()
        if self._sequential:
            self.backbone.set_state(dict(self.origin()))

    def origin(self) -> Mapping[str, Tensor]:
        return added(super().origin(), self.merged.values) if self._sequential else super().origin()

    def combined(self, vectors: Sequence[Weights]) -> Weights:
        return model_stock(vectors) if self.options.how == "angle" else average(vectors)

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
