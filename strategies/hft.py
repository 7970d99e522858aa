"""Half fine-tuning: in every task a random half of the network trains, and the other half rests."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cl.bases.fine_tuning import FineTuning
from cl.parts.weights import Half, drawn, units_of
from cl.strategy import SETTINGS, StreamInfo, View, option, schedule
from cl.training.optim import optimizer


class HFT(FineTuning):
    """Sequential fine-tuning of a random half of the matrices, drawn anew for every task.

    Name: HFT
    Paper: Hui, Zhang, Wang, Xu, Sun, Wu. HFT: Half Fine-Tuning for Large Language Models. 2024, arXiv 2404.18466 (ACL
        2025).
    Family: baselines
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: by category, two of the four matrices of the attention (queries, keys, values, projection) and one of the
        two of the MLP in every block, and half of the norms; by layer, half of the blocks; by model, half of all
        matrices and half of the norms. Embeddings and the head train always. A bias goes with its matrix.
    Stores: only the model.
    Cost: one forward pass per test image. Training needs no gradients, moments or updates of matrices at rest. Queries,
        keys and values are one tensor in timm, whose gradient is computed if one of the three trains.
    Differences from the paper: of its text we know the abstract and summaries, and no official code ran here; the
        categories are those of a summary. The paper trains language models, whose MLP has three matrices: one of them
        trains in half of the blocks and two in the others. An MLP of two has one in every block. Here a Vision
        Transformer learns tasks one after the other. In other networks every layer with weights is a block of its own,
        and only `select=layer` and `select=model` are possible; batch norms at rest keep their statistics.
    """

    settings = SETTINGS
    interpolates = False

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        trains: str = option("all", "train half of the backbone, and the head", choices=("all",))
        select: str = option(
            "category", "draw matrices within their category and block, whole blocks, or any matrices of the model",
            choices=("category", "layer", "model"),
        )  # fmt: skip
        share: float = option(0.5, "share that trains; 1 is sequential fine-tuning", gt=0, le=1)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._drawn(torch.Generator())  # a network without categories is refused before anything is trained

    def learn(self, view: View) -> None:
        o = self.options
        half = self._drawn(self.rng("half"))
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.fit(
            "train",
            self._data([view.train]),
            lambda batch: self.objective(batch, view.classes),
            [
                {"params": half.parameters, "lr": o.lr * o.backbone_lr_scale},
                {"params": self.head.parameters(), "lr": o.lr},
            ],
            epochs=o.epochs,
            optimizer=optimizer(o.optimizer, o.lr, o.weight_decay, o.momentum),
            schedule=schedule(o.schedule, o.milestones, o.gamma),
            before_step=half.before_step,
            after_step=half.after_step,
        )

    def _drawn(self, rng: torch.Generator) -> Half:
        """The half of a task."""
        o, units = self.options, units_of(self.backbone)
        chosen = drawn(units, o.select, o.share, rng, self.backbone.identity["name"])
        return Half(self.backbone, units, chosen)
