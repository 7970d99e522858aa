"""Tuning in the input space: the backbone never moves, and the change and the head follow a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.strategies.input_tuning import InputTuning
from cl.strategies.linear_probe import LinearProbe
from cl.testing import check_strategy, tiny_backbone
from tests.conftest import make, run, tiny_stream
from tests.help.exemplars import DECAY, FAST, MOMENTUM, Learn, learner, stepped

OWN: dict[str, Any] = {**FAST, "delta_lr_scale": 5.0}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"stability": 0.1, "border": 2, "loss": "global"}])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("input-tuning", options=options)


@pytest.mark.parametrize("kind", ["local", "global"])
def test_without_a_rate_for_the_change_it_is_a_linear_probe(learn: Learn, kind: str) -> None:
    plain = {**FAST, "augment": "none", "loss": kind}
    ours, probe = make(InputTuning, **plain, delta_lr_scale=0.0), make(LinearProbe, **plain)
    for method in (ours, probe):
        learn(method, tiny_stream(), 3)
    for one, two in zip(ours.head.parameters(), probe.head.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)
    assert not ours.delta.delta.any()


@pytest.mark.parametrize("options", [{}, {"stability": 0.3, "clip": False}, {"border": 2, "loss": "global"}])
def test_three_tasks_end_like_a_plain_loop(options: dict[str, Any], learn: Learn) -> None:
    method = learner(InputTuning, **OWN, **options)
    model, view = tiny_backbone().model, method.backbone.transform
    low, high = (((edge - torch.tensor(view.mean)) / torch.tensor(view.std)).view(3, 1, 1) for edge in (0, 1))
    kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def after(learned: InputTuning, _: Any) -> None:
        weight = torch.cat([block.weight.detach() for block in learned.head.blocks])
        bias = torch.cat([block.bias.detach() for block in learned.head.blocks])
        kept.append((learned.delta.delta.detach().clone(), weight, bias))

    learn(method, tiny_stream(), 3, after)
    delta = torch.zeros(3, view.size, view.size)
    for task, (ours, weight, bias) in enumerate(kept):
        batches, start = method.trainer.batches[task, "train"], method.trainer.starts[task, "train"]
        held = [delta.clone(), start["head_weight"], start["head_bias"]]
        speed = [torch.zeros_like(value) for value in held]
        rate = stepped(batches)
        for step, batch in enumerate(batches):
            leaves = [value.detach().requires_grad_(True) for value in held]
            own = leaves[0]
            if border := options.get("border", 0):
                frame = torch.ones_like(own)
                frame[:, border:-border, border:-border] = 0
                own = own * frame
            x = batch.x + own
            if options.get("clip", True):
                x = torch.minimum(torch.maximum(x, low), high)
            z = model(x) @ leaves[1].T + leaves[2]
            if options.get("loss") == "global":
                loss = F.cross_entropy(z, batch.y)
            else:
                loss = F.cross_entropy(z[:, 2 * task : 2 * task + 2], batch.y - 2 * task)
            loss = loss + options.get("stability", 0.0) * (leaves[0] - delta).square().sum()
            for i, gradient in enumerate(torch.autograd.grad(loss, leaves)):
                speed[i] = MOMENTUM * speed[i] + gradient + DECAY * held[i]
                held[i] = held[i] - rate(step) * (5.0 if i == 0 else 1.0) * speed[i]
        for name, plain, found in zip(("delta", "weight", "bias"), held, (ours, weight, bias), strict=True):
            assert float((plain - found).abs().max()) < 1e-5, f"{name} of task {task}"
        delta = held[0]
    assert delta.any()


def test_the_backbone_never_moves_and_the_change_is_used_in_prediction(tmp_path: Path) -> None:
    method = make(InputTuning, **OWN)
    run(method, tiny_stream(), tmp_path)
    assert method.backbone.is_pristine and method.before is None
    pixels = torch.from_numpy(tiny_stream().dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = method.backbone(method.delta.changed(method.backbone.transform(pixels)))
        assert torch.allclose(method.predict_images(pixels), method.head(features), atol=1e-5)
    assert sum(p.numel() for p in method.delta.parameters()) == 3 * 8 * 8


def test_stability_holds_the_change(learn: Learn) -> None:
    free, held = (make(InputTuning, **{**OWN, "momentum": 0.0, "stability": mu}) for mu in (0.0, 5.0))
    apart = []
    for method in (free, held):
        deltas = learn(method, tiny_stream(), 2, lambda s, v: s.delta.delta.detach().clone())
        apart.append(float((deltas[1] - deltas[0]).norm()))
    assert apart[1] < apart[0]


def test_a_border_that_covers_the_image_is_refused() -> None:
    with pytest.raises(UsageError, match="border=4 covers images of 8 pixels"):
        make(InputTuning, border=4).setup(tiny_stream().info)
