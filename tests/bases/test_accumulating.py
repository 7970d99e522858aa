"""Training without tasks: one plain loop over three of them, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from cl.bases.accumulating import Accumulating
from cl.random import Seeds
from cl.strategy import StreamInfo
from cl.testing import tiny_backbone
from cl.training.batches import Batch
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.merging import still
from tests.help.plain_loops import Kept

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 8, "lr": 0.01}


class Linear(Accumulating):
    """A linear head without bias."""

    @dataclass(frozen=True)
    class Options(Accumulating.Options):
        """No options of its own."""

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.head = nn.Linear(self.backbone.dim, info.n_classes, bias=False)


@pytest.mark.parametrize(("kind", "decay"), [("adagrad", 0.8), ("s-mas", 0.01), ("sgd", 1.0)])
def test_three_tasks_end_like_a_plain_loop_that_knows_no_tasks(kind: str, decay: float, learn: Learn) -> None:
    backbone, trainer = tiny_backbone(), Trainer(seeds=Seeds())
    still(backbone)
    method = Linear(Linear.Options(**FAST, optimizer=kind, decay=decay), backbone, trainer)
    start: dict[str, torch.Tensor] = {}
    batches: list[Batch] = []
    fit = trainer.fit

    def noted(strategy: Any, phase: str, spec: Any) -> Any:
        if not start:
            start.update({name: value.detach().clone() for name, value in method._named().items()})
        return fit(strategy, phase, replace(spec, data=Kept(spec.data, batches)))

    vars(trainer)["fit"] = noted
    learn(method, tiny_stream(), 3)
    model, held = tiny_backbone().model, {name: value.clone() for name, value in start.items()}
    sums = {name: torch.zeros_like(value) for name, value in held.items()}
    for batch in batches:
        leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
        own = {n.removeprefix("backbone."): v for n, v in leaves.items() if n.startswith("backbone.")}
        z = functional_call(model, own, (batch.x,)) @ leaves["head.weight"].T
        gradients = torch.autograd.grad(F.cross_entropy(z, batch.y), list(leaves.values()), retain_graph=True)
        sensitive = torch.autograd.grad(z.square().mean(), list(leaves.values()))
        for name, g, s in zip(list(held), gradients, sensitive, strict=True):
            sums[name] += decay * (g**2 if kind == "adagrad" else s.abs())
            held[name] = held[name] - 0.01 * (g if kind == "sgd" else g / (sums[name] + 1e-6).sqrt())
    for name, value in method._named().items():
        torch.testing.assert_close(value.detach(), held[name], rtol=0, atol=1e-4)
    assert method.stored()["statistics"] == (0 if kind == "sgd" else 4 * sum(v.numel() for v in held.values()))
