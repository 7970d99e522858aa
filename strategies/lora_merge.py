"""Incremental low-rank updates: a LoRA per task, merged into the weights at the end of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import LoRA, targeted
from cl.parts.heads import GrowingHead
from cl.parts.losses import softened_cross_entropy
from cl.parts.merging import MergedVector, added
from cl.parts.weights import Lent, Teacher, under
from cl.strategy import RECIPES, Batch, Extractor, Inputs, Needs, Strategy, StreamInfo, View, option, scales
from cl.training.optim import WarmupCosine, adamw

MODES = ("merge", "drop", "full", "full_reset")
"""Add the LoRA of every task to the weights; start every task from the pretrained weights, and keep its LoRA only;
train the target weights themselves, task after task; train them from the pretrained weights in every task."""


class LoRAMerge(Strategy):
    """One LoRA per task, merged at its end; or LoRA or the full weights of the same layers, task by task.

    Name: LoRA merging
    Paper: Soutif-Cormerais, Magistri, van de Weijer, Bagdanov. An Empirical Analysis of Forgetting in Pre-trained
        Models with Incremental Low-Rank Updates. CoLLAs 2024, PMLR 274 (2025).
    Family: adapters
    Networks: vit, cnn
    Gradients: parts
    Trains: A and B of one LoRA on the fused qkv of every block of a Vision Transformer (ViT-B: 36,864 r parameters) or
        on conv3 of every block of a ResNet, and the new task's head; with `full`, these weights themselves. With `lwf`,
        earlier heads too. Batch norms keep their pretrained statistics.
    Stores: the sum of the updates of the target weights (ViT-B: 85 MB), one LoRA, and a head per task; with `lwf` also
        the target weights before the task; no images.
    Cost: one forward pass per test image; with `lwf`, a second forward pass per training image.
    Differences from the paper: the ImageNet head of the pretrained network is not kept, so it is neither evaluated nor
        distilled. Merged updates are added to the pretrained weights when the network is lent, so the backbone stays
        pristine. After the task, `drop` predicts all tasks with the newest LoRA, as in the authors' code. In the code,
        `full_reset` also replaces the heads of earlier tasks by new ones; here they stay. LwF uses the logits of the
        training pass where the code runs another. AdamW starts again in every task; the code keeps the moments of
        tensors that stay (mode full, heads with `lwf`). The warm-up and the cosine count real steps, the code whole
        batches only. The code trains a ResNet in evaluation mode, without the dropout of LoRA; `dropout=0` is the same.
        Training images are cropped and mirrored; timm's default also jitters their colours.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(32, "images per step", ge=1)
        lr: float = option(
            1e-3, "highest learning rate (AdamW); warm-up in 1/18 of the steps, then a cosine", gt=0,
            search=scales.log(1e-4, 3e-2),
        )  # fmt: skip
        weight_decay: float = option(1e-2, "weight decay of what is trained; 0 in the code with mode=full", ge=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        mode: str = option("merge", "what a task trains, and what it starts from", choices=MODES)
        targets: tuple[str, ...] = option(
            (), "ends of names of the layers to change; empty: attn.qkv of a Vision Transformer, conv3 of a ResNet"
        )
        rank: int = option(8, "rank of LoRA", ge=1)
        scale: float = option(2.0, "the product B A is multiplied by it: alpha / rank", gt=0)
        dropout: float = option(0.1, "dropout on the inputs of A", ge=0, lt=1)
        lwf: float = option(0.0, "weight of the distillation of earlier heads; 0: none, 5 in the code", ge=0)
        temperature: float = option(2.0, "temperature of the distillation", gt=0)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        o = self.options
        names = o.targets or (("attn.qkv",) if hasattr(self.backbone.model, "blocks") else ("conv3",))
        self._targets = [f"{name}.weight" for name in targeted(self.backbone, names)]
        self.head = GrowingHead(self.backbone.dim, init="linear").to(self.device)
        self.teacher = Teacher(self.backbone.dim).to(self.device) if o.lwf else None
        self.merged = MergedVector(self.device)  # what was added to the pretrained weights
        self._network: tuple[object, Lent] | None = None
        self.lora: LoRA | None = None
        if o.mode in ("merge", "drop"):
            self.lora = LoRA(
                self.backbone, o.rank, names, scale=o.scale, dropout=o.dropout, generator=self.init_rng("lora")
            )
        elif o.mode == "full_reset":
            self.backbone.keep_pretrained()

    def learn(self, view: View) -> None:
        if self.teacher is not None and self.head.classes:
            self.teacher.copy_from(self.backbone, self.head, self.weights())
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        if self.lora is not None:
            self.lora.redraw(self.init_rng("lora"))
        elif self.options.mode == "full_reset":
            self.backbone.reset()
        self._train(view)
        if self.lora is not None:
            self.compute("merge", self._merge)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.extractor()))

    def weights(self) -> dict[str, Tensor]:
        """The target weights of the network that predicts."""
        return added({name: self.backbone.model.get_parameter(name) for name in self._targets}, self.merged.values)

    def extractor(self) -> Extractor:
        """The network that predicts; one object until the weights change, so each image is encoded once per version."""
        if self.lora is None:
            return self.backbone
        if self._network is None or self._network[0] is not self.merged.values:
            lent = Lent(self.backbone, self.weights())
            lent.lasting = False  # earlier versions are not needed again
            self._network = self.merged.values, lent
        return self._network[1]

    def _train(self, view: View) -> None:
        o, head, first = self.options, self.head.blocks[-1], view.classes[0]
        data = self.batches(view.train, o.batch_size, o.augment)
        total = o.epochs * data.steps
        base = self.weights() if o.mode == "merge" else {}
        trained = [self.backbone.model.get_parameter(name) for name in self._targets]

        def features(x: Tensor) -> Tensor:
            if self.lora is None:
                return self.backbone.eval()(x)  # batch norms keep their statistics
            with self.lora.attached(self.backbone):
                return under(self.backbone, base, x)

        def loss(batch: Batch) -> Tensor:
            found = features(batch.x)
            hard = F.cross_entropy(head(found), batch.y - first)
            return hard + o.lwf * self._distillation(batch.x, found) if o.lwf else hard

        self.fit(
            "train",
            data,
            loss,
            [*(trained if self.lora is None else self.lora.parameters()), *(self.head if o.lwf else head).parameters()],
            epochs=o.epochs,
            optimizer=adamw(o.lr, weight_decay=o.weight_decay),
            schedule=WarmupCosine(total // 18, total),
        )

    def _distillation(self, x: Tensor, features: Tensor) -> Tensor:
        """The sum over earlier heads of the cross-entropy to their softened predictions before the task."""
        if self.teacher is None or not self.teacher.classes:
            return features.new_zeros(())
        before, _ = self.teacher(self.backbone, x)
        heads = zip(self.head.blocks, self.teacher.head.blocks, strict=False)
        pairs = [(head(features), old(before)) for head, old in heads]
        return torch.stack([softened_cross_entropy(*pair, self.options.temperature) for pair in pairs]).sum()

    def _merge(self) -> None:
        """Add the product to the updates so far, or let it replace them."""
        assert self.lora is not None
        values = self.lora.deltas()
        if self.options.mode == "merge" and self.merged.values:
            values = {name: tensor + values[name] for name, tensor in self.merged.values.items()}
        self.merged.values = values
