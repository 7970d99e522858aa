"""HiDe-Prompt's four optimisations against plain loops over the same batches: rates, clips, schedules, parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached.prefixes import Prefix, prefixed
from cl.strategies.hide_prompt import HiDePrompt
from cl.strategies.norga import NoRGa
from cl.strategy import Strategy
from cl.training.batches import Batch, ImageBatches, Rng
from tests.conftest import make, tiny_stream
from tests.help.hide_prompt import FAST

Learn = Callable[..., list[Any]]
DISTINCT: dict[str, Any] = {
    **FAST, "epochs": 3, "milestones": (1,), "lr": 0.05, "head_lr_scale": 0.2, "clip": 0.4, "reg": 0.7,
    "tii_epochs": 2, "tii_lr": 0.01, "tii_clip": 0.3, "tii_augment": "flip",
    "tii_ca_epochs": 3, "tii_ca_lr": 0.02, "tii_ca_samples": 12, "ca_epochs": 3, "ca_lr": 0.04, "ca_samples": 8,
}  # fmt: skip
"""No two optimisations have a value in common, so that one given the value of another ends elsewhere."""


class Recorded:
    """A source that keeps the batches of each epoch."""

    def __init__(self, source: Any) -> None:
        self.source, self.epochs = source, list[list[Batch]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        self.epochs.append([])
        for batch in self.source.epoch(epoch, rng, start):
            self.epochs[-1].append(batch)
            yield batch


class Phase:
    """A fit: its learner before it, its batches, and what it trained after it."""

    def __init__(self, learner: Any, name: str, data: Any) -> None:
        self.name, self.data, self.task = name, Recorded(data), learner.trainer.journal.task
        self.tii, self.head = copy.deepcopy(learner.tii), copy.deepcopy(learner.head)
        self.prompts = copy.deepcopy(learner.prompts)
        self.means = learner.instructed.mean.clone()
        self.after: list[Tensor] = []


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> list[Phase]:
    """Every fit in order."""
    found: list[Phase] = []
    fit = Strategy.fit

    def watched(self: Any, phase: str, data: Any, loss: Any, params: Any, **arguments: Any) -> Any:
        given: list[Any] = list(params)
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        groups = [{**group, "params": list(group["params"])} for group in groups]
        seen = Phase(self, phase, data)
        result = fit(self, phase, seen.data, loss, groups, **arguments)
        seen.after = [parameter.detach().clone() for group in groups for parameter in group["params"]]
        found.append(seen)
        return result

    monkeypatch.setattr(Strategy, "fit", watched)
    return found


@pytest.fixture
def learned(phases: list[Phase], learn: Learn) -> Callable[..., HiDePrompt]:
    def run(method: type[HiDePrompt] = HiDePrompt, **options: Any) -> HiDePrompt:
        learner = make(method, **{**DISTINCT, **options})
        learn(learner, tiny_stream(), 2)
        return learner

    return run


def of(phases: list[Phase], name: str) -> list[Phase]:
    return [phase for phase in phases if phase.name == name]


def train(
    phase: Phase, groups: list[dict[str, Any]], loss: Callable[[Batch], Tensor], optimizer: Any, schedule: Any = None,
    clip: float | None = None,
) -> None:  # fmt: skip
    """PyTorch's loop over the batches of a fit; asserts that the fit ended in the same values."""
    parameters = [parameter.requires_grad_(True) for group in groups for parameter in group["params"]]
    steps = optimizer(groups)
    rates = schedule(steps) if schedule else None
    for batches in phase.data.epochs:
        for batch in batches:
            steps.zero_grad()
            loss(batch).backward()
            if clip:
                nn.utils.clip_grad_norm_(parameters, clip)
            steps.step()
        if rates:
            rates.step()
    assert len(parameters) == len(phase.after)
    for ours, theirs in zip(phase.after, parameters, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5), f"{phase.name} of task {phase.task}"


def cosine(epochs: int) -> Callable[..., Any]:
    return lambda steps: torch.optim.lr_scheduler.CosineAnnealingLR(steps, epochs)


def local(logits: Tensor, batch: Batch, task: int) -> Tensor:
    """Cross-entropy over the two classes of a task."""
    return F.cross_entropy(logits[:, 2 * task : 2 * task + 2], batch.y - 2 * task)


def test_task_inference_trains_mlp_and_head_at_its_own_rate_and_clip(
    learned: Callable[..., HiDePrompt], phases: list[Phase]
) -> None:
    learner = learned()
    for phase in of(phases, "task inference"):

        def loss(batch: Batch, phase: Phase = phase) -> Tensor:
            with torch.no_grad():
                u = learner.backbone(batch.x)
            return local(phase.tii(u), batch, phase.task)

        assert [len(phase.data.epochs), phase.data.source.augment] == [2, "flip"]
        groups = [{"params": list(phase.tii.parameters())}]
        train(phase, groups, loss, lambda groups: torch.optim.Adam(groups, lr=0.01), clip=0.3)


def test_task_inference_without_augmentation_uses_memoised_features(
    learned: Callable[..., HiDePrompt], phases: list[Phase]
) -> None:
    learned(tii_augment="none")
    for phase in of(phases, "task inference"):
        assert not isinstance(phase.data.source, ImageBatches)
        groups = [{"params": list(phase.tii.parameters())}]
        loss = lambda batch, phase=phase: local(phase.tii(batch.x), batch, phase.task)  # noqa: E731
        train(phase, groups, loss, lambda groups: torch.optim.Adam(groups, lr=0.01), clip=0.3)


@pytest.mark.parametrize(
    ("name", "part", "rate", "samples"),
    [("task inference alignment", "tii", 0.02, 12), ("head alignment", "head", 0.04, 8)],
)
def test_alignment_is_sgd_with_a_cosine_on_features_of_its_own_statistics(
    name: str, part: str, rate: float, samples: int, learned: Callable[..., HiDePrompt], phases: list[Phase]
) -> None:
    learner = learned()
    (phase,) = of(phases, name)
    own = learner.uninstructed if part == "tii" else learner.instructed
    assert phase.data.source.gaussians is own and len(own) == 4
    assert (phase.data.source.per_class, phase.data.source.steps, len(phase.data.epochs)) == (samples, 2, 3)
    assert all(len(batch.x) == samples for batches in phase.data.epochs for batch in batches)
    classifier = getattr(phase, part)
    train(
        phase, [{"params": list(classifier.parameters())}],
        lambda batch: F.cross_entropy(classifier(batch.x), batch.y),
        lambda groups: torch.optim.SGD(groups, lr=rate, momentum=0.9), cosine(3),
    )  # fmt: skip


@pytest.mark.parametrize("method", [HiDePrompt, NoRGa])
def test_a_prompt_trains_in_its_ensemble_with_the_contrastive_term(
    method: type[HiDePrompt], learned: Callable[..., HiDePrompt], phases: list[Phase]
) -> None:
    learner = learned(method)
    for phase in of(phases, "prompt"):
        prompts, task = phase.prompts, phase.task
        own = prompts.prompts[task]
        gates = [prompts.alpha_in, prompts.alpha_out]

        def gated(scores: Tensor, i: int, gates: list[nn.Parameter] = gates) -> Tensor:
            return gates[1][i] * torch.tanh(gates[0][i] * scores)

        def loss(batch: Batch, phase: Phase = phase, own: nn.Parameter = own, gated: Any = gated) -> Tensor:
            prompt: Tensor = own
            if phase.task:
                prompt = 0.8 * own + 0.2 * phase.prompts.prompts[0].detach()
            given = {i: Prefix(prompt[i, 0], prompt[i, 1]) for i in range(2)}
            added = {i: (lambda scores, i=i: gated(scores, i)) for i in range(2)} if method is NoRGa else None
            h = prefixed(learner.backbone, batch.x, given, added)
            rows = torch.cat([phase.means, h])
            contrast = -((rows @ rows.T) / 0.8).log_softmax(1).diagonal().mean()
            return local(phase.head(h), batch, phase.task) + 0.7 * contrast

        trained = [own, *(gates if method is NoRGa and task == 0 else [])]
        groups = [{"params": trained, "lr": 0.05}, {"params": list(phase.head.parameters()), "lr": 0.01}]
        assert [len(phase.data.epochs), phase.data.source.augment] == [3, "crop-flip"]
        train(
            phase, groups, loss, torch.optim.Adam, lambda steps: torch.optim.lr_scheduler.MultiStepLR(steps, [1]),
            clip=0.4,
        )  # fmt: skip
