"""The six tricks of a bag of tricks for few-shot class-incremental learning, each an option."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.heads import CosineHead, Projector, SimplexHead, cosines
from cl.parts.losses import dot_regression, supervised_contrastive
from cl.parts.views import PSEUDO, TURNS, Extended, TwoViews, pseudo_classes
from cl.parts.weights import FixedMasks, best, in_block
from cl.strategies.fscil_frozen import FSCILFrozen
from cl.strategy import RECIPES, Batch, Cosine, Source, Step, StreamInfo, TaskSize, View, Work, option, scales, sgd


class FSCILTricks(FSCILFrozen):
    """Frozen class means with six tricks for few-shot tasks, each an option, after Roy et al.

    They are supervised contrast, pre-assigned prototypes, pseudo-classes, a tuned subnetwork, self-supervised
    pre-training, and rotations to be recognised.

    Name: FSCIL tricks
    Paper: Roy, Park, Fahrezi, Etemad. A Bag of Tricks for Few-Shot Class-Incremental Learning. arXiv 2403.14392 (2024).
        Six tricks are named in version 2 of the paper. Equations: SupCon (Khosla et al. 2020), a simplex as the fixed
        classifier (NC-FSCIL, Yang et al. 2023), mixes as classes (ALICE, Peng et al. 2022), SimCLR (Chen et al. 2020),
        rotations (Gidaris et al. 2018).
    Family: few-shot
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: in the first task the network, a projection, rows for pseudo-classes and a classifier of rotations, of which
        only the network is kept; later, a share `subnet` of the weights of one block.
    Stores: the weights, one mean per class, a vertex per class (`prototypes=simplex`), and a byte per weight of the
        tuned block (`subnet`).
    Cost: one forward pass per test image; in the first task, with all tricks, five passes per training image instead of
        one, after `pretrain_epochs` epochs of two.
    Differences from the paper: we found no code of the paper and have not read its weights and constants, so the
        defaults and their combination are ours. Stability: SupCon is added to the cross-entropy, on a projection of two
        views, and pseudo-classes are classes for it too; the vertices of the simplex take the place of the trained
        classifier, one for every class of the stream, and pseudo-classes have trained rows beside them. Adaptability:
        the subnetwork is the share of weights that are smallest after the first task, in one block; later tasks train
        it by cross-entropy to the vertices of the classes seen, or without a simplex to their means. As weights change,
        means of earlier classes are not renewed, because their images are gone. Training: the encoder is pre-trained by
        SimCLR on the images of the first task; the rotation of the first view is a second target. Prototypes are means
        of upright images, with no pseudo-class among them. With all tricks off this is `fscil-frozen`, bit for bit.
    """

    caveat = (
        "fscil-tricks: no code of the paper was found and its constants were not read, so its values and their "
        "combination are ours."
    )

    @dataclass(frozen=True)
    class Options(FSCILFrozen.Options):
        supcon: float = option(1.0, "weight of the supervised contrastive loss; 0: off", ge=0)
        supcon_temperature: float = option(0.07, "temperature of the supervised contrastive loss", gt=0)
        projection: int = option(128, "width of the projection in front of contrastive losses", ge=1)
        prototypes: str = option(
            "simplex", "classifier of the first task: a fixed simplex with a vertex for every class, or trained rows",
            choices=("simplex", "trained"),
        )  # fmt: skip
        alignment: str = option(
            "ce", "pull features to their vertex by cross-entropy, or by dot-regression", choices=("ce", "dot")
        )
        pseudo: str = option("rotations", "pseudo-classes in the first task", choices=PSEUDO)
        mixes: int = option(1, "with pseudo=mixes, mixes per image and step", ge=1)
        subnet: float = option(0.1, "share of a block's weights that later tasks tune; 0: off", ge=0, lt=1)
        subnet_block: str = option("", "module with the tuned weights, such as layer4; empty: the last block")
        subnet_epochs: int = option(5, "epochs on a later task", ge=1)
        subnet_lr: float = option(0.001, "learning rate on a later task (SGD)", gt=0, search=scales.log(1e-4, 1e-1))
        pretrain_epochs: int = option(100, "epochs of self-supervised pre-training before the first task; 0: off", ge=0)
        pretrain_lr: float = option(0.1, "learning rate of the pre-training, with cosine decay to 0", gt=0)
        pretrain_temperature: float = option(0.5, "temperature of the pre-training's loss", gt=0)
        pretrain_augment: str = option("rrc-flip", "augmentation of the pre-training", choices=tuple(RECIPES))
        rotation: float = option(1.0, "weight of the recognition of rotations; 0: off", ge=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, o = super().work(options, task), options
        if task.number:
            tuned = o.subnet_epochs * task.images if o.subnet else 0
            return replace(found, trained=tuned, lasting=False)
        views = 2 if o.supcon else 1
        copies = views * (1 + (o.mixes if o.pseudo == "mixes" else 0))
        copies += TURNS if o.pseudo == "rotations" or o.rotation else 0
        return replace(found, trained=copies * found.trained + 2 * o.pretrain_epochs * task.images, lasting=False)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o, dim = self.options, self.backbone.dim
        self._base = info.classes_per_task[0]
        self._late = in_block(self.backbone, o.subnet_block) if o.subnet else ()
        self.subnet = FixedMasks()
        self.simplex: SimplexHead | None = None
        if o.prototypes == "simplex":
            self.simplex = SimplexHead(dim, info.n_classes, self.init_rng("simplex")).to(self.device)
            self.head = None
        extra = pseudo_classes(o.pseudo, self._base)
        self.extra = CosineHead(dim, extra, self.init_rng("pseudo-classes")).to(self.device) if extra else None
        contrast = o.supcon or o.pretrain_epochs
        self.projector = Projector(dim, o.projection, self.init_rng("projector")).to(self.device) if contrast else None
        self.turns = CosineHead(dim, 1 + TURNS, self.init_rng("turns")).to(self.device) if o.rotation else None

    def train_network(self, view: View) -> None:
        if self.options.pretrain_epochs:
            self._pretrain(view)
        super().train_network(view)
        if self.options.subnet:
            self.compute("subnetwork", self._choose)
        self.extra = self.projector = self.turns = None  # nothing of them is needed later

    def _pretrain(self, view: View) -> None:
        """SimCLR: the two views of an image against all other views in the batch."""
        o, projector = self.options, self.projector
        assert projector is not None

        def loss(batch: Batch) -> Tensor:
            image = torch.arange(len(batch) // 2, device=batch.x.device).repeat(2)
            return supervised_contrastive(projector(self.backbone(batch.x)), image, o.pretrain_temperature)

        self.fit(
            "self-supervised",
            self._views(view, o.pretrain_augment),
            loss,
            [*self.backbone.parameters(), *projector.parameters()],
            epochs=o.pretrain_epochs,
            optimizer=sgd(o.pretrain_lr, o.momentum, o.weight_decay),
            schedule=Cosine(),
        )

    def _views(self, view: View, augment: str) -> Source:
        return TwoViews(
            [view.train], self.options.batch_size, self.backbone.transform, augment=augment, device=self.device
        )

    # ----------------------------------------------------------------------------------------------- the first task

    def data(self, view: View) -> Source:
        o = self.options
        source = self._views(view, o.augment) if o.supcon else super().data(view)
        extended = Extended(
            source, self._base, views=2 if o.supcon else 1, mixes=o.mixes if o.pseudo == "mixes" else 0,
            turns=o.pseudo == "rotations" or o.rotation > 0,
        )  # fmt: skip
        self._copies, self._turned = extended.copies, extended.turns  # the source itself holds images
        return extended

    def trained(self) -> Iterable[nn.Parameter]:
        rows = [module.weight for module in (self.extra, self.turns) if module is not None]
        contrast = self.projector.parameters() if self.projector is not None and self.options.supcon else ()
        return [*super().trained(), *rows, *contrast]

    def objective(self, batch: Batch) -> Tensor:
        """Classification, contrast, and the recognition of rotations."""
        o, count = self.options, len(batch) // self._copies
        features = self.backbone(batch.x)
        only_turned = TURNS * count if self._turned and o.pseudo != "rotations" else 0
        known, labels = features[: len(batch) - only_turned], batch.y[: len(batch) - only_turned]
        loss = self.classification(known, labels)
        if o.supcon:
            assert self.projector is not None
            loss = loss + o.supcon * supervised_contrastive(self.projector(known), labels, o.supcon_temperature)
        if self.turns is not None:
            all_turns = torch.cat([features[:count], features[-TURNS * count :]])
            turn = torch.arange(1 + TURNS, device=features.device).repeat_interleave(count)
            loss = loss + o.rotation * F.cross_entropy(o.scale * self.turns(all_turns), turn)
        return loss

    @property
    def rows(self) -> Tensor:
        """The classifier of the first task: fixed vertices of all classes, or trained rows of its own."""
        if self.simplex is not None:
            return self.simplex.vertices
        assert self.head is not None
        return self.head.weight

    def classification(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over vertices or trained rows, and the rows of pseudo-classes; or dot-regression."""
        o = self.options
        rows = self.rows
        columns = rows if self.extra is None else torch.cat([rows, self.extra.weight])
        place = torch.where(labels < self._base, labels, labels + len(rows) - self._base)
        losses = F.cross_entropy(o.scale * cosines(features, columns), place, reduction="none")
        if self.simplex is not None and o.alignment == "dot":
            losses = torch.where(labels < self._base, dot_regression(features, columns[place]), losses)
        return losses.mean()

    # ------------------------------------------------------------------------------------------------ later tasks

    def _choose(self) -> None:
        """The subnetwork: the smallest weights of the block."""
        self.subnet.values = [~best(weight, 1 - self.options.subnet) for weight in self._weights]

    def adapt(self, view: View) -> None:
        """Train the subnetwork on a few images, with batch norms as they are."""
        o = self.options
        if not o.subnet:
            return
        if self.simplex is not None:
            anchors = self.simplex.vertices[: len(view.seen)]
        else:
            anchors = torch.cat([self.prototypes, self._means(view)])

        def loss(batch: Batch) -> Tensor:
            self.backbone.eval()
            return F.cross_entropy(o.scale * cosines(self.backbone(batch.x), anchors), batch.y)

        def keep(step: Step) -> None:
            for weight, mask in zip(self._weights, self.subnet.values, strict=True):
                assert weight.grad is not None
                weight.grad.mul_(mask)

        self.fit(
            "subnetwork",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            self._weights,
            epochs=o.subnet_epochs,
            optimizer=sgd(o.subnet_lr, o.momentum),  # without weight decay, which would move every weight
            before_step=keep,
        )

    @property
    def _weights(self) -> list[nn.Parameter]:
        return [self.backbone.model.get_parameter(name) for name in self._late]

    def report(self) -> dict[str, float]:
        """How many weights later tasks tune."""
        return {"tuned weights": float(sum(int(mask.sum()) for mask in self.subnet.values))}
