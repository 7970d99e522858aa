"""SLCA++: the slow learner with low-rank additions, a symmetric cross-entropy, and a scale by the age of a class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone.devices import to_device
from cl.parts.attached import Attached, LowRank
from cl.strategies.slca import SLCA
from cl.strategy import RECIPES, Batch, Cosine, Inputs, Source, Step, StreamInfo, View, option, scales, sgd
from cl.training.batches import Rng


class SLCAPlusPlus(SLCA):
    """SLCA with few trained parameters: LoRA, norms, biases and the class token; old classes are scaled by their age.

    Name: SLCA++
    Paper: Zhang, Wang, Kang, Chen, Wei. SLCA++: Unleash the Power of Sequential Fine-tuning for Continual Learning with
        Pre-training. arXiv 2408.08295 (2024).
    Family: alignment
    Networks: vit
    Gradients: parts
    Trains: LoRA on qkv, fc1 and fc2 of every block, all norms and biases and the class token of the backbone, slowly,
        and the new task's head, with a symmetric cross-entropy; in alignment, all heads.
    Stores: per class one mean and one full covariance (d + d^2 floats: 2.36 MB for ViT-B); no images.
    Cost: one forward pass per test image; alignment draws `ca_samples` features per class and epoch.
    Differences from the paper: follows the authors' code. It computes the age of a class in the alignment from the size
        of the current task, which is wrong for unequal tasks; we store the task of each class, and `legacy_task_index`
        reproduces the code. Features are sampled with one cached Cholesky factor per class. The product of LoRA is
        added to the output of a layer instead of its weight. The signs of singular vectors are arbitrary and change
        nothing.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(0.01, "learning rate of the head", gt=0, search=scales.log(1e-3, 1e-1))
        backbone_lr_scale: float = option(
            0.1, "slow learner: rate of the backbone as a multiple of lr", ge=0, search=scales.log(1e-2, 1.0)
        )
        first_lora_scale: float = option(0.5, "rate of LoRA in the first task as a multiple of lr", ge=0)
        min_lr: float = option(1e-4, "the rates of all groups decay to this value, by half a cosine", ge=0)
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of backbone and heads", ge=0)
        rank: int = option(4, "rank of LoRA", ge=1)
        lora_scale: float = option(0.8, "factor of LoRA's product", gt=0)
        ce: float = option(1.0, "weight of the cross-entropy", ge=0)
        reverse_ce: float = option(0.1, "weight of the reverse cross-entropy", ge=0, search=scales.log(1e-2, 1.0))
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        fresh_norm: bool = option(True, "replace the final LayerNorm by a new one, as the authors' code does")
        ca_epochs: int = option(5, "epochs of classifier alignment; 0: none", ge=0)
        ca_samples: int = option(256, "alignment: features drawn per class and epoch; also its batch size", ge=1)
        ca_lr: float = option(0.01, "learning rate of the alignment", gt=0, search=scales.log(1e-3, 1e-1))
        logit_norm: float = option(
            0.1, "temperature of the logit normalisation; 0: none", ge=0, search=scales.log(0.02, 0.5)
        )
        age_scale: float = option(
            0.02, "mu: features of an old class are divided by 1 + mu age in alignment, multiplied in prediction", ge=0
        )
        age_jitter: float = option(0.01, "alignment: mu of each feature is uniform in mu +- jitter", ge=0)
        legacy_task_index: bool = option(False, "use the task index of the authors' code, wrong for unequal tasks")

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.lora = LowRank(self.backbone, self.options.rank, self.options.lora_scale)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        features, blocks = inputs.encode(self.extractor()), self.aligned.blocks
        aligned = len(blocks) > 1 and self.options.ca_epochs > 0
        mu = self.options.age_scale if aligned else 0.0
        scales = [1 + mu * (len(blocks) - 1 - number) for number in range(len(blocks))]
        return torch.cat([block(features * scale) for block, scale in zip(blocks, scales, strict=True)], 1)

    def extractor(self) -> Attached:
        return self.lora.extractor(self.backbone)

    def _slow_learning(self, view: View) -> None:
        """Symmetric cross-entropy over the new classes only; old heads are not trained."""
        o = self.options
        head, first = self.heads.blocks[-1], view.classes[0]
        rates = [
            o.lr * (o.first_lora_scale if view.task == 0 else o.backbone_lr_scale),
            o.lr * o.backbone_lr_scale,
            o.lr,
        ]
        trained = [self.lora.parameters(), self.light(), head.parameters()]

        def decay(step: Step) -> None:
            for group, rate in zip(step.optimizer.param_groups, rates, strict=True):
                group["lr"] = o.min_lr + (rate - o.min_lr) * Cosine()(step)

        self.fit(
            "slow learning",
            self.batches(view.train, o.batch_size, o.augment),
            lambda batch: self.objective(head(self.lora(self.backbone, batch.x)), batch.y - first),
            [{"params": params, "lr": rate} for params, rate in zip(trained, rates, strict=True)],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay),
            before_step=decay,
        )

    def light(self) -> list[nn.Parameter]:
        """The norms, the biases and the class token of the backbone."""
        named = self.backbone.model.named_parameters()
        return [value for name, value in named if any(part in name for part in ("norm", "bias", "cls_token"))]

    def objective(self, logits: Tensor, labels: Tensor) -> Tensor:
        """a CE(y, p) + b CE(p, y), with probabilities of at least 1e-7 and targets of at least 1e-4."""
        p = logits.softmax(1).clamp(1e-7, 1)
        y = F.one_hot(labels, logits.shape[1]).to(p).clamp(1e-4, 1)
        reverse = -(p * y.log()).sum(1).mean()
        return self.options.ce * F.cross_entropy(logits, labels) + self.options.reverse_ce * reverse

    def _add_statistics(self, view: View) -> None:
        """Gaussians of the new classes with the current network; old Gaussians do not change."""
        self.gaussians.add(
            self.encode(view.train, self.extractor()), view.train.labels, view.classes, self.info.class_names
        )

    def drawn(self, newest: int) -> Source:
        """Features from the Gaussians, made smaller by the age of their class."""
        o = self.options
        return AgedFeatures(self.gaussians.sampler(o.ca_samples), self.ages(newest), o.age_scale, o.age_jitter)

    def ages(self, newest: int) -> Tensor:
        """The number of tasks since each class was learned, [C]."""
        return len(self.heads.widths) - 1 - self.task_index(newest)


class AgedFeatures:
    """Drawn features of a class, divided by 1 + m age, with m uniform in mu +- jitter for each feature."""

    def __init__(self, source: Source, ages: Tensor, mu: float, jitter: float) -> None:
        self.source, self.ages, self.mu, self.jitter = source, ages, mu, jitter

    @property
    def steps(self) -> int:
        return self.source.steps

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for step, batch in enumerate(self.source.epoch(epoch, rng, start), start):
            uniform = to_device(torch.rand(len(batch.y), generator=rng("age", step)), batch.x.device).to(batch.x)
            m = self.mu + self.jitter * (2 * uniform - 1)
            yield Batch(batch.x / (1 + m * to_device(self.ages, batch.y.device)[batch.y]).unsqueeze(1), batch.y)
