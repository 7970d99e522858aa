"""Task vectors for tests of merging, in float64; learners that merge, and what their fits were given."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.bases.merged import Merging
from cl.errors import UsageError
from cl.random import Seeds
from cl.strategy import Inputs, StoredImages
from cl.training.batches import Batch
from cl.training.fit import FitSpec
from cl.training.journal import Learner
from cl.training.trainer import Trainer
from tests.conftest import tiny_backbone, tiny_stream
from tests.help.plain_loops import Kept

M = TypeVar("M", bound=Merging)

SHAPES: dict[str, tuple[int, ...]] = {
    "blocks.0.qkv.weight": (12, 4),
    "blocks.0.fc.weight": (6, 4),
    "conv.weight": (3, 2, 2, 2),
    "bias": (5,),
    "gain": (),
}
"""Two linear layers, one of them fused, a convolution, a vector and a number."""

MATRICES = {"blocks.0.qkv.weight": 3, "blocks.0.fc.weight": 1}
"""The weights of linear layers, and the matrices fused in each."""

Vector = dict[str, Tensor]


def vectors(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Vector]:
    """Task vectors of one network."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in SHAPES.items()}
        for _ in range(count)
    ]


def dense(vector: Mapping[str, Tensor]) -> Tensor:
    """All values, [d]."""
    return torch.cat([tensor.flatten() for tensor in vector.values()])


def close(one: Mapping[str, Tensor], two: Mapping[str, Tensor], atol: float = 1e-12) -> None:
    """Assert that two vectors have the same names and shapes, and the same values up to rounding."""
    assert list(one) == list(two)
    for name, tensor in one.items():
        assert tensor.shape == two[name].shape and torch.allclose(tensor, two[name], rtol=0, atol=atol), name


def times(factor: float, vector: Mapping[str, Tensor]) -> Vector:
    """factor * vector."""
    return {name: factor * tensor for name, tensor in vector.items()}


def broken(kind: str) -> tuple[list[Any], str]:
    """Two vectors that cannot be merged, and how the sentence about it begins or what it contains."""
    one, two = vectors(2)
    if kind == "names":
        return [one, {**two, "head.weight": torch.ones(2)}], "only checkpoint 1 has a tensor 'head.weight'"
    if kind == "shapes":
        return [
            one,
            {**two, "bias": torch.ones(6)},
        ], r"'bias' has the shape \[5\] in checkpoint 0 and \[6\] in checkpoint 1"
    if kind == "nested":
        return [one, {**two, "bias": {"value": two["bias"]}}], "'bias' of checkpoint 1 is a dict, not a tensor"
    if kind == "finite":
        return [
            one,
            {**two, "bias": torch.full((5,), torch.nan)},
        ], "'bias' of a checkpoint has a value that is not finite"
    return [], "there is nothing to merge"


BROKEN = ("names", "shapes", "nested", "finite", "none")


def refused(call: Any, says: str) -> None:
    """Assert that a call is refused as wrong usage, in one sentence."""
    with pytest.raises(UsageError, match=says) as caught:
        call()
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def still(module: nn.Module) -> None:
    """Turn dropout off, so that a plain loop needs no random numbers."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def stack(given: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """The vectors as rows [T, d]."""
    return torch.stack([dense(vector) for vector in given])


# ------------------------------------------------------------------------------------------------------ learners


class Watching(Trainer):
    """A trainer that keeps the batches of every fit, and what the fit was given, by task and phase."""

    def __init__(self) -> None:
        super().__init__(seeds=Seeds())
        self.batches: dict[tuple[int, str], list[Batch]] = {}
        self.specs: dict[tuple[int, str], FitSpec] = {}

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        key = self.journal.task, phase
        self.batches[key], self.specs[key] = [], spec
        return super().fit(strategy, phase, replace(spec, data=Kept(spec.data, self.batches[key])))


FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 3e-3, "augment": "crop-flip"}
"""Options with which a tiny backbone moves in a few steps."""


def watched(method: type[M], backbone: Backbone | None = None, **options: Any) -> M:
    """A learner without dropout, whose trainer is `Watching`."""
    backbone = backbone or tiny_backbone()
    still(backbone)
    return method(method.Options(**{**FAST, **options}), backbone, Watching())


def watching(learner: Merging) -> Watching:
    """Its trainer."""
    assert isinstance(learner.trainer, Watching)
    return learner.trainer


def task_vectors(monkeypatch: pytest.MonkeyPatch, method: type[Merging]) -> list[Vector]:
    """The task vector of every task that a method merges from now on."""
    found: list[Vector] = []
    merge = method.merge

    def keep(self: Any, vector: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        found.append({name: tensor.clone() for name, tensor in vector.items()})
        return merge(self, vector)

    monkeypatch.setattr(method, "merge", keep)
    return found


def merged(learner: Merging) -> Vector:
    """A copy of the merged task vector."""
    return {name: tensor.clone() for name, tensor in learner.merged.values.items()}


def scores(learner: Merging, tasks: int = 5) -> Tensor:
    """Scores of the test images of the tiny stream, memoised as in a run."""
    stream = tiny_stream()
    source = StoredImages(learner.trainer.encodings, stream.store("test"), stream.test_rows(range(tasks))[0])
    with torch.no_grad():
        return learner.predict(Inputs(None, "cpu", source))


def fine_tuned(learner: Merging, task: int, phase: str, start: Mapping[str, Tensor], head: nn.Linear) -> Vector:
    """The weights after the fine-tuning of a task in a plain loop: AdamW, warm-up and cosine, bounded gradients."""
    o, batches = learner.options, watching(learner).batches[task, phase]
    model = copy.deepcopy(learner.backbone.model).train()
    model.load_state_dict(dict(start), strict=False)
    model.requires_grad_(True)
    first = learner.head.classes - head.out_features
    optimizer = torch.optim.AdamW(model.parameters(), o.lr, weight_decay=o.weight_decay)
    warmup = round(o.warmup * len(batches))
    for step, batch in enumerate(batches):
        share = (step - warmup) / max(len(batches) - warmup, 1)
        rate = step / warmup if step < warmup else (1 + math.cos(math.pi * share)) / 2
        optimizer.param_groups[0]["lr"] = o.lr * rate
        logits = head(F.normalize(model(batch.x), dim=1))
        optimizer.zero_grad()
        F.cross_entropy(logits, batch.y - first).backward()
        nn.utils.clip_grad_norm_(model.parameters(), o.clip)
        optimizer.step()
    return {name: tensor.detach() for name, tensor in model.named_parameters()}
