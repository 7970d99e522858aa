"""FOSTER: add a second network for the new classes, then compress both into one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.joined import Joined
from cl.parts.heads import LeCunHead, align_newest
from cl.parts.losses import balanced_cross_entropy, effective_weights, softened_cross_entropy
from cl.parts.memory import Memory
from cl.parts.weights import Networks
from cl.protocol import TaskSize, Work
from cl.strategy import (
    RECIPES,
    SCHEDULES,
    Batch,
    Extractor,
    ImageSet,
    Inputs,
    Step,
    StreamInfo,
    View,
    option,
    scales,
    schedule,
)
from cl.training.optim import optimizer
from cl.training.policies import POLICIES


class Foster(Joined):
    """Feature boosting and compression: a new network beside the frozen old one, then one student of both.

    Name: FOSTER
    Paper: Wang, Zhou, Ye, Zhan. FOSTER: Feature Boosting and Compression for Class-Incremental Learning. ECCV 2022,
        arXiv 2204.04662.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: in the first task the backbone and a linear head, by cross-entropy. In a later task, on its images and the
        exemplars, shuffled: (boosting) a new network F_n, which starts as a copy of the old network F_o, and a head
        over [F_o(x), F_n(x)] with logits z, which starts with the weights of the old head on F_o; the loss is L_CE(z /
        w, y) + L_CE(z_n, y) + `kd` L_KD. z_n are the logits of an auxiliary head over F_n(x) alone; L_KD = -sum_c
        softmax(g / T)_c log softmax(z / T)_c over the old classes, g = old head of F_o(x). w_c = (1 - beta1) / (1 -
        beta1^n_c) for n_c images of a class, divided by the mean over classes. F_o and the old head are frozen.
        (Compression) a student, which starts as F_o with its head, by L = -sum_c q_c log softmax(s / T)_c with q_c
        proportional to w_c softmax(z / T)_c, w with beta2; the next task starts from it.
    Stores: `memory_size` exemplars as bytes, or `memory_per_class` for each class; three networks: the student, and the
        two of the teacher, which only the teacher's answer needs.
    Cost: two forward passes per test image for the main answer, that of the teacher [F_o, F_n], which the authors' code
        reports; one for the answer `student`. In boosting one pass of F_o serves features and distillation; in
        compression one of each network of the teacher. After the task one pass of the teacher over its images, to
        choose exemplars.
    Differences from the paper: follows G-U-N/ECCV22-FOSTER@555c7f0, which was compared for three whole tasks; its
        copies in G-U-N/PyCIL@87cc411 and sun-hailong/LAMDA-PILOT@2647455 have the same equations. n_c are the images
        that are trained on; the code has 500 for every new class of CIFAR. A class without an exemplar, if the memory
        is smaller than the number of classes, counts as one image in w. Of a memory of K images each of t classes has K
        // t, and the first classes one more until all K are used. Crops have reflected borders; the code's are black.
        The augmentation of the code is `autoaugment-cutout`, that of PyCIL `crop-flip-jitter`.
    """

    answers = ("student",)
    head: LeCunHead

    @dataclass(frozen=True)
    class Options(Joined.Options):
        epochs: int = option(200, "epochs of the first task", ge=1)
        boost_epochs: int = option(170, "epochs of boosting in each later task", ge=1)
        compress_epochs: int = option(130, "epochs of compression in each later task", ge=1)
        trains: str = option("all", "train backbone and head", choices=("all",))
        memory_of: str = option("images", "keep images, whose features change", choices=("images",))
        lr: float = option(0.1, "learning rate of networks and heads in every fit", gt=0, search=scales.log(3e-4, 0.3))
        weight_decay: float = option(5e-4, "weight decay; compression has none", ge=0)
        schedule: str = option("cosine", "learning-rate schedule, restarted for every fit", choices=SCHEDULES)
        augment: str = option("crop-flip", "augmentation of training images", choices=(*RECIPES, *POLICIES))
        head_init: str = option(
            "lecun", "initialisation of new head weights", choices=("lecun", "trunc_normal", "kaiming", "zero")
        )
        beta1: tuple[float, ...] = option(
            (0.96,), "beta of the class weights in boosting, of each task from the second; the last one stays",
            ge=0, lt=1,
        )  # fmt: skip
        beta2: float = option(0.97, "beta of the class weights in compression", ge=0, lt=1)
        kd: float = option(1.0, "weight of the distillation from the old network in boosting", ge=0)
        temperature: float = option(2.0, "temperature of both distillations", gt=0)
        old_features: str = option(
            "train", "head weights from F_o to new classes: trained (the code's oofc=ft), or zero (az)",
            choices=("train", "zero"),
        )  # fmt: skip
        align_teacher: bool = option(False, "align the teacher's head rows of new classes, as WA, after boosting")
        align_student: bool = option(False, "align the student's, after compression")
        align_base: float = option(1.0, "a: aligned rows have a^(old / new classes) times the old mean length", gt=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        if not task.number:
            return replace(found, test_passes=2, networks=1)
        images = found.trained / options.epochs
        boost, compress = options.boost_epochs * images, options.compress_epochs * images
        return replace(
            found, trained=boost + compress, encoded=boost + 2 * compress + 2 * task.images,
            steps=found.steps / options.epochs * (options.boost_epochs + options.compress_epochs),
            test_passes=3, networks=2,
        )  # fmt: skip

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.head = self._head(1)
        self.networks = Networks(self.device)  # F_o and F_n of the teacher
        self.fused, self.own = self._head(2), self._head(1)  # over [F_o, F_n]; over F_n alone, used in boosting

    def _head(self, networks: int) -> LeCunHead:
        return LeCunHead(networks * self.backbone.dim, init=self.options.head_init).to(self.device)

    def _train(self, images: list[ImageSet], classes: tuple[int, ...], seen: int) -> None:
        old, o = self.head.classes, self.options
        if not old:
            super()._train(images, classes, seen)
            return
        labels = torch.cat([*(each.labels for each in images), self.exemplars().labels])
        counts = labels.bincount(minlength=seen).clamp(min=1)
        factor = o.align_base ** (old / max(seen - old, 1))
        beta1 = o.beta1[min(len(self.head.widths), len(o.beta1)) - 1]
        self._boost(images, seen, effective_weights(counts, beta1).to(self.device))
        if o.align_teacher:
            align_newest(self.fused, factor)
        self._compress(images, seen, effective_weights(counts, o.beta2).to(self.device))
        if o.align_student:
            align_newest(self.head, factor)

    def _boost(self, images: list[ImageSet], seen: int, weights: Tensor) -> None:
        o, dim = self.options, self.backbone.dim
        self.networks = Networks(self.device)
        self.networks.add(self.backbone)
        self.fused, self.own = self._head(2), self._head(1)
        self.fused.grow_to(self.head.classes, self.init_rng("old classes of the boosted head"))
        with torch.no_grad():
            self.fused.blocks[0].weight[:, :dim] = torch.cat([block.weight for block in self.head.blocks])
            self.fused.blocks[0].bias.copy_(torch.cat([block.bias for block in self.head.blocks]))
            self.fused.grow_to(seen, self.init_rng("new classes of the boosted head"))
            if o.old_features == "zero":
                self.fused.blocks[-1].weight[:, :dim] = 0
        self.own.grow_to(seen, self.init_rng("auxiliary head"))

        def loss(batch: Batch) -> Tensor:
            old, new = self.networks.features(0, self.backbone, batch.x), self.backbone(batch.x)
            logits = self.fused(torch.cat([old, new], 1))
            hard = F.cross_entropy(logits / weights, batch.y) + F.cross_entropy(self.own(new), batch.y)
            return hard + o.kd * softened_cross_entropy(logits, self.head(old), o.temperature)

        def no_old_features(step: Step) -> None:
            gradient = self.fused.blocks[-1].weight.grad
            assert gradient is not None
            gradient[:, :dim] = 0

        hook = no_old_features if o.old_features == "zero" else None
        heads = [*self.fused.parameters(), *self.own.parameters()]
        self._descend("boost", images, loss, heads, o.boost_epochs, o.weight_decay, hook)
        self.own = self._head(1)
        self.networks.add(self.backbone)

    def _compress(self, images: list[ImageSet], seen: int, weights: Tensor) -> None:
        o = self.options
        self.networks.put_back(0, self.backbone)
        self.head.grow_to(seen, self.init_rng("head"))

        def loss(batch: Batch) -> Tensor:
            pair = [self.networks.features(index, self.backbone, batch.x) for index in range(2)]
            student = self.head(self.backbone(batch.x))
            return balanced_cross_entropy(student, self.fused(torch.cat(pair, 1)), o.temperature, weights)

        self._descend("compress", images, loss, [*self.head.parameters()], o.compress_epochs, 0.0)

    def _descend(
        self, phase: str, images: list[ImageSet], loss: Any, heads: list[Any], epochs: int, decay: float,
        before_step: Any = None,
    ) -> None:  # fmt: skip
        """Minimise a loss over the backbone and heads."""
        o = self.options
        self.fit(
            phase,
            self._data(images),
            loss,
            [{"params": list(self.tuned().values()), "lr": o.lr * o.backbone_lr_scale}, {"params": heads, "lr": o.lr}],
            epochs=epochs,
            optimizer=optimizer(o.optimizer, o.lr, decay, o.momentum),
            schedule=schedule(o.schedule, o.milestones, o.gamma),
            before_step=before_step,
        )

    def _herding(self, memory: Memory, view: View) -> Tensor | None:
        """Features of the teacher."""
        if memory.policy != "herding":
            return None
        return torch.cat([self.encode(view.train, network) for network in self._teacher()], 1)

    def _teacher(self) -> list[Extractor]:
        """The networks whose features the main answer is made from; the backbone alone after the first task."""
        return [self.networks.extractor(i, self.backbone) for i in range(len(self.networks))] or [self.backbone]

    def extractor(self) -> Extractor:
        return self.networks.side_by_side(self.backbone) if len(self.networks) else self.backbone

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        features = torch.cat([inputs.encode(network) for network in self._teacher()], 1)
        return (self.fused if len(self.networks) else self.head)(features)

    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.backbone)) if name == "student" else super().answer(name, inputs, task)
