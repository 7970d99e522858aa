"""CL-DST: earlier tasks stay bit for bit, masks keep their size, and what is refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.weights.sparse import GROWTH
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.cl_dst import CLDST
from cl.testing import check_strategy
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 3, "batch_size": 6, "lr": 0.01, "density": 0.3, "frequency": 3}
growths = pytest.mark.parametrize("growth", GROWTH)


def dst(**options: Any) -> CLDST:
    return CLDST(CLDST.Options(**{**FAST, **options}), conv_backbone(), Trainer(seeds=Seeds()))


def pixels() -> Tensor:
    return torch.randint(256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("cl-dst", options={"epochs": 2, "batch_size": 8, "frequency": 2})


@growths
def test_earlier_tasks_stay_bit_identical_and_masks_keep_their_size(growth: str, learn: Learn) -> None:
    method = dst(growth=growth)

    def look(s: CLDST, view: Any) -> Any:
        answers = [s.predict_images(pixels(), j)[:, s.head.tasks[j]] for j in range(view.task + 1)]
        return answers, [w.detach().clone() for w in s._weights], s.masks.union()

    found = learn(method, tiny_stream(), 3, look)
    for task in (1, 2):
        (answers, weights, _), (before, old, used) = found[task], found[task - 1]
        assert same(answers[:task], before)
        for one, two, taken in zip(weights, old, used, strict=True):
            assert torch.equal(one[taken], two[taken]) and not torch.equal(one, two)
    for task in range(3):
        for weight, mask in zip(method._weights, method.masks[task], strict=True):
            assert int(mask.sum()) == pytest.approx(0.3 * weight.numel(), rel=0.5)
    for weight, taken in zip(method._weights, method.masks.union(), strict=True):
        assert not weight[~taken].any(), "free weights are 0"


@pytest.mark.parametrize("growth", ["gradient", "momentum"])
def test_an_update_drops_as_many_as_it_grows(growth: str, learn: Learn) -> None:
    method, sizes = dst(growth=growth, frequency=1), []
    own = method._rewire

    def watched(step: Any, task: int, used: list[Tensor]) -> None:
        before = [mask.clone() for mask in method.mask]
        own(step, task, used)
        sizes.append(
            [(int(a.sum()), int(b.sum()), int((a & ~b).sum())) for a, b in zip(before, method.mask, strict=True)]
        )
        for weight, mask in zip(method._weights, method.mask, strict=True):
            assert not weight[~mask].any()

    vars(method)["_rewire"] = watched
    learn(method, tiny_stream(), 2)
    assert all(before == after for layers in sizes for before, after, _ in layers)
    assert sizes[0][1][2] > 0 and len(sizes) == 2 * 3 * 4


def test_a_used_weight_that_grows_has_its_value_at_once(learn: Learn) -> None:
    method, seen = dst(growth="random", frequency=1, density=0.5), [0]
    own = method._rewire

    def watched(step: Any, task: int, used: list[Tensor]) -> None:
        own(step, task, used)
        for weight, mask, taken, pool in zip(method._weights, method.mask, used, method.pool, strict=True):
            assert torch.equal(weight[mask & taken], pool[mask & taken])
            seen[0] += int((mask & taken).sum())

    vars(method)["_rewire"] = watched
    learn(method, tiny_stream(), 2)
    assert seen[0] > 100


def test_the_mask_is_that_of_the_epoch_with_the_best_accuracy(learn: Learn) -> None:
    method, masks = dst(epochs=4, frequency=2, growth="gradient"), []
    own, scores = method._accuracy, [0.2, 0.9, 0.1, 0.3]

    def scored() -> float:
        masks.append([mask.clone() for mask in method.mask])
        method.hits.copy_(torch.tensor([round(100 * scores[len(masks) - 1]), 100]))
        return own()

    vars(method)["_accuracy"] = scored
    learn(method, tiny_stream(), 1)
    assert same(method.masks[0], masks[1]) and not same(masks[1], masks[3])
    for weight, mask in zip(method._weights, method.masks[0], strict=True):
        assert bool((weight[mask] != 0).float().mean() > 0.7)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"density": 1e-3}, r"a density of 0\.001 leaves conv1\.weight empty: it has 108 weights; set density=0\.0093"),
        (
            {"density": 1.0},
            r"density=1\.0 fills the network: .* 0\.0 are left after task 1 of 5; set a lower density, or",
        ),
        ({"density": 0.95}, r"are left after task 3 of 5; set a lower density, or stream\.tasks=3 or fewer"),
    ],
)
def test_a_density_that_cannot_work_is_refused_before_training(options: dict[str, Any], problem: str) -> None:
    method = dst(**options)
    with pytest.raises(UsageError, match=problem):
        method.setup(tiny_stream().info)


def test_presets_are_those_of_the_readme() -> None:
    o = make_plan("cl-dst", "split-cifar100", "resnet20_cifar@random").options
    assert (o.epochs, o.batch_size, o.lr, o.density, o.frequency, o.init, o.rate) == (
        100,
        64,
        1e-3,
        0.2,
        400,
        "erk",
        0.5,
    )
