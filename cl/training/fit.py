"""The inner optimisation loop of every method: steps, selection of the best state, learning rate, checkpoints."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.backbone.batch_norms import has_batch_norms
from cl.errors import ContractError, NonFiniteLoss, UsageError
from cl.progress.base import Observer
from cl.training import state
from cl.training.batches import Batch, Rng, Source, without_single
from cl.training.checkpoint import Key
from cl.training.generators import generator, global_state, seed_globals, set_global_state
from cl.training.journal import Journal, Learner
from cl.training.norm_statistics import measured_anew, under_dropout
from cl.training.optim import Constant, Optimizer, Plateau, Schedule, Step, When

SYNC_EVERY = 20
"""Steps between checks of the loss on an accelerator; each check waits for the device."""

NORM_BATCHES = 100
"""Maximum number of batches to measure the statistics of batch norms again."""

_PROGRESS = ("epoch", "step", "rate", "best_score", "best_epoch", "stale", "best", "losses", "spent")
"""Attributes that hold the progress of a fit, in addition to the state of the strategy and of the optimiser."""


@dataclass(frozen=True)
class FitSpec:
    """The arguments of one optimisation; see `cl.strategy.Strategy.fit`."""

    data: Source
    loss: Callable[[Batch], Tensor]
    params: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
    """Becomes a list of groups, each with a list of parameters."""
    epochs: int
    optimizer: Optimizer
    schedule: Schedule = Constant()  # noqa: RUF009 - an immutable value
    before_step: Callable[[Step], None] | None = None
    after_step: Callable[[Step], None] | None = None
    validate: Callable[[], float] | None = None
    select: str = "last"
    plateau: Plateau | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.select not in ("last", "best"):
            raise UsageError(f"fit: select is 'last' or 'best', not {self.select!r}.")
        if (self.select == "best" or self.plateau is not None) and self.validate is None:
            raise UsageError("fit: select='best' or a plateau needs validate, a function that returns a score.")
        params: list[Any] = list(self.params)
        groups = params if params and isinstance(params[0], dict) else [{"params": params}]
        object.__setattr__(self, "params", [{**group, "params": list(group["params"])} for group in groups])

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups."""
        return cast(list[dict[str, Any]], self.params)

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters of all groups."""
        return [parameter for group in self.groups for parameter in group["params"]]


class Fit:
    """One optimisation: its loop, best state, learning rate and checkpoints."""

    def __init__(
        self, journal: Journal, strategy: Learner, key: Key, spec: FitSpec, *, device: torch.device, observer: Observer
    ) -> None:
        self.journal, self.strategy, self.key, self.spec = journal, strategy, key, spec
        self.device, self.observer, self.cost, self.seed = device, observer, journal.cost, journal.seeds.data
        self.trained = spec.trained
        self._own(strategy)
        trained = list(filter(_trains, self.modules))
        self.data = without_single(spec.data) if has_batch_norms(trained) else spec.data
        self.norms, self.dropouts = under_dropout(trained)
        self.tracked = [int(norm.num_batches_tracked) for norm in self.norms]
        self.optimizer = (fused(spec.optimizer) if device.type == "cuda" else spec.optimizer)(spec.groups)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.epoch, self.step, self.rate = 0, 0, 1.0  # rate: factor of the learning rate after plateaus
        self.best_score, self.best_epoch, self.stale = float("-inf"), -1, 0
        self.best: list[Tensor] = []
        self.reads_each_loss = device.type == "cpu"  # on an accelerator the host would wait for each step
        self.spent = 0.0  # FLOPs of the steps, without validation
        self.losses: list[float] = []
        wide = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
        self.loss_sum = torch.zeros((), dtype=wide, device=device)
        place = {id(parameter): number for number, parameter in enumerate(state.parameters_of(strategy))}
        trains = tuple((place[id(parameter)], parameter.shape) for parameter in self.trained)
        self.structure = state.digest((key.name, strategy.structure(), trains))

    def _own(self, strategy: Learner) -> None:
        """Let only the given parameters train, and freeze all others in the state.

        Raises `ContractError` for a parameter that is not in the state.
        """
        self.modules = list(state.modules_of(strategy))
        held = {id(parameter): parameter for parameter in state.parameters_of(strategy)}
        if not self.trained:
            raise ContractError(f"{self.key} was given no parameters to train.")
        for parameter in self.trained:
            if id(parameter) not in held:
                raise ContractError(
                    f"{self.key} would train a parameter of shape {tuple(parameter.shape)} that the strategy's state "
                    "does not hold; keep its module in a public attribute created in setup()."
                )
        for parameter in held.values():
            parameter.requires_grad_(False)
        for parameter in self.trained:
            parameter.requires_grad_(True)
        count = sum(parameter.numel() for parameter in self.trained)
        self.cost.trainable = max(self.cost.trainable, count)

    def _train_mode(self) -> None:
        """Put modules with a trained parameter into training mode; frozen modules stay in evaluation mode."""
        for module in self.modules:
            module.train(_trains(module))

    def _eval_mode(self) -> None:
        for module in self.modules:
            module.eval()

    # -------------------------------------------------------------------------------------------------------- loop

    def run(self, occurrence: int) -> dict[str, Any]:
        """Do the remaining steps; `occurrence` distinguishes fits of the same name within a task."""
        seed_globals(self.seed, "fit", self.key.task, self.key.name, occurrence)
        self._resume()
        epochs, steps = self.spec.epochs, self.data.steps
        self.observer.phase(self.key.name, epochs * steps, self.epoch * steps + self.step)
        try:
            self._train_mode()
            while self.epoch < epochs and not self._stopped():
                self._one_epoch(epochs, steps, occurrence)
            if self.spec.select == "best":
                self._load_best()
            self._check_trained()
        finally:
            self.observer.end_phase()
        for parameter in self.trained:
            parameter.requires_grad_(False)
            parameter.grad = None
        self._eval_mode()
        return {
            "loss": self.losses, "epochs": self.epoch, "best_epoch": self.best_epoch, "best_score": self.best_score,
            "flops": self.spent,
        }  # fmt: skip

    def _one_epoch(self, epochs: int, steps: int, occurrence: int) -> None:
        def rng(*purpose: str | int, epoch: int = self.epoch) -> torch.Generator:
            return generator(self.seed, "fit", self.key.task, self.key.name, occurrence, epoch, *purpose)

        with self.cost.timed("data"):
            batches = iter(self.data.epoch(self.epoch, rng, self.step))
            batch = next(batches, None)
        while batch is not None:
            self._one_step(batch, Step(self.epoch, self.step, epochs, steps, self.optimizer))
            self.step += 1
            if self.journal.due() and math.isfinite(float(self.loss_sum)):
                self._save()
            with self.cost.timed("data"):
                batch = next(batches, None)
        if self.spec.validate is not None or self.epoch + 1 == epochs:
            with self.cost.part("statistics"):
                self._measure_norms(rng)
        self._end_epoch()

    def _one_step(self, batch: Batch, step: Step) -> None:
        factor = self.rate * self.spec.schedule(step)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        cached = getattr(self.data, "flops_per_item", 0.0) * len(batch)
        alike = "step", self.structure, tuple(batch.x.shape), len(batch)
        value, flops = self.cost.alike(alike, lambda: self._backward(batch), cached)
        self.spent += flops
        with self.cost.part("optimiser"):
            if self.spec.before_step:
                self.spec.before_step(step)
            if self.spec.clip is not None:
                nn.utils.clip_grad_norm_(self.trained, self.spec.clip)
            self._update()
            if self.spec.after_step:
                self.spec.after_step(step)
        self.loss_sum += value
        shown = None
        if self.reads_each_loss or step.step % SYNC_EVERY == 0 or step.step == step.steps - 1:
            shown = float(value)
            self._check_finite(shown if self.reads_each_loss else float(self.loss_sum), step)
        self.observer.advance(len(batch), shown)

    def _update(self) -> None:
        self.optimizer.step()
        for group in self.optimizer.param_groups:
            if group.get("fused"):  # fused kernels do not bump version counters: the backbone would look unchanged
                for parameter in filter(_has_gradient, group["params"]):
                    torch.autograd.graph.increment_version(parameter)  # takes no list before 2.5

    def _check_finite(self, loss: float, when: When) -> None:
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}", f"epoch {when.epoch}, step {when.step}")

    def _check_trained(self) -> None:
        """Check the weights: the last step may diverge without a later loss to show it."""
        sums = torch.stack([parameter.detach().sum().float() for parameter in self.trained])
        if bool(torch.isfinite(sums).all()):  # much faster than to look at each value
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.trained):  # large sums overflow
            raise self._diverged("the weights became nan or infinite", "last step")

    def _diverged(self, what: str, where: str) -> NonFiniteLoss:
        return NonFiniteLoss(
            f"{what} in task {self.key.task}, fit {self.key.name!r}, {where}; lower the learning rate (for example "
            "--set lr=...) and run again. What was learned up to the last checkpoint is kept."
        )

    def _backward(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        try:
            with self.cost.part("forward"):
                loss = self.spec.loss(batch)
        except ValueError as error:
            if len(batch) > 1 or "more than 1 value per channel" not in str(error):
                raise
            raise UsageError(
                f"fit {self.key.name!r} of task {self.key.task} trains batch norms on one image, whose mean is the "
                "image itself; use batches of two or more images, or a network without batch norm."
            ) from error
        with self.cost.part("backward"):
            loss.backward()
        return loss.detach()

    def _measure_norms(self, rng: Rng) -> None:
        """Measure running averages of batch norms again without dropout: averages under dropout do not fit test images.

        Uses at most `NORM_BATCHES` batches of an epoch in another order. Does nothing for networks without dropout, or
        if the fit did not change the averages (`batch_statistics` of `parts.statistics`).
        """
        now = [int(norm.num_batches_tracked) for norm in self.norms]
        moved = [norm for norm, count, before in zip(self.norms, now, self.tracked, strict=True) if count != before]
        if not moved:
            return
        batches = self.data.epoch(self.epoch, functools.partial(rng, "norms"))

        def pass_images() -> None:
            with torch.no_grad():
                for batch in itertools.islice(batches, NORM_BATCHES):
                    self.spec.loss(batch)

        with measured_anew(moved, self.dropouts):
            self.cost.alike(("norms", self.key), pass_images)

    # ------------------------------------------------------------------------------- selection, plateau, disk

    def _end_epoch(self) -> None:
        self.losses.append(float(self.loss_sum) / max(self.step, 1))
        self.loss_sum.zero_()
        if self.spec.validate is not None:
            self._eval_mode()
            with self.cost.part("evaluation"):
                score = float(self.cost.alike(("validation", self.key), self.spec.validate)[0])
            if not math.isfinite(score):
                raise self._diverged(f"the validation score became {score}", f"epoch {self.epoch}")
            self._train_mode()
            if score > self.best_score:
                self.best_score, self.best_epoch, self.stale = score, self.epoch, 0
                if self.spec.select == "best":
                    self.best = [tensor.detach().clone() for tensor in self._selectable()]
            else:
                self.stale += 1
                if self.spec.plateau and self.stale > self.spec.plateau.patience:
                    self.rate, self.stale = self.rate * self.spec.plateau.factor, 0
        self.epoch, self.step = self.epoch + 1, 0

    def _stopped(self) -> bool:
        return self.spec.plateau is not None and self.rate * max(self.base_rates) < self.spec.plateau.minimum

    def _selectable(self) -> list[Tensor]:
        """The tensors of the best state: trained parameters, and the buffers of their modules."""
        buffers = [buffer for module in self.modules if module.training for buffer in module.buffers()]
        return [*self.trained, *buffers]

    def _load_best(self) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._selectable(), self.best, strict=True):
                tensor.copy_(value)

    def _save(self) -> None:
        progress = {name: getattr(self, name) for name in _PROGRESS}
        value = {
            "fit": {**progress, "loss_sum": self.loss_sum},
            "optimizer": self.optimizer.state_dict(),
            "globals": global_state(),
        }
        self.journal.save_partial(self.key, self.strategy, value)

    def _resume(self) -> None:
        partial = self.journal.load_partial(self.key, self.strategy)
        if partial is None:
            return
        self.optimizer.load_state_dict(partial["optimizer"])
        for name, value in partial["fit"].items():
            setattr(self, name, value)
        self.loss_sum, self.best = self.loss_sum.to(self.device), [tensor.to(self.device) for tensor in self.best]
        set_global_state(partial["globals"])
        self.journal.resumed_from.append(f"in {self.key}, epoch {self.epoch}, step {self.step}")


def fused(optimizer: Optimizer) -> Optimizer:
    """The same optimiser with one kernel for all parameters, which repeats its bits; others are returned unchanged."""
    if not isinstance(optimizer, functools.partial) or not optimizer.keywords.get("foreach"):
        return optimizer
    return functools.partial(optimizer, foreach=False, fused=True)


def _has_gradient(parameter: Tensor) -> bool:
    return parameter.grad is not None


def _trains(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
