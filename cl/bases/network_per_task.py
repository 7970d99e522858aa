"""One network per task, with a hyper-parameter search within every task: the learners of NEVIS'22.

Bornschein et al., arXiv 2211.11747. A method is a subclass that chooses the initial weights of a task's network.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.told_task import ToldTask
from cl.errors import NonFiniteLoss
from cl.parts.heads import TaskHeads
from cl.parts.weights import Lent, Networks
from cl.protocol import CLASS, LONG_TAILED
from cl.records.average_precision import mean_average_precision
from cl.strategy import RECIPES, TASK, Batch, ImageSet, Needs, StreamInfo, TaskSize, UsageError, View, Work, option, sgd
from cl.training import state
from cl.training.optim import WarmupCosine
from cl.training.rounds import Rounds

log = logging.getLogger("clbench")

SCRATCH = -1
"""Used in place of a task number: start from the weights that the option `start` names, not from an earlier network."""

LEAST_BATCH = 16
FINAL_LR = 1e-8


class NetworkPerTask(ToldTask):
    """Trains a separate network for every task and keeps the best of several trials; subclasses give `source`."""

    settings = (CLASS, LONG_TAILED, TASK)
    multi_label = True
    val_fraction = 0.15

    @dataclass(frozen=True)
    class Options:
        trials: int = option(16, "random trials per task; the cost counts all of them", ge=1)
        lr_min: float = option(1e-4, "lower bound of the log-uniform learning rate", gt=0)
        lr_max: float = option(1e-1, "upper bound of the log-uniform learning rate", gt=0)
        smoothing_max: float = option(0.3, "upper bound of the label smoothing, drawn uniformly from 0", ge=0, lt=1)
        steps: int = option(50_000, "steps per trial", ge=1)
        validate_every: int = option(1000, "steps between validations; the best weights are kept", ge=1)
        batch_size: int = option(512, "maximum number of images per step", ge=1)
        batch_share: float = option(
            0.0025,
            "images per step as a share of the task's images, rounded down to a power of two >= 16; 0: batch_size",
            ge=0,
            le=1,
        )
        warmup_epochs: float = option(7.0, "epochs of warm-up, in which the learning rate grows from 0", ge=0)
        warmup_share: float = option(1.0, "upper bound of the warm-up as a share of the steps", ge=0, le=1)
        momentum: float = option(0.9, "Nesterov momentum of SGD", gt=0, lt=1)
        weight_decay: float = option(1e-4, "L2 weight decay; none for norms and biases", ge=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        start: str = option(
            "random",
            "initial weights of a task without a source network: drawn for the task, or pretrained",
            choices=("random", "pretrained"),
        )

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(
            validation=True,
            purpose="to choose a trial by",
            compares="its softmax over the classes of a task",
            batch_size=options.batch_size,
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        o, images = options, max(1, task.images)
        power = 2 ** math.floor(math.log2(max(o.batch_share * images, LEAST_BATCH)))
        size = min(o.batch_size, power) if o.batch_share else o.batch_size
        steps = o.trials * o.steps
        return Work(
            trained=steps * images / math.ceil(images / size),
            encoded=o.trials * math.ceil(o.steps / o.validate_every) * task.validation,
            steps=steps, networks=task.number + 1, lasting=True,
        )  # fmt: skip

    def source(self, view: View) -> int:
        """The earlier task whose network the new one starts from, or `SCRATCH`."""
        return SCRATCH

    def setup(self, info: StreamInfo) -> None:
        o = self.options
        if o.lr_min > o.lr_max:
            raise UsageError(f"lr_min={o.lr_min} is above lr_max={o.lr_max}; exchange them.")
        self.networks = Networks(self.device)  # of all tasks except the last, whose network is in the backbone
        self.head = TaskHeads(self.backbone.dim).to(self.device)
        self.history: list[dict[str, Any]] = []  # source and trials of each task
        self.best: dict[str, Any] = {}  # within a task: network and head of the best trial so far
        if o.start == "pretrained":
            self.backbone.keep_pretrained()

    def learn(self, view: View) -> None:
        if view.val is None:
            raise UsageError(
                f"Task {view.task} of {self.info.name} has no validation images to choose a trial by; leave "
                "stream.val_fraction above 0, or take a stream with more images."
            )
        if len(self.head):
            self.networks.add(self.backbone)
        self.head.add(view.classes, self.init_rng("head"))
        drawn, source = self._draw(), self.source(view)
        trials: list[dict[str, float]] = []
        chosen, best = SCRATCH, -math.inf
        for number, trial in enumerate(drawn):
            self.begin(source)
            trials.append(self._train(view, view.val, number, **trial))
            if trials[number]["score"] > best:
                chosen, best = number, trials[number]["score"]
                self.best = {} if number + 1 == len(drawn) else self._snapshot()
        if math.isinf(best):
            raise NonFiniteLoss(f"all {len(drawn)} trials of task {view.task} diverged; lower lr_max and run again.")
        if self.best:
            self.backbone.set_state(self.best["network"])
            self.head.blocks[-1].load_state_dict(self.best["head"])
        self.best = {}
        self.history = [*self.history, {"source": source, "chosen": chosen, "trials": trials}]
        log.info("task %d: source %d, trial %d of %s", view.task, source, chosen, trials)

    def report(self) -> dict[str, float]:
        """Source and trials of every task; `training_flops` are the steps of all trials, without validation."""
        found: dict[str, float] = {}
        for task, entry in enumerate(self.history):
            found[f"task{task}.source"], found[f"task{task}.chosen"] = entry["source"], entry["chosen"]
            found[f"task{task}.training_flops"] = sum(trial["training_flops"] for trial in entry["trials"])
            for number, trial in enumerate(entry["trials"]):
                finite = {key: value for key, value in trial.items() if math.isfinite(value)}
                found |= {f"task{task}.trial{number}.{key}": value for key, value in finite.items()}
        return found

    # --------------------------------------------------------------------------------------------------- networks

    def network(self, task: int) -> Lent:
        """The extractor of a task learned earlier."""
        if task < len(self.networks):
            return self.networks.extractor(task, self.backbone)
        return Lent(self.backbone, key=self.backbone.key)

    def begin(self, source: int) -> None:
        """Load the task's initial weights into the backbone, and redraw its head.

        Every trial of the task begins with the same weights.
        """
        if source != SCRATCH:
            self.networks.put_back(source, self.backbone)
        elif self.options.start == "pretrained":
            self.backbone.reset()
        else:
            self.backbone.redraw(self.init_rng("backbone").initial_seed())
        self.head.redraw(self.init_rng("head"))

    def _snapshot(self) -> dict[str, Any]:
        held = {"network": dict(self.backbone.model.state_dict()), "head": dict(self.head.blocks[-1].state_dict())}
        copied: dict[str, Any] = state.clone(held)
        return copied

    # -------------------------------------------------------------------------------------------------- training

    def _draw(self) -> list[dict[str, float]]:
        """Learning rate and label smoothing of each trial; they do not depend on the number of trials."""
        o, rng, drawn = self.options, self.rng("trials"), []
        for _ in range(o.trials):
            rate, smoothing = torch.rand(2, generator=rng, dtype=torch.float64).tolist()
            lr = o.lr_min * (o.lr_max / o.lr_min) ** rate
            drawn.append({"lr": lr, "label_smoothing": o.smoothing_max * smoothing})
        return drawn

    def _train(self, view: View, val: ImageSet, number: int, lr: float, label_smoothing: float) -> dict[str, float]:
        """Run one trial; return its options, best validation score (-inf if it diverged) and the FLOPs of its steps.

        The score is the accuracy, or the mean average precision of a task with several classes per image, whose loss is
        the mean of independent binary cross-entropies; label smoothing then draws towards 1/2.
        """
        o, head, column = self.options, self.head.blocks[-1], self.head.targets(self.info.n_classes)
        tags = val.tags

        def loss(batch: Batch) -> Tensor:
            if tags is not None:
                assert batch.tags is not None
                smooth = batch.tags.float() * (1 - label_smoothing) + label_smoothing / 2
                return F.binary_cross_entropy_with_logits(head(self.backbone(batch.x)), smooth)
            return F.cross_entropy(head(self.backbone(batch.x)), column[batch.y], label_smoothing=label_smoothing)

        def validate() -> float:
            with torch.no_grad():
                if tags is not None:
                    scores = torch.cat([head(self.backbone(x)).cpu() for x, _ in self.chunks(val)])
                    finite = bool(scores.isfinite().all())
                    return mean_average_precision(tags.numpy(), scores.numpy()) if finite else 0.0
                right = sum((head(self.backbone(x)).argmax(1) == column[y]).sum() for x, y in self.chunks(val))
            return float(right) / len(val)

        images = self.batches(view.train, self.batch_size(len(view.train)), o.augment)
        data = Rounds(images, o.steps, o.validate_every)
        warmup = min(round(o.warmup_epochs * images.steps), int(o.warmup_share * o.steps), o.steps - 1)
        before = self.flops
        try:
            result = self.fit(
                f"trial {number}", data, loss, self._groups(head), epochs=data.count,
                optimizer=sgd(lr, o.momentum, o.weight_decay, nesterov=True),
                schedule=WarmupCosine(warmup, o.steps, FINAL_LR / lr), validate=validate, select="best",
            )  # fmt: skip
        except NonFiniteLoss as error:  # a diverged trial loses; its cost includes its validations
            log.warning("task %d, trial %d: %s", view.task, number, error)
            result = {"best_score": -math.inf, "flops": self.flops - before}
        return {
            "lr": lr, "label_smoothing": label_smoothing, "score": result["best_score"],
            "training_flops": result["flops"],
        }  # fmt: skip

    def _groups(self, head: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups: weight decay on matrices and kernels only."""
        model: Any = self.backbone.model
        exempt = set(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else set()
        named = [*model.named_parameters(), *head.named_parameters()]
        plain = [parameter for name, parameter in named if parameter.ndim < 2 or name in exempt]
        decayed = [parameter for name, parameter in named if parameter.ndim >= 2 and name not in exempt]
        return [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]

    def batch_size(self, images: int) -> int:
        """Batch size for a task with `images` images."""
        o = self.options
        if not o.batch_share:
            return o.batch_size
        power = math.floor(math.log2(max(o.batch_share * images, LEAST_BATCH)))
        return min(o.batch_size, 2**power)
