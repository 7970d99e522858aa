"""PackNet: each task trains the free weights, prunes the smallest of them, and keeps the rest for ever."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.subnetworks import Subnetworks
from cl.parts.statistics.batch_norms import batch_norms
from cl.strategy import Batch, MultiStep, Step, StreamInfo, UsageError, View, option, scales, sgd


class PackNet(Subnetworks):
    """Several tasks packed into one network by iterative pruning: the weights that a task keeps never change again.

    Name: PackNet
    Paper: Mallya, Lazebnik. PackNet: Adding Multiple Tasks to a Single Network by Iterative Pruning. CVPR 2018, arXiv
        1711.05769.
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the weights that no earlier task keeps, and the head of the task; then the `prune` smallest of these weights
        in each layer become 0 and free, and those that stay train on for `prune_epochs`. Biases and norms train in the
        first task only.
    Stores: the weights, a mask per task with one bit per weight, and a head per task.
    Cost: one forward pass per test image; training passes of `epochs` and `prune_epochs`.
    Differences from the paper: pruning and steps are compared with arunmallya/packnet @7b6032c. Its first task is
        ImageNet, from whose network half is pruned; here it is the first task of the stream. The code keeps the epoch
        with the best accuracy on test images; here the last epoch is kept. The last task prunes too, so that more tasks
        could follow; the scripts leave that out. Norms are in evaluation mode after the first task, as in the code, and
        all tasks share them.
    """

    @dataclass(frozen=True)
    class Options(Subnetworks.Options):
        prune: float = option(0.75, "share of a task's weights of a layer that pruning frees", gt=0, lt=1)
        prune_epochs: int = option(10, "epochs of the weights that stay, after pruning", ge=0)
        prune_lr: float = option(1e-4, "learning rate after pruning", gt=0, search=scales.log(1e-5, 1e-2))
        batch_size: int = option(32, "images per step", ge=1)
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        decay_every: int = option(10, "epochs after which the learning rates become a tenth, again and again", ge=1)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._check_capacity(info.n_tasks)
        self.own: list[Tensor] = []  # weights of the current task

    def _check_capacity(self, tasks: int) -> None:
        """Refuse a stream with a task that would find or keep no weight in a layer."""
        o = self.options
        for name, weight in zip(self._names, self._weights, strict=True):
            free = weight.numel()
            for task in range(tasks):
                kept = free - round(o.prune * free)
                if kept < 1:
                    fewer = f"stream.tasks={task} or fewer, " if task else ""
                    raise UsageError(
                        f"prune={o.prune} leaves no weight of {name} to task {task + 1} of {tasks}: {free} of its "
                        f"{weight.numel()} weights are free then; set a {'higher' if free < 2 else 'lower'} prune, "
                        f"{fewer}or choose a wider network."
                    )
                free -= kept

    def find(self, view: View) -> list[Tensor]:
        used, first = self.masks.union(), not len(self.masks)
        self.own = [~taken for taken in used]
        self._fit("train", view, self.options.epochs, self.options.lr, first)
        self._prune()
        if self.options.prune_epochs:
            self._fit("after pruning", view, self.options.prune_epochs, self.options.prune_lr, first)
        found = [taken | own for taken, own in zip(used, self.own, strict=True)]
        self.own = []
        return found

    def _fit(self, phase: str, view: View, epochs: int, lr: float, first: bool) -> None:
        """SGD on the task's own weights; all others stay, and those that no task owns are 0."""
        o, head, column = self.options, self.head.blocks[-1], self.head.targets(self.info.n_classes)
        norms = [] if first else list(batch_norms(self.backbone).values())
        small = [value for value in self._small().values() if isinstance(value, nn.Parameter)] if first else []

        def loss(batch: Batch) -> Tensor:
            for norm in norms:
                norm.eval()
            return F.cross_entropy(head(self.backbone(batch.x)), column[batch.y])

        def freeze(step: Step) -> None:
            for weight, own in zip(self._weights, self.own, strict=True):
                if weight.grad is not None:
                    weight.grad.mul_(own)

        trained = [*self._weights, *small, *head.parameters()]
        decays = MultiStep(tuple(range(o.decay_every, epochs, o.decay_every)))
        batches = self.batches(view.train, o.batch_size, o.augment)
        self.fit(
            phase, batches, loss, trained, epochs=epochs, optimizer=sgd(lr, o.momentum), schedule=decays,
            before_step=freeze,
        )  # fmt: skip

    @torch.no_grad()
    def _prune(self) -> None:
        """In each layer the smallest of the task's weights become 0 and free; those that tie with them, too."""
        for number, (weight, own) in enumerate(zip(self._weights, self.own, strict=True)):
            size = weight.abs()
            rank = round(self.options.prune * int(own.sum()))
            if rank:
                self.own[number] = own & (size > size[own].kthvalue(rank).values)
                weight.mul_(self.own[number] | ~own)

    def keeps(self) -> dict[str, Tensor]:
        return {}  # biases and norms do not change after the first task
