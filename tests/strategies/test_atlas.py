"""aTLAS: coefficients learned on a memory, or on the images of the task, and folded into one network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from cl.parts.merging import Coefficients, added, task_arithmetic
from cl.strategies.atlas import ATLAS
from cl.testing import check_strategy
from cl.training import state
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.merging import Vector, close, merged, task_vectors, watched, watching

Learn = Callable[..., list[Any]]
QUICK: dict[str, Any] = {"coefficient_epochs": 3, "coefficient_lr": 0.05, "memory_size": 40}


def learned_by_hand(learner: ATLAS, task: int, vectors: list[Vector], width: int) -> Tensor:
    """The coefficients [T, width] after a plain loop over the batches of the run."""
    o, model, origin = learner.options, learner.backbone.model, learner.backbone.pretrained()
    values = torch.zeros(len(vectors), width, requires_grad=True)
    optimizer = torch.optim.AdamW([values], o.coefficient_lr, weight_decay=o.coefficient_decay)
    rows = torch.cat([block.weight for block in learner.head.blocks[: task + 1]])
    for batch in watching(learner).batches[task, "coefficients"]:
        weights = {}
        for number, name in enumerate(vectors[0]):
            column = min(number, width - 1)
            weights[name] = origin[name] + sum(values[i, column] * vector[name] for i, vector in enumerate(vectors))
        logits = F.normalize(functional_call(model, weights, (batch.x,)), dim=1) @ rows.T
        losses = []
        for line, label in zip(logits, batch.y.tolist(), strict=True):
            first = label - label % 2  # two classes per task
            losses.append(F.cross_entropy(line[None, first : first + 2], torch.tensor([label - first])))
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        torch.nn.utils.clip_grad_norm_([values], o.clip)
        optimizer.step()
    return values.detach()


@pytest.mark.parametrize("data", ["memory", "own"])
@pytest.mark.parametrize("anisotropic", [True, False])
def test_coefficients_are_those_of_a_plain_loop(
    learn: Learn, monkeypatch: pytest.MonkeyPatch, data: str, anisotropic: bool
) -> None:
    found = task_vectors(monkeypatch, ATLAS)
    learner = watched(ATLAS, data=data, anisotropic=anisotropic, **QUICK)
    after = learn(learner, tiny_stream(), 3, lambda s, v: (merged(s), list(s.coefficients)))
    for task, (vector, means) in enumerate(after):
        values = learned_by_hand(learner, task, found[: task + 1], len(vector) if anisotropic else 1)
        assert means == pytest.approx(values.mean(1).tolist(), abs=1e-4) and max(map(abs, means)) > 1e-3
        if not anisotropic:
            close(
                vector,
                {
                    n: torch.stack([values[i, 0] * each[n] for i, each in enumerate(found[: task + 1])]).sum(0)
                    for n in vector
                },
                1e-5,
            )
        assert {int(y) for batch in watching(learner).batches[task, "coefficients"] for y in batch.y} == (
            set(range(2 * task + 2)) if data == "memory" else {2 * task, 2 * task + 1}
        )


def test_the_optimisation_is_given_the_coefficients_alone(learn: Learn) -> None:
    learner = watched(ATLAS, **{**QUICK, "coefficient_decay": 0.2})
    learn(learner, tiny_stream(), 2)
    for task in range(2):
        spec = watching(learner).specs[task, "coefficients"]
        optimizer: Any = spec.optimizer
        assert [parameter.shape[0] for parameter in spec.trained] == [task + 1], "one row per task vector"
        assert optimizer.func is torch.optim.AdamW
        assert (optimizer.keywords["lr"], optimizer.keywords["weight_decay"]) == (0.05, 0.2)
        assert (spec.epochs, spec.clip) == (3, 1.0)


def test_coefficients_start_at_zero_so_the_first_loss_is_that_of_the_pretrained_network(learn: Learn) -> None:
    learner = watched(ATLAS, **QUICK)
    learn(learner, tiny_stream(), 0)
    found = []

    def look(self: ATLAS, batch: Any, tasks: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.head(self.scaled(self.backbone(batch.x)))
            own = tasks[batch.y][:, None] == tasks
            pretrained = F.cross_entropy(logits.masked_fill(~own, -torch.inf), batch.y)
        loss = ATLAS_LOSS(self, batch, tasks)
        found.append((float(pretrained), float(loss.detach())))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ATLAS, "_loss", look)
        learn(learner, tiny_stream(), 1)
    assert found[0][0] == pytest.approx(found[0][1], rel=1e-5)
    assert found[-1][1] < found[0][1], "learning lowers the loss"


ATLAS_LOSS = ATLAS._loss


def test_the_combination_is_folded_into_one_network(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Vector] = []
    forward = Coefficients.forward

    def keep(self: Coefficients, vectors: Any) -> Any:
        found = forward(self, vectors)
        kept.append({name: tensor.detach().clone() for name, tensor in found.items()})
        return found

    monkeypatch.setattr(Coefficients, "forward", keep)
    learner = watched(ATLAS, **QUICK)
    learn(learner, tiny_stream(), 2)
    close(merged(learner), kept[-1], atol=0)
    assert learner.mixing is None and len(learner.fresh) == 0 and len(learner.vectors) == 2
    network = added(learner.backbone.pretrained(), learner.merged.values)
    assert set(network) == set(learner.backbone.pretrained())


def test_one_coefficient_per_vector_is_task_arithmetic(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, ATLAS)
    learner = watched(ATLAS, anisotropic=False, **QUICK)
    learn(learner, tiny_stream(), 1)
    close(merged(learner), task_arithmetic(found, learner.coefficients[0]), atol=1e-6)


def test_the_memory_counts_as_samples_and_own_data_needs_none(learn: Learn) -> None:
    learner, own = watched(ATLAS, **QUICK), watched(ATLAS, data="own", **QUICK)
    learn(learner, tiny_stream(), 3)
    learn(own, tiny_stream(), 3)
    assert learner.memory is not None and len(learner.memory) == 40 and own.memory is None
    assert learner.memory.labels.unique().tolist() == list(range(6))
    assert learner.stored()["samples"] == state.nbytes(learner.memory.get_state()) and own.stored()["samples"] == 0
    one = state.nbytes(learner.merged.get_state())
    head = 4 * learner.head.classes * learner.backbone.dim
    assert learner.stored()["parameters"] == own.stored()["parameters"] == 4 * one + head


def test_partitions_have_coefficients_of_their_own(learn: Learn) -> None:
    learner = watched(ATLAS, partitions=3, **QUICK)
    learn(learner, tiny_stream(), 2)
    spec = watching(learner).specs[1, "coefficients"]
    assert spec.trained[0].shape[::2] == (2, 3)
    assert learner.report() == {f"task{task}.coefficient": value for task, value in enumerate(learner.coefficients)}


def test_running_statistics_stay_those_of_the_pretrained_network(learn: Learn) -> None:
    learner = watched(ATLAS, conv_backbone(), **QUICK)
    learn(learner, tiny_stream(), 2)
    moved = {name for name, tensor in learner.merged.values.items() if tensor.any()}
    assert moved and not any("running" in name for name in moved)


@pytest.mark.parametrize("options", [{"data": "own"}, {"partitions": 2}])
def test_variants_keep_the_contract(options: dict[str, Any]) -> None:
    check_strategy("atlas", options={**options, "memory_size": 20}, only=["resume", "state-round-trip", "memory"])
