"""HAT: protected weights, the scale within an epoch, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.hat import HAT
from cl.testing import check_strategy, tiny_backbone
from cl.training.optim import Plateau
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 3, "batch_size": 6, "lr": 0.1, "smax": 100.0, "lamb": 0.5}


def hat(**options: Any) -> HAT:
    return HAT(HAT.Options(**{**FAST, **options}), conv_backbone(), Trainer(seeds=Seeds()))


def pixels() -> Tensor:
    return torch.randint(256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


def specs_of(method: HAT) -> list[Any]:
    found: list[Any] = []
    fit = method.trainer.fit

    def noted(strategy: Any, phase: str, spec: Any) -> Any:
        found.append(spec)
        return fit(strategy, phase, spec)

    vars(method.trainer)["fit"] = noted
    return found


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("hat", options={"epochs": 2, "batch_size": 8, "smax": 20.0}, backbone="wsn_lenet@random")


def test_weights_of_units_with_open_gates_are_held(learn: Learn) -> None:
    method = hat(epochs=6)

    def look(s: HAT, view: Any) -> Any:
        names = ("conv1.weight", "conv2.weight", "fc.weight")
        return [s.backbone.model.get_parameter(n).clone() for n in names], [s.gates.free(name) for name in names]

    found = learn(method, tiny_stream(), 3, look)
    for task in (1, 2):
        (weights, _), (old, factors) = found[task], found[task - 1]
        for one, two, factor in zip(weights, old, factors, strict=True):
            held = factor < 1e-6
            assert held.any() and float((one - two)[held].abs().max()) < 1e-4 < float((one - two)[~held].abs().max())
    used = [value for name, value in method.report().items() if name.startswith("task")]
    assert used == sorted(used) and method.report()["used"] == used[-1] > 0


def test_answers_of_earlier_tasks_move_less_than_without_protection(learn: Learn) -> None:
    moved = []
    for protected in (True, False):
        method = hat(epochs=6)
        answers = learn(method, tiny_stream(), 1, lambda s, v: s.predict_images(pixels(), 0))
        if not protected:
            own = method.gates.free
            vars(method.gates)["free"] = lambda name, own=own: None if own(name) is None else torch.ones(())
        view = tiny_stream().view(1)
        method.trainer.journal.begin(1)
        method.learn(view)
        moved.append(float((method.predict_images(pixels(), 0)[:, :2] - answers[0]).abs().mean()))
    assert moved[0] < 0.5 * moved[1]


def test_the_scale_rises_from_one_over_smax_within_each_epoch(learn: Learn) -> None:
    method, scales = hat(epochs=2), []
    fit = method.trainer.fit

    def noted(strategy: Any, phase: str, spec: Any) -> Any:
        before = spec.before_step

        def step(when: Any) -> None:
            scales.append(method.scale)
            before(when)

        return fit(strategy, phase, type(spec)(**{**vars(spec), "before_step": step}))

    vars(method.trainer)["fit"] = noted
    learn(method, tiny_stream(), 1)
    assert len(scales) == 8 and scales[:4] == scales[4:]
    assert scales[0] == 0.01 and scales[2] == pytest.approx(0.01 + (100 - 0.01) / 2)


def test_with_validation_images_the_best_epoch_is_kept_and_the_rate_falls(learn: Learn) -> None:
    method = hat()
    specs = specs_of(method)
    learn(method, tiny_stream(val_fraction=0.25), 1)
    assert specs[0].select == "best" and specs[0].plateau == Plateau(1 / 3, 4, 1e-4) and specs[0].clip == 10_000
    alone = hat()
    others = specs_of(alone)
    learn(alone, tiny_stream(), 1)
    assert (others[0].select, others[0].plateau, others[0].validate) == ("last", None, None)


def test_a_network_that_is_no_chain_is_refused_before_training() -> None:
    method = HAT(HAT.Options(**FAST), tiny_backbone(), Trainer(seeds=Seeds()))
    with pytest.raises(UsageError, match="is no chain of layers"):
        method.setup(tiny_stream().info)


def test_the_task_must_be_told(learn: Learn) -> None:
    method = hat(epochs=1)
    learn(method, tiny_stream(), 2)
    with pytest.raises(UsageError, match="HAT has parts of its own for every task and cannot choose among them"):
        method.predict_images(pixels())
    assert torch.equal(method.predict_images(pixels(), 3), torch.zeros(9, 4))
    scores = method.predict_images(pixels(), 1)
    assert scores[:, :2].isinf().all() and scores[:, 2:].isfinite().all()


def test_the_defaults_are_those_of_the_code() -> None:
    o = make_plan("hat", "split-cifar100", "wsn_alexnet@random").options
    assert (o.epochs, o.batch_size, o.lr, o.lr_min, o.patience, o.lamb, o.smax) == (200, 64, 0.05, 1e-4, 5, 0.75, 400.0)
