"""Merging against official code: OPCM with both masks, its baselines, TIES, both scripts of PCB-Merging, and aTLAS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.merged import Merging
from cl.parts.merging import Coefficients, added, balances, linear_weights, pcb, task_vector, ties
from cl.parts.weights import under
from cl.strategies.model_average import ModelAverage
from cl.strategies.opcm import OPCM
from cl.strategies.task_arithmetic import TaskArithmetic
from cl.strategies.ties import TIES
from tests.conftest import tiny_stream
from tests.help.merging import watched
from tests.help.oracles import Oracle, names


class Net(nn.Module):
    """The network of the files."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2)
        self.up, self.norm, self.down, self.square = nn.Linear(5, 8), nn.LayerNorm(8), nn.Linear(8, 4), nn.Linear(4, 4)


def models(oracle: Oracle) -> list[dict[str, Tensor]]:
    """The task vectors of the fine-tuned networks."""
    count = len({key.split("/")[1] for key in oracle.arrays if key.startswith("model/")})
    pretrained = oracle.group("pretrained")
    return [task_vector(oracle.group(f"model/{task}"), pretrained) for task in range(count)]


def replayed(learner: Merging, oracle: Oracle) -> Merging:
    """Merge the networks of a file one by one, as `learn` does after each task, and compare every merged network."""
    learner.setup(tiny_stream().info)
    pretrained = oracle.group("pretrained")
    for task, vector in enumerate(models(oracle)):
        learner.head.grow_to(2 * (task + 1), torch.Generator().manual_seed(0))
        learner.merged.values = dict(learner.merge(vector))
        network = added(pretrained, learner.merged.values)
        expected = oracle.group(f"merged/{task}")
        assert set(expected) == set(network)
        for name, tensor in expected.items():
            oracle.compare("forward", network[name], tensor)
    return learner


@pytest.mark.parametrize("name", names("opcm"))
def test_opcm_merges_as_the_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = Oracle(name)
    settings = oracle.meta["settings"]
    learner = watched(OPCM, share=settings["alpha"], legacy=settings["legacy"])
    monkeypatch.setattr("cl.strategies.opcm.linear_weights", lambda _: linear_weights(Net()))
    replayed(learner, oracle)
    assert learner.scale == pytest.approx(float(oracle.arrays["lambda"][-1]), rel=1e-9)
    assert learner.length == pytest.approx(float(oracle.arrays["mean_norm"][-1]), rel=1e-9)


def test_both_masks_are_compared() -> None:
    assert {Oracle(name).meta["settings"]["legacy"] for name in names("opcm")} == {True, False}


def test_task_arithmetic_adds_as_the_code() -> None:
    oracle = Oracle("task-arithmetic-a")
    replayed(watched(TaskArithmetic, scale=oracle.meta["settings"]["scale"]), oracle)


def test_averages_are_those_of_the_code() -> None:
    replayed(watched(ModelAverage), Oracle("model-average-a"))


def test_ties_merges_models_as_they_arrive_like_the_code() -> None:
    oracle = Oracle("ties-continual-a")
    replayed(watched(TIES, **oracle.meta["settings"]), oracle)


@pytest.mark.parametrize("how", ["mean", "sum", "max"])
@pytest.mark.parametrize("keep", [20, 50])
def test_ties_merges_as_the_code(how: str, keep: int) -> None:
    oracle = Oracle("ties-a")
    found = ties(as_vectors(oracle), keep / 100, how)
    oracle.compare("forward", torch.cat([found["a"].flatten(), found["b"]]), oracle.tensor(f"merged/{how}/{keep}"))


def as_vectors(oracle: Oracle) -> list[dict[str, Tensor]]:
    """The rows of a file, as vectors of two tensors."""
    return [{"a": row[:120].reshape(10, 12), "b": row[120:]} for row in oracle.tensor("vectors")]


@pytest.mark.parametrize("name", names("pcb"))
def test_pcb_merges_as_the_code(name: str) -> None:
    oracle = Oracle(name)
    s, vectors = oracle.meta["settings"], as_vectors(oracle)
    found = pcb(vectors, s["keep"], s["scale"], s["clip"], raw=s["raw"])
    oracle.compare("forward", torch.cat([found["a"].flatten(), found["b"]]), oracle.tensor("merged"))
    weights = torch.stack(balances(vectors, s["keep"], s["clip"], raw=s["raw"]))
    oracle.compare("forward", weights, oracle.tensor("weights"))


def task_vectors_of(oracle: Oracle) -> list[dict[str, Tensor]]:
    order = [name for name, _ in oracle.backbone().model.named_parameters()]
    return [{name: oracle.group(f"vector/{task}")[name] for name in order} for task in range(3)]


@pytest.mark.parametrize("mode", ["blockwise", "isotropic"])
def test_atlas_combines_as_the_code(mode: str) -> None:
    oracle = Oracle("atlas-a")
    backbone, vectors = oracle.backbone(), task_vectors_of(oracle)
    coefficients = Coefficients(vectors, anisotropic=mode == "blockwise").requires_grad_(True)
    given = oracle.tensor(f"{mode}/coefficients")
    with torch.no_grad():
        coefficients.values.copy_(given.reshape(3, -1, 1))
    features = under(backbone, added(backbone.pretrained(), coefficients(vectors)), oracle.images())
    oracle.compare("forward", features, oracle.tensor(f"{mode}/features"))
    (features * oracle.tensor(f"{mode}/outer")).sum().backward()
    gradient: Any = coefficients.values.grad
    oracle.compare("forward", gradient.reshape(given.shape), oracle.tensor(f"{mode}/gradient"), "gradient")


def test_atlas_learns_the_coefficients_of_the_code() -> None:
    """The loss of the code is a sum of a mean per task, ours the mean over images: half of it for two tasks."""
    oracle = Oracle("atlas-a")
    backbone, vectors, settings = oracle.backbone(), task_vectors_of(oracle), oracle.meta["settings"]
    coefficients = Coefficients(vectors).requires_grad_(True)
    optimizer = torch.optim.AdamW(coefficients.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"])
    images, labels = oracle.images(), oracle.tensor("labels")
    head = torch.cat([oracle.tensor("head/0"), oracle.tensor("head/1")])
    tasks = torch.arange(6) // 3
    for expected in oracle.arrays["loss"]:
        logits = under(backbone, added(backbone.pretrained(), coefficients(vectors)), images) @ head.T
        loss = 2 * F.cross_entropy(logits.masked_fill(tasks[labels][:, None] != tasks, -torch.inf), labels)
        oracle.compare("loss", loss, np.asarray(expected))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(coefficients.parameters(), settings["clip"])
        optimizer.step()
    oracle.compare("training", coefficients.values[:, :, 0], oracle.tensor("final/coefficients"), "coefficients")


def test_partitions_of_matrices_are_combined_as_in_the_code() -> None:
    oracle = Oracle("atlas-partitions-a")
    given = [{f"w{n}": oracle.tensor(f"vectors/{n}")[task] for n in range(2)} for task in range(3)]
    coefficients = Coefficients(given, partitions=oracle.meta["settings"]["partitions"])
    with torch.no_grad():
        coefficients.values.copy_(torch.stack([oracle.tensor(f"coefficients/{n}") for n in range(2)], 1))
        for number in range(2):
            coefficients.get_buffer(f"part{number}").copy_(oracle.tensor(f"part/{number}"))
    for number in range(2):
        oracle.compare("forward", coefficients(given)[f"w{number}"], oracle.tensor(f"combined/{number}"))
    assert not oracle.tensor("bias").any(), "the code leaves out what is no matrix"
