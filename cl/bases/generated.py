"""A network whose weights are generated from an embedding of the task: what hypernetworks have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from cl.bases.told_task import ToldTask
from cl.parts.generated import Generator, Layout, Weights, largest_chunk
from cl.parts.lookahead import planned
from cl.parts.task_parameters import TaskParameters
from cl.parts.weights import Lent, under
from cl.strategy import (
    DISJOINT,
    DOMAIN,
    RECIPES,
    Batch,
    Inputs,
    Needs,
    Step,
    StreamInfo,
    UsageError,
    View,
    adam,
    option,
    scales,
)

AT_ONCE = 1 << 24
"""Generated weights of earlier tasks in memory at once, in a step of training; and kept for predictions."""


@dataclass
class Earlier:
    """What the generator must go on to return for earlier tasks: embeddings [T, d], and its outputs or its copy.

    `importance` [T, size] are factors of the squared changes.
    """

    embeddings: Tensor
    outputs: Tensor | None
    copy: Generator | None
    importance: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes held during the training of a task."""
        copied = [] if self.copy is None else list(self.copy.parameters())
        held = [each for each in (self.outputs, self.importance, *copied) if each is not None]
        return sum(each.numel() * each.element_size() for each in held)

    def penalty(self, generated: Tensor, tasks: Tensor) -> Tensor:
        """The summed squares of what changed in the weights [k, size] of some of the tasks."""
        with torch.no_grad():
            if self.outputs is not None:
                wanted = self.outputs[tasks]
            else:
                assert self.copy is not None
                wanted = self.copy(self.embeddings[tasks])
        squares = (generated - wanted).square()
        return (squares if self.importance is None else self.importance[tasks] * squares).sum()


class Generated(ToldTask):
    """A generator (`make`) returns all weights of the backbone and of a task's head, given the task's embedding.

    It learns a task with the penalty beta / T * sum_j |W(e_j) - W*(e_j)|^2 over the T earlier tasks, where W* is the
    generator before the task. The penalty is taken at the weights that the next step for the task alone would give
    (`lookahead`). Without a given task, the answer is that of the task whose probabilities have the least entropy.
    """

    settings = (*DISJOINT, DOMAIN)

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(
            1e-3, "learning rate of the generator (Adam, fresh for every task)", gt=0, search=scales.log(1e-4, 1e-2)
        )
        embedding_lr: float = option(1e-3, "learning rate of the task's embedding", gt=0, search=scales.log(1e-4, 1e-2))
        beta: float = option(
            0.01, "weight of changes of generated weights of earlier tasks", ge=0, search=scales.log(1e-4, 1.0)
        )
        lookahead: bool = option(True, "measure changes where the next step for the new task alone would lead")
        backprop: bool = option(False, "differentiate through that step too; costs a second pass")
        targets: str = option(
            "outputs", "keep, during a task, the weights of earlier tasks, or a copy of the generator that makes them",
            choices=("outputs", "weights"),
        )  # fmt: skip
        penalised: int = option(0, "number of earlier tasks in the penalty of a step, drawn anew; 0: all", ge=0)
        embedding: int = option(32, "numbers in the embedding of a task", ge=1)
        chunk_embedding: int = option(8, "numbers in the embedding of a chunk", ge=1)
        ratio: float = option(1.0, "size of generator and embeddings as a share of the generated network's", gt=0)
        chunk: int = option(0, "weights that are generated together; 0: the most that `ratio` allows", ge=0)
        init: str = option(
            "scaled", "first weights generated: as large as the backbone's own, or Xavier's draw of the generator",
            choices=("scaled", "xavier"),
        )  # fmt: skip
        limit: int = option(3_000_000, "maximum number of generated weights; larger networks are refused", ge=1)
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def make(self, layout: Layout, chunk: int) -> Generator:
        """The generator for a chunk size; its values are drawn later."""
        raise NotImplementedError

    def importance_of(self, tasks: int) -> Tensor | None:
        """Factors [tasks, size] of squared changes of earlier tasks; none by default."""
        return None

    def setup(self, info: StreamInfo) -> None:
        o = self.options
        self._layout = Layout(self.backbone, max(info.classes_per_task))
        self._check()
        self.generator = self.make(self._layout, o.chunk or self._chunk(info.n_tasks)).to(self.device)
        self.generator.requires_grad_(False)
        scale = self._layout.scale if o.init == "scaled" else None
        self.generator.redraw(self.init_rng("generator"), o.embedding, scale)
        self.embeddings = TaskParameters().to(self.device)
        self.tasks: list[list[int]] = []  # position labels of each
        self.held = 0  # bytes of `Earlier` in the last task
        self._made: dict[int, tuple[Lent, Weights]] = {}
        self._made_by: list[tuple[Tensor, int]] = []
        self._columns: dict[tuple[int, ...], Tensor] = {}

    def _check(self) -> None:
        name, size, limit = self.backbone.identity["name"], self._layout.size, self.options.limit
        if self.backbone.batch_norms:
            raise UsageError(
                f"{name} has batch norms, and their running statistics are measured, not generated; choose a small "
                "network without them, such as mlp_2x100_28@random or cnn_x1_32@random."
            )
        if size > limit:
            raise UsageError(
                f"{size:,} weights of {name} and its head would be generated in every step, and the limit is {limit:,};"
                f" choose a network of at most {limit:,} weights with its head, or set limit={size}."
            )
        if self.options.chunk > size:
            raise UsageError(
                f"chunk={self.options.chunk} is more than the {size:,} weights of {name} and its head; choose at most "
                f"chunk={size}, or chunk=0 for the most that ratio allows."
            )
        if self.options.backprop and not self.options.lookahead:
            raise UsageError(
                "backprop differentiates through the step that lookahead plans, and lookahead is off; set "
                "lookahead=true or backprop=false."
            )

    def _chunk(self, tasks: int) -> int:
        """The largest chunk for the size that `ratio` asks for, with the embeddings of all tasks."""

        def numbers(chunk: int) -> int:
            with torch.device("meta"):
                return self.make(self._layout, chunk).numbers

        size = self._layout.size
        return largest_chunk(numbers, size, int(self.options.ratio * size) - tasks * self.options.embedding)

    # ------------------------------------------------------------------------------------------------- training

    def learn(self, view: View) -> None:
        earlier = self.begin(view)
        self.train_task(view, "generate", earlier)

    def begin(self, view: View) -> Earlier | None:
        """Add a task; returns what must stay of the earlier ones, None if there are none."""
        o, tasks = self.options, len(self.tasks)
        self.tasks = [*self.tasks, list(view.classes)]
        self.embeddings.add(torch.randn(o.embedding, generator=self.init_rng("embedding")))
        if not tasks or not o.beta:
            self.held = 0
            return None
        embeddings = torch.stack(self.embeddings.column(0, tasks))
        copied = copy.deepcopy(self.generator) if o.targets == "weights" else None
        outputs = None
        if copied is None:
            outputs = self.alike("targets", lambda: self._outputs(embeddings))
        earlier = Earlier(embeddings, outputs, copied, self.importance_of(tasks))
        self.held = earlier.nbytes
        return earlier

    @torch.no_grad()
    def _outputs(self, embeddings: Tensor) -> Tensor:
        """The weights [T, size] of some tasks."""
        return torch.cat([self.generator(some) for some in embeddings.split(self._at_once)])

    def train_task(self, view: View, phase: str, earlier: Earlier | None) -> None:
        """Train the generator and the embedding of the newest task."""
        o, (embedding,) = self.options, self.embeddings[-1]
        given: list[Batch] = []

        def loss(batch: Batch) -> Tensor:
            given[:] = [batch]
            return self.loss_under(self.generator(embedding[None])[0], batch.x, batch.y)

        def penalise(step: Step) -> None:
            if earlier is not None:
                again = tuple(given[0].x.shape) if o.lookahead and o.backprop else ()  # the batch is passed once more
                self.alike(("penalty", again), lambda: self._penalise(step, earlier, lambda: loss(given[0])))

        self.fit(
            phase,
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            [{"params": list(self.generator.parameters())}, {"params": [embedding], "lr": o.embedding_lr}],
            epochs=o.epochs,
            optimizer=adam(o.lr),
            before_step=penalise,
        )

    def loss_under(self, flat: Tensor, images: Tensor, labels: Tensor, task: int = -1) -> Tensor:
        """The cross-entropy over the classes of a task, of the network with weights [size]."""
        logits = self._logits(self._layout.split(flat), images, len(self.tasks[task]))
        return F.cross_entropy(logits, self._column(task)[labels])

    def _column(self, task: int) -> Tensor:
        """The output of each class of a task, by label; kept, because a step does not copy to the device."""
        classes = tuple(self.tasks[task])
        if classes not in self._columns:
            column = torch.zeros(self.info.n_classes, dtype=torch.long)
            column[list(classes)] = torch.arange(len(classes))
            self._columns[classes] = column.to(self.device)
        return self._columns[classes]

    def _logits(self, weights: Weights, images: Tensor, classes: int) -> Tensor:
        features = under(self.backbone, weights.backbone, images)
        return F.linear(features, weights.weight[:classes], weights.bias[:classes])

    @property
    def _at_once(self) -> int:
        """Tasks whose weights are generated together."""
        return max(1, AT_ONCE // self._layout.size)

    def _penalise(self, step: Step, earlier: Earlier, loss: Callable[[], Tensor]) -> None:
        """Add the gradient of the penalty to that of the task's loss."""
        o, count = self.options, len(earlier.embeddings)
        theta = dict(self.generator.named_parameters())
        trained = [*theta.values(), self.embeddings[-1][0]]
        change = self._ahead(step, trained, loss)
        moved = [(p + d).detach().requires_grad_() for p, d in zip(theta.values(), change, strict=True)]
        chosen = torch.arange(count)
        if 0 < o.penalised < count:
            chosen = torch.randperm(count)[: o.penalised]  # the global generator is saved with the fit
        total = [torch.zeros_like(each) for each in moved]
        for tasks in chosen.to(self.device).split(self._at_once):
            named = dict(zip(theta, moved, strict=True))
            generated = functional_call(self.generator, named, (earlier.embeddings[tasks],))
            value = o.beta / len(chosen) * earlier.penalty(generated, tasks)
            torch._foreach_add_(total, torch.autograd.grad(value, moved))
        added: list[Tensor | None] = [*total, None]
        if o.lookahead and o.backprop:
            through = torch.autograd.grad(change, trained, total, materialize_grads=True)
            added = [one if other is None else one + other for one, other in zip(through, added, strict=True)]
        for parameter, gradient in zip(trained, added, strict=True):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _ahead(self, step: Step, trained: list[nn.Parameter], loss: Callable[[], Tensor]) -> list[Tensor]:
        """How the generator's numbers would move in the next step for the task alone; zeros without `lookahead`."""
        if not self.options.lookahead:
            return [torch.zeros_like(each) for each in trained[:-1]]
        if not self.options.backprop:
            return planned(step.optimizer, trained[:-1])
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            gradients = torch.autograd.grad(loss(), trained[:-1], create_graph=True)
        return planned(step.optimizer, trained[:-1], gradients)

    def report(self) -> dict[str, float]:
        """Numbers of the generator with embeddings, of the generated network, their ratio; bytes held in training."""
        own = self.generator.numbers + sum(each.numel() for each in self.embeddings.parameters())
        size = self._layout.size
        return {"generator": own, "generated": size, "ratio": own / size, "held_bytes": self.held}

    # ----------------------------------------------------------------------------------------------- prediction

    @property
    def ready(self) -> bool:
        return len(self.tasks) > 0

    def network(self, task: int) -> Lent:
        return self._weights(task)[0]

    def _weights(self, task: int) -> tuple[Lent, Weights]:
        """The network of a task and its weights, generated once for as long as no number of the generator changes."""
        held = [*self.generator.parameters(), *self.embeddings.parameters()]
        now: list[tuple[Tensor, int]] = [(each, each._version) for each in held]
        if [(id(each), version) for each, version in now] != [(id(each), version) for each, version in self._made_by]:
            self._made, self._made_by = {}, now  # tensors are held, so that no other gets their ids
        if task not in self._made:
            if len(self._made) >= self._at_once:
                del self._made[next(iter(self._made))]
            with torch.no_grad():
                flat = self.alike("generated", lambda: self.generator(self.embeddings[task][0][None])[0])
            weights = self._layout.split(flat)
            self._made[task] = Lent(self.backbone, weights.backbone), weights
        return self._made[task]

    def predict_task(self, inputs: Inputs, task: int) -> Tensor:
        network, weights = self._weights(task)
        classes = self.tasks[task]
        logits = F.linear(inputs.encode(network), weights.weight[: len(classes)], weights.bias[: len(classes)])
        scores = logits.new_full((len(logits), self._seen), float("-inf"))
        scores[:, classes] = logits
        return scores

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        if task is not None:
            known = task < len(self.tasks)
            return (
                self.predict_task(inputs, task) if known else torch.zeros(len(inputs), self._seen, device=self.device)
            )
        each = torch.stack([self.predict_task(inputs, task) for task in range(len(self.tasks))])
        surest = torch.special.entr(each.softmax(2)).sum(2).argmin(0)
        return each[surest, torch.arange(len(surest), device=surest.device)]

    @property
    def _seen(self) -> int:
        return 1 + max(max(classes) for classes in self.tasks)
