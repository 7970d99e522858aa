"""PackNet: what a task keeps and frees, a plain loop, and what is refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.packnet import PackNet
from cl.testing import check_strategy
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "prune_epochs": 1, "batch_size": 6, "lr": 0.05, "prune_lr": 0.02, "prune": 0.6}


def packnet(**options: Any) -> PackNet:
    backbone = conv_backbone()
    # channels differ: those of grey images train weights that were 0 alike, and weights that tie are freed together
    backbone.transform = Transform(8, (0.3, 0.5, 0.7), (0.5, 0.4, 0.3))
    return PackNet(PackNet.Options(**{**FAST, **options}), backbone, Trainer(seeds=Seeds()))


def pixels() -> Tensor:
    return torch.randint(256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("packnet", options={"epochs": 1, "prune_epochs": 1, "batch_size": 8})


def test_earlier_tasks_stay_bit_identical_and_each_keeps_its_share(learn: Learn) -> None:
    method = packnet()

    def look(s: PackNet, view: Any) -> Any:
        answers = [s.predict_images(pixels(), j)[:, s.head.tasks[j]] for j in range(view.task + 1)]
        small = [value.clone() for value in s._small(buffers=True).values()]
        return answers, [w.detach().clone() for w in s._weights], s.masks.union(), small

    found = learn(method, tiny_stream(), 3, look)
    for task in (1, 2):
        (answers, weights, _, small), (before, old, used, kept) = found[task], found[task - 1]
        assert same(answers[:task], before) and same(small, kept), "biases and norms stay after the first task"
        for one, two, taken in zip(weights, old, used, strict=True):
            assert torch.equal(one[taken], two[taken]) and not torch.equal(one, two)
    for layer, weight in enumerate(method._weights):
        free, used = weight.numel(), 0
        for task in range(3):
            kept = free - round(0.6 * free)
            used, free = used + kept, free - kept
            assert int(method.masks[task][layer].sum()) == used
        assert not weight[~method.masks[2][layer]].any(), "freed weights are 0"
    assert method.stored()["statistics"] == 0 and method.kept.tasks == [{}, {}, {}]


def test_the_smallest_weights_are_freed(learn: Learn) -> None:
    method, seen = packnet(prune_epochs=0), []
    own = method._prune

    def watched() -> None:
        before = [
            (weight.detach().clone(), mine.clone()) for weight, mine in zip(method._weights, method.own, strict=True)
        ]
        own()
        for (weight, mine), kept, after in zip(before, method.own, method._weights, strict=True):
            assert bool((kept <= mine).all())
            assert float(weight[kept].abs().min()) > float(weight[mine & ~kept].abs().max())
            assert torch.equal(after[kept], weight[kept]) and torch.equal(after[~mine], weight[~mine])
            seen.append(int(mine.sum()))

    vars(method)["_prune"] = watched
    learn(method, tiny_stream(), 2)
    assert len(seen) == 6 and seen[3] == round(0.6 * seen[0])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"prune": 0.05},
            r"prune=0\.05 leaves no weight of conv1\.weight to task 3 of 5: 0 of its 108 weights are free then; "
            r"set a higher prune, stream\.tasks=2 or fewer, or choose a wider network",
        ),
        ({"prune": 0.999}, r"to task 1 of 5: 108 of its 108 weights are free then; set a lower prune, or choose"),
    ],
)
def test_a_share_that_runs_out_is_refused_before_training(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        packnet(**options).setup(tiny_stream().info)


def test_the_default_is_that_of_the_scripts() -> None:
    o = PackNet.Options()
    assert (o.epochs, o.lr, o.decay_every, o.prune_epochs, o.prune_lr, o.batch_size) == (20, 1e-3, 10, 10, 1e-4, 32)
    assert make_plan("packnet", "split-digits").options.prune == 0.5
