"""Avalanche's strategies in our loop: their mathematics, our contract."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import cl
from cl import registry
from cl.avalanche import lib
from cl.errors import NonFiniteLoss, UsageError
from cl.progress.base import Observer
from cl.strategies.avalanche import AvalancheEWC, AvalancheICaRL, AvalancheNaive, AvalancheReplay, AvalancheSLDA
from cl.strategies.finetune import Finetune
from cl.training.cost import count_flops
from tests.conftest import DRAWS, make, run, tiny_stream

NAMES = ("naive", "ewc", "lwf", "replay", "icarl", "slda")
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.05, "augment": "crop"}


def build(name: str, folder: Path | None = None, **options: Any) -> Any:
    method = registry.strategies.get(f"avalanche/{name}")
    chosen = {} if name == "slda" else QUICK | {"mem_size": 10} if name == "replay" else QUICK
    if name == "icarl":
        chosen = chosen | {"memory_size": 8}
    return make(method, folder=folder, **chosen | options)


class Stopped(Exception):
    pass


class StopInside(Observer):
    """Ends the work as a kill would: in the middle of the training of task 2."""

    def __init__(self) -> None:
        self.number, self.steps = 0, 0

    def task(self, index: int, total: int, name: str) -> None:
        self.number, self.steps = index, 0

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        self.steps += 1
        if (self.number, self.steps) == (2, 1):
            raise Stopped


@pytest.mark.parametrize("name", NAMES)
def test_stopped_and_run_again_the_result_is_the_same(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = tiny_stream(tasks=3, train_per_class=3, test_per_class=2)
    expected = run(build(name), stream, tmp_path / "whole")
    learner = build(name, tmp_path / "stopped")
    learner.trainer.observer = StopInside()
    with pytest.raises(Stopped):
        run(learner, stream, tmp_path / "stopped")
    found = run(build(name, tmp_path / "stopped"), stream, tmp_path / "stopped")
    assert found["result"] == expected["result"]
    assert found["measurement"]["stored"] == expected["measurement"]["stored"]
    assert found["measurement"]["flops"]["executed"] > 0
    assert found["measurement"]["resumed_from"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ("ewc", "icarl"))
def test_the_flops_counted_are_those_executed(name: str, tmp_path: Path) -> None:
    learner, stream = build(name), tiny_stream(tasks=2, train_per_class=4, test_per_class=2)
    record, executed = count_flops(lambda: run(learner, stream, tmp_path))
    assert record["measurement"]["flops"]["executed"] == pytest.approx(executed, rel=0.02)


WHOLE: dict[str, Any] = {"epochs": 3, "batch_size": 256, "lr": 0.1, "weight_decay": 0.01, "augment": "none"}
"""Whole batches; without dropout nothing random is left, so what is the same algorithm agrees to rounding."""


def without_dropout(learner: Any) -> Any:
    for module in learner.backbone.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return learner


@pytest.mark.parametrize("name", ("naive", "ewc", "lwf", "icarl"))
def test_it_is_avalanche_itself(learn: Any, name: str) -> None:
    """Built anew for every task from our state, it does what one Avalanche object does that lives through all tasks."""
    stream = tiny_stream(tasks=3, train_per_class=4)
    ours, theirs = without_dropout(build(name, **WHOLE)), without_dropout(build(name, **WHOLE))
    learn(ours, stream, 3)
    theirs.info = stream.info
    theirs.setup(stream.info)
    model = theirs.model().requires_grad_(True)
    benchmark = cl.to_avalanche(stream, transform=theirs.backbone.transform)
    with lib.quiet():
        algorithm = theirs.build(
            model,
            optimizer=torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=0.01),
            train_mb_size=256,
            train_epochs=3,
            eval_mb_size=64,
            plugins=[],
            evaluator=lib.EvaluationPlugin(),
        )
        for experience in benchmark.train_stream:
            algorithm.train(experience, eval_streams=[])
    expected = dict(theirs.backbone.model.named_parameters())
    for key, parameter in ours.backbone.model.named_parameters():
        torch.testing.assert_close(parameter, expected[key].detach(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours.classifier.weight, theirs.classifier.weight.detach(), rtol=1e-3, atol=1e-4)


def test_naive_takes_the_steps_that_finetune_takes() -> None:
    stream = tiny_stream(tasks=1, train_per_class=4)
    naive = without_dropout(make(AvalancheNaive, **WHOLE))
    ours = without_dropout(make(Finetune, **WHOLE, loss="global"))
    before = naive.backbone.model.get_parameter("blocks.0.attn.qkv.weight").clone()
    for learner in (naive, ours):
        learner.info = stream.info
        learner.setup(stream.info)
    ours.head.grow_to(10, ours.init_rng("head"))
    with torch.no_grad():
        ours.head.blocks[0].weight.copy_(naive.classifier.weight)
        ours.head.blocks[0].bias.copy_(naive.classifier.bias)
    for learner in (naive, ours):
        learner.trainer.journal.begin(0)
        learner.learn(stream.view(0))
    theirs = dict(naive.backbone.model.named_parameters())
    for name, parameter in ours.backbone.model.named_parameters():
        torch.testing.assert_close(parameter, theirs[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.head.blocks[0].weight, naive.classifier.weight, rtol=1e-4, atol=1e-5)
    assert (theirs["blocks.0.attn.qkv.weight"] - before).abs().max() > 1e-3


def test_ewc_without_its_penalty_is_naive_and_with_it_spares_what_mattered(learn: Any) -> None:
    stream = tiny_stream(train_per_class=4)

    def penalty(learner: Any) -> float:
        """How far the second task moves the weights that mattered for the first."""
        learn(learner, stream, 2)
        first, weights = learner.penalties.items[0], dict(learner.model().named_parameters())
        gaps = {name: weights[name] - first["weights"][name] for name in weights}
        return float(sum((first["importances"][name] * gap.square()).sum() for name, gap in gaps.items()))

    naive, free, held = build("naive"), build("ewc", ewc_lambda=0.0), build("ewc", ewc_lambda=150.0)
    learn(naive, stream, 2)
    without, with_penalty = penalty(free), penalty(held)
    assert torch.equal(naive.classifier.weight, free.classifier.weight)
    assert with_penalty < 0.8 * without


@pytest.mark.parametrize(("mode", "kept"), (("separate", 3), ("online", 1)))
def test_ewc_keeps_a_penalty_per_task_or_one(learn: Any, mode: str, kept: int) -> None:
    learner = make(AvalancheEWC, **QUICK, mode=mode)
    learn(learner, tiny_stream(train_per_class=2), 3)
    assert [item["task"] for item in learner.penalties] == list(range(3))[-kept:]
    weights = sum(p.numel() for p in learner.model().parameters())
    assert learner.stored()["statistics"] == 4 * weights * (2 * kept + 1)  # importances, old values; momentum


def test_lwf_holds_on_to_old_answers(learn: Any) -> None:
    """With distillation the old classes' probabilities drift less than without."""
    stream = tiny_stream(train_per_class=6)
    pixels = stream.view(0).train.pixels(slice(None))

    def drift(alpha: float, draw: int) -> float:
        learner = build("lwf", alpha=alpha, temperature=1.0, epochs=6, draw=draw)
        first, second = learn(learner, stream, 2, lambda s, view: s.predict_images(pixels)[:, :2].softmax(1).clone())
        return float((second - first).abs().mean())

    assert sum(drift(1.0, draw) for draw in DRAWS) < 0.5 * sum(drift(0.0, draw) for draw in DRAWS)


def test_replay_remembers_images_as_they_came(learn: Any) -> None:
    stream = tiny_stream(train_per_class=6)
    learner = make(AvalancheReplay, **QUICK, mem_size=10)
    learn(learner, stream, 3)
    sizes = [len(item["labels"]) for item in learner.memory]
    assert sorted(sizes) == [3, 3, 4]
    for task, item in enumerate(learner.memory):
        images = stream.view(task).train
        known = {(p.numpy().tobytes(), int(y)) for p, y in zip(images.pixels(slice(None)), images.labels, strict=True)}
        assert {(p.numpy().tobytes(), int(y)) for p, y in zip(item["pixels"], item["labels"], strict=True)} <= known
    assert learner.stored()["samples"] == 10 * (64 + 8 + 4)  # pixels, label, reservoir weight


def test_icarl_keeps_exemplars_of_every_class_and_answers_by_their_means(learn: Any) -> None:
    stream = tiny_stream(train_per_class=8)
    learner = make(AvalancheICaRL, **QUICK, memory_size=12)
    learn(learner, stream, 3)
    assert [item["label"] for item in learner.exemplars] == list(range(6))
    assert [len(item["pixels"]) for item in learner.exemplars] == [2] * 6
    assert learner.stored()["samples"] == 12 * (64 + 4)  # pixels, rank
    torch.testing.assert_close(learner.class_means[:6].norm(dim=1), torch.ones(6))
    pixels = stream.view(0).train.pixels(slice(None))
    scores = learner.predict_images(pixels)
    features = torch.nn.functional.normalize(learner.backbone(learner.backbone.transform(pixels)))
    assert scores.shape == (16, 6)
    torch.testing.assert_close(scores, -(features[:, None] - learner.class_means[:6]).norm(dim=2), atol=1e-3, rtol=1e-3)


def test_icarl_refuses_classes_that_return() -> None:
    info = dataclasses.replace(tiny_stream().info, classes_per_task=(4, 4, 4))
    with pytest.raises(UsageError, match="every class in one task only"):
        make(AvalancheICaRL).setup(info)


def test_slda_has_the_means_of_frozen_features(learn: Any) -> None:
    stream, learner = tiny_stream(), make(AvalancheSLDA)
    learn(learner, stream, 2)
    view = stream.view(1)
    features, labels = learner.encode(view.train), view.train.labels
    expected = torch.stack([features[labels == position].mean(0) for position in view.classes])
    torch.testing.assert_close(learner.statistics["muK"][list(view.classes)], expected, rtol=1e-4, atol=1e-4)
    assert learner.statistics["num_updates"] == 2 * len(view.train) and learner.backbone.is_pristine


def test_a_loss_that_is_no_number_ends_the_run(learn: Any) -> None:
    with pytest.raises(NonFiniteLoss, match="lower the learning rate"):
        learn(build("naive", lr=1e30), tiny_stream(train_per_class=4), 1)
    assert count_flops(lambda: torch.ones(2, 2) @ torch.ones(2, 2))[1] == 16  # no counter was left running


def test_presets_of_names_with_a_slash_are_found() -> None:
    from cl.plan.plan import make_plan

    plan = make_plan("avalanche/icarl", "split-digits")
    assert plan.options.memory_size == 200 and not plan.untuned
    assert plan.folder.parts[1:3] == ("split-digits", "avalanche-icarl")
