"""CL-DST: every task trains a sparse mask over shared weights by dropping and growing, and freezes its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.subnetworks import Subnetworks
from cl.parts.weights.sparse import (
    GROWTH,
    check_layers,
    decayed,
    draw_masks,
    erk_densities,
    grown,
    grown_at_random,
    grown_unfired,
    survivors,
    uniform_densities,
)
from cl.strategy import Batch, MultiStep, Step, StreamInfo, UsageError, View, adam, option
from cl.training.generators import generator


class CLDST(Subnetworks):
    """Continual learning with dynamic sparse training: a sparse subnetwork per task, rewired while it trains.

    Name: CL-DST
    Paper: Yildirim, Gok Yildirim, Sokar, Mocanu, Vanschoren. Continual Learning with Dynamic Sparse Training:
        Exploring Algorithms for Effective Model Updates. CPAL 2024, arXiv 2308.14831.
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the weights in the task's mask that no earlier task uses, biases, norms, and the head of the task. Every
        `frequency` steps the smallest weights leave the mask and as many others grow in.
    Stores: the weights, a mask per task with one bit per weight, biases, norms and a head per task.
    Cost: one forward pass per test image, of dense cost; a step costs a dense step and a multiplication per weight.
    Differences from the paper: masks, losses and weights are compared with muratonuryildirim/CL-with-DST @bdc9b12. Its
        biases, norms and running averages are shared by all tasks and drift, and its accuracies are all measured after
        the last task, so it cannot see that; here they are kept per task. A weight of an earlier task that grows into a
        mask has its value at once; in the code it is 0 in training and has its value in the test. The head has the
        task's classes and is dense; there it is masked, and all classes compete in the test. As in the code, the best
        epoch by accuracy on training images is kept, and free weights start at 0 from the second task on. Its test
        images are cropped and flipped at random; here they are not. Only the smallest weights leave (its default).
    """

    @dataclass(frozen=True)
    class Options(Subnetworks.Options):
        density: float = option(0.2, "share of the weights in the mask of a task", gt=0, le=1)
        init: str = option("uniform", "densities of layers: all equal, or ERK", choices=("uniform", "erk"))
        growth: str = option("random", "which weights grow into a mask", choices=GROWTH)
        rate: float = option(0.5, "share of a mask that leaves at the first update; a cosine to 0.005", gt=0, lt=1)
        frequency: int = option(400, "steps between updates of the mask", ge=1)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o, shapes = self.options, [weight.shape for weight in self._weights]
        self._densities = (erk_densities if o.init == "erk" else uniform_densities)(shapes, o.density)
        check_layers(self._names, shapes, self._densities)
        self._check_capacity(info.n_tasks)
        self.mask: list[Tensor] = []  # of the current task
        self.fired: list[Tensor] = []  # weights that were in it at any time
        self.pool: list[Tensor] = []  # the weights before the task
        self.best: list[Tensor] = []  # the mask of the best epoch
        self.hits = torch.zeros(2, dtype=torch.long, device=self.device)  # right answers and images of this epoch
        self.highest = -1.0

    def _check_capacity(self, tasks: int) -> None:
        """Refuse a stream whose last task would find no free weight, in expectation."""
        sizes = [weight.numel() for weight in self._weights]

        def left(after: int) -> float:
            return sum(n * (1 - d) ** after for n, d in zip(sizes, self._densities, strict=True))

        if left(tasks - 1) < 1:
            fit = next(count for count in range(1, tasks) if left(count) < 1)
            raise UsageError(
                f"density={self.options.density} fills the network: of {sum(sizes)} weights, {left(fit):.1f} are left "
                f"after task {fit} of {tasks}; set a lower density, or stream.tasks={fit} or fewer."
            )

    def find(self, view: View) -> list[Tensor]:
        o, weights, used = self.options, self._weights, self.masks.union()
        self._start(view)
        head, column = self.head.blocks[-1], self.head.targets(self.info.n_classes)

        def loss(batch: Batch) -> Tensor:
            logits, target = head(self.backbone(batch.x)), column[batch.y]
            if torch.is_grad_enabled():
                self.hits[0] += (logits.detach().argmax(1) == target).sum()
                self.hits[1] += len(target)
            return F.cross_entropy(logits, target)

        def freeze(step: Step) -> None:
            for weight, taken in zip(weights, used, strict=True):
                if weight.grad is not None:
                    weight.grad.masked_fill_(taken, 0)

        @torch.no_grad()
        def rewire(step: Step) -> None:
            for weight, mask in zip(weights, self.mask, strict=True):
                weight.mul_(mask)
            if (step.epoch * step.steps + step.step + 1) % o.frequency == 0:
                self._rewire(step, view.task, used)

        self.fit(
            "subnetwork", self.batches(view.train, o.batch_size, o.augment), loss,
            [*weights, *self._free(), *head.parameters()], epochs=o.epochs, optimizer=adam(o.lr),
            schedule=MultiStep((o.epochs // 2, o.epochs * 3 // 4)), before_step=freeze if len(self.masks) else None,
            after_step=rewire, validate=self._accuracy, select="best",
        )  # fmt: skip
        return self._settle(used)

    def _free(self) -> list[nn.Parameter]:
        return [value for value in self._small().values() if isinstance(value, nn.Parameter)]

    @torch.no_grad()
    def _start(self, view: View) -> None:
        """Draw the mask of the task and set all other weights to 0."""
        self.pool = [weight.detach().clone() for weight in self._weights]
        shapes = [weight.shape for weight in self._weights]
        self.mask = draw_masks(shapes, self._densities, self.init_rng("mask"), self.device)
        self.fired = [mask.clone() for mask in self.mask]
        self.best, self.highest = list(self.mask), -1.0
        self.hits.zero_()
        for weight, mask in zip(self._weights, self.mask, strict=True):
            weight.mul_(mask)

    def _rewire(self, step: Step, task: int, used: list[Tensor]) -> None:
        """The smallest weights of each layer leave its mask, and others grow in."""
        o, done = self.options, step.epoch * step.steps + step.step + 1
        rate = decayed(o.rate, done, step.epochs * step.steps)
        draws = generator(self.trainer.seeds.data, "growth", task, done)
        masks = []
        for i, weight in enumerate(self._weights):
            left = survivors(weight, self.mask[i], rate)
            count = int(self.mask[i].sum() - left.sum())
            if o.growth == "random":
                new = grown_at_random(left, count, draws)
            elif o.growth == "random-unfired":
                new = grown_unfired(left, count, self.fired[i], draws)
            else:
                new = grown(left, count, self._order(step, weight))
            weight.copy_(torch.where(new & used[i], self.pool[i], weight) * new)
            self.fired[i] |= new
            masks.append(new)
        self.mask = masks

    def _order(self, step: Step, weight: nn.Parameter) -> Tensor:
        """The gradient of all weights, in the mask or not, or Adam's average of them over its average size."""
        if self.options.growth == "gradient":
            return torch.zeros_like(weight) if weight.grad is None else weight.grad
        held = step.optimizer.state[weight]
        return held["exp_avg"] / (held["exp_avg_sq"].sqrt() + 1e-8)

    def _accuracy(self) -> float:
        """The accuracy on the training images as they passed in this epoch; keeps the mask of the best epoch."""
        score = float(self.hits[0] / self.hits[1])
        self.hits.zero_()
        if score > self.highest:
            self.highest, self.best = score, [mask.clone() for mask in self.mask]
        return score

    @torch.no_grad()
    def _settle(self, used: list[Tensor]) -> list[Tensor]:
        """Put the weights of earlier tasks back; weights that no task uses are 0."""
        for weight, mask, taken, before in zip(self._weights, self.best, used, self.pool, strict=True):
            weight.copy_(torch.where(taken, before, weight * mask))
        found, self.mask, self.fired, self.pool, self.best = self.best, [], [], [], []
        return found
