"""TAPS: the invariants of the paper, on a small convolutional network and a small ViT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.weights import maskable
from cl.strategies.taps import TAPS
from cl.strategy import Step
from cl.stream import Stream
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same
from tests.help.plain_loops import Kept

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 3, "batch_size": 16, "lr": 0.05, "augment": "none", "warmup": 1}
both = pytest.mark.parametrize("network", ["conv", "vit"])


def built(network: str) -> Backbone:
    return conv_backbone() if network == "conv" else tiny_backbone()


def taps(network: str = "vit", trainer: Trainer | None = None, **options: Any) -> TAPS:
    return TAPS(TAPS.Options(**{**FAST, **options}), built(network), trainer or Trainer())


def stream(**options: Any) -> Stream:
    return tiny_stream(**{"val_fraction": 0.25, **options})


def pixels(count: int = 12) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


# ------------------------------------------------------------------------------------------------------ invariants


@both
def test_with_all_gates_shut_it_is_the_pretrained_network_with_the_head_of_the_task(network: str, learn: Learn) -> None:
    learner, pretrained = taps(network, start=0.0, norms=False), built(network)
    learn(learner, stream(), 2)
    images = learner.backbone.transform(pixels())
    for task in range(2):
        with torch.no_grad():
            features = pretrained(images)
            assert torch.equal(learner.network(task)(images), features)
            wanted = learner.head.blocks[task](features)
        columns = learner.head.tasks[task]
        assert torch.equal(learner.predict_images(pixels(), task)[:, columns], wanted)
        assert learner.report()[f"task{task}.layers"] == 0
    assert learner.stored()["parameters"] == sum(p.nbytes for p in learner.head.parameters())


@both
@pytest.mark.parametrize("norms", [False, True])
def test_earlier_tasks_never_change(network: str, norms: bool, learn: Learn) -> None:
    learner = taps(network, norms=norms)
    pristine = state.clone(dict(learner.backbone.model.state_dict()))

    def look(learner: TAPS, view: Any) -> Any:
        tasks = range(view.task + 1)
        kept = [dict(learner.changes[j]) for j in tasks]
        heads = [state.clone(dict(learner.head.blocks[j].state_dict())) for j in tasks]
        scores = [learner.predict_images(pixels(), j)[:, learner.head.tasks[j]] for j in tasks]
        return state.clone([kept, heads, scores])

    found = learn(learner, stream(), 3, look)
    for later in found[1:]:
        assert all(same(part[0], first[0]) for part, first in zip(later, found[0], strict=True))
    assert same(found[2][0][1], found[1][0][1]) and not same(found[2][0][0], found[2][0][1])
    assert same(dict(learner.backbone.model.state_dict()), pristine)


@both
def test_the_memory_is_the_sum_of_the_active_layers(network: str, learn: Learn) -> None:
    """A penalty shuts some layers; what is kept is counted from the scores at the end of each fit."""
    learner, active = taps(network, norms=False, sparsity=0.5, epochs=4), []
    keep = TAPS._keep

    def traced(self: TAPS, view: Any) -> None:
        assert self.gates is not None
        active.append([n for n, score in zip(self.gates.names, self.gates.scores, strict=True) if float(score) >= 0.1])
        keep(self, view)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TAPS, "_keep", traced)
        learn(learner, stream(), 3)
    weights = sum(learner.backbone.model.get_parameter(name).nbytes for names in active for name in names)
    heads = sum(parameter.nbytes for parameter in learner.head.parameters())
    assert learner.stored()["parameters"] == weights + heads
    assert learner.gates is None, "scores and shut changes are dropped"
    layers = len(maskable(learner.backbone))
    assert [learner.report()[f"task{task}.layers"] * layers for task in range(3)] == pytest.approx(
        [len(a) for a in active]
    )


def test_a_large_penalty_shuts_every_gate_and_none_leaves_them_open(learn: Learn) -> None:
    for sparsity, share in ((0.0, 1.0), (50.0, 0.0)):
        learner = taps(sparsity=sparsity, norms=False, lr=0.02, epochs=4, warmup=0, momentum=0.0)
        learn(learner, tiny_stream(), 1)
        assert learner.report()["task0.layers"] == share


# ------------------------------------------------------------------------------------------------------ training


@both
def test_the_training_equals_a_plain_loop(network: str, learn: Learn) -> None:
    """W + 1[s >= 0.1] dW, gradients straight through, SGD with half a cosine, lambda mean |s| after the warm-up."""
    trainer: Any = Trainer()
    backbone = built(network)
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    learner = TAPS(TAPS.Options(**{**FAST, "norms": False, "sparsity": 0.3}), backbone, trainer)
    starts: list[Any] = []
    train = TAPS._train

    def traced(self: TAPS, view: Any, gates: Any) -> None:
        starts.append(state.clone([dict(gates.state_dict()), dict(self.head.blocks[-1].state_dict())]))
        train(self, view, gates)
        starts.append(state.clone([dict(gates.state_dict()), dict(self.head.blocks[-1].state_dict())]))

    seen: list[Any] = []

    def keep(strategy: Any, phase: str, spec: Any) -> Any:
        return Trainer.fit(trainer, strategy, phase, replace(spec, data=Kept(spec.data, seen)))

    vars(trainer)["fit"] = keep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TAPS, "_train", traced)
        learn(learner, tiny_stream(), 1)
    (gates, head), (gates_end, head_end) = starts
    model, names = built(network).model.eval(), maskable(built(network))
    held = {
        **{f"d{i}": gates[f"changes.{i}"] for i in range(len(names))},
        **{f"s{i}": gates[f"scores.{i}"] for i in range(len(names))},
    }
    held |= {"weight": head["weight"], "bias": head["bias"]}
    speed = {name: torch.zeros_like(value) for name, value in held.items()}
    steps = len(seen) // 3
    for step, batch in enumerate(seen):
        epoch = step // steps
        rate = 0.05 * (1 + torch.cos(torch.tensor(torch.pi * epoch / 3)).item()) / 2
        leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
        mixed = {}
        for i, name in enumerate(names):
            score = leaves[f"s{i}"]
            gate = (score >= 0.1).float() + score - score.detach()
            mixed[name] = model.get_parameter(name).detach() + gate * leaves[f"d{i}"]
        features: Tensor = functional_call(model, mixed, (batch.x,))
        loss = F.cross_entropy(features @ leaves["weight"].T + leaves["bias"], batch.y)
        if epoch >= 1:
            loss = loss + 0.3 * torch.stack([leaves[f"s{i}"].abs() for i in range(len(names))]).mean()
        found = torch.autograd.grad(loss, list(leaves.values()))
        for (name, value), gradient in zip(held.items(), found, strict=True):
            speed[name] = 0.9 * speed[name] + gradient
            held[name] = value - rate * speed[name]
    for i in range(len(names)):
        torch.testing.assert_close(gates_end[f"changes.{i}"], held[f"d{i}"], rtol=0, atol=1e-5)
        torch.testing.assert_close(gates_end[f"scores.{i}"], held[f"s{i}"], rtol=0, atol=1e-5)
    torch.testing.assert_close(head_end["weight"], held["weight"], rtol=0, atol=1e-5)


def test_what_the_optimiser_is_given(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = taps()
    learn(learner, stream(), 2)
    named = dict(learner.backbone.model.named_parameters())
    flat = [name for name, parameter in named.items() if parameter.ndim == 1]
    for fit in fits:
        assert len(fit["params"]) == 2 * len(maskable(learner.backbone)) + len(flat) + 2
        assert fit["select"] == "best" and fit["epochs"] == 3
        assert not {id(parameter) for parameter in fit["params"]} & {id(parameter) for parameter in named.values()}
        optimizer = fit["optimizer"](fit["params"])
        assert {key: optimizer.defaults[key] for key in ("lr", "momentum", "weight_decay")} == {
            "lr": 0.05,
            "momentum": 0.9,
            "weight_decay": 0.0,
        }


def test_the_penalty_begins_after_the_warm_up(learn: Learn) -> None:
    learner, seen = taps(sparsity=1.0, warmup=2, epochs=3, norms=False), []
    fit = learner.trainer.fit

    def watched(strategy: Any, phase: str, spec: Any) -> Any:
        def traced(step: Step) -> None:
            assert learner.gates is not None
            before = [score.grad.clone() for score in learner.gates.scores]
            spec.before_step(step)
            added = [
                float((score.grad - old).detach()) for score, old in zip(learner.gates.scores, before, strict=True)
            ]
            signs = [score.detach().sign() / len(before) for score in learner.gates.scores]
            seen.append((step.epoch, added, [float(sign) for sign in signs]))

        return fit(strategy, phase, replace(spec, before_step=traced))

    vars(learner.trainer)["fit"] = watched
    learn(learner, tiny_stream(), 1)
    assert {epoch for epoch, _, _ in seen} == {0, 1, 2}
    for epoch, added, signs in seen:
        assert added == pytest.approx(signs if epoch == 2 else [0.0] * len(signs), abs=1e-6)


def test_the_best_epoch_is_chosen_on_validation_images(learn: Learn) -> None:
    """The accuracy on the validation images, computed again from what was kept, is the best score of the fit."""
    learner, best = taps(epochs=4, norms=False), []
    fit = learner.trainer.fit

    def watched(*arguments: Any) -> Any:
        best.append(fit(*arguments))
        return best[-1]

    vars(learner.trainer)["fit"] = watched

    def look(learner: TAPS, view: Any) -> float:
        scores = learner.predict_images(view.val.pixels(slice(None)), view.task)
        return float((scores.argmax(1) == view.val.labels).float().mean())

    found = learn(learner, stream(), 2, look)
    assert found == pytest.approx([result["best_score"] for result in best])


def test_batches_of_validation_images_mix_classes_for_batch_norms(
    learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are stored class by class; a batch norm with the statistics of one class sees another distribution."""
    monkeypatch.setattr("cl.strategy.CHUNK", 3)
    for network, mixed in (("conv", True), ("vit", False)):
        learner = taps(network, epochs=1)
        seen: list[tuple[int, list[int]]] = []
        chunks = learner.chunks

        def watched(images: Any, *order: Any, chunks: Any = chunks, seen: Any = seen) -> Any:
            for x, y in chunks(images, *order):
                seen.append((len(images), sorted(y.tolist())))
                yield x, y

        vars(learner)["chunks"] = watched
        sizes = learn(learner, stream(), 1, lambda s, view: len(view.val))
        batches = [labels for count, labels in seen if count == sizes[0]]
        assert len(batches) == 2 and sorted(batches[0] + batches[1]) == [0, 0, 0, 1, 1, 1]
        assert (len(set(batches[0])) == 2) == mixed, network


# -------------------------------------------------------------------------------------------------------- refusals


def test_the_task_must_be_said(learn: Learn) -> None:
    learner = taps()
    learn(learner, stream(), 1)
    with pytest.raises(UsageError, match="say which task: task=0"):
        learner.predict_images(pixels())
    assert not bool(learner.predict_images(pixels(), 3).any()), "no opinion on a task without a head"
