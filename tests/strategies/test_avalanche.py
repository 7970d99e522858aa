"""Avalanche's strategies: their mathematics in our loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

import cl
from cl.avalanche import lib
from cl.errors import UsageError
from cl.strategies.avalanche import AvalancheEWC, AvalancheICaRL, AvalancheNaive, AvalancheReplay
from cl.strategies.finetune import Finetune
from tests.conftest import DRAWS, make, tiny_stream
from tests.help.avalanche import QUICK, build

WHOLE: dict[str, Any] = {"epochs": 3, "batch_size": 256, "lr": 0.1, "weight_decay": 0.01, "augment": "none"}
"""Whole batches; without dropout nothing random is left, so what is the same algorithm agrees to rounding."""


def without_dropout(learner: Any) -> Any:
    for module in learner.backbone.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return learner


@pytest.mark.parametrize("name", ("naive", "ewc", "lwf", "icarl"))
def test_the_weights_are_those_of_avalanches_own_training(learn: Any, name: str) -> None:
    """Avalanche's object, rebuilt from our state for every task, trains like one object that is kept for all tasks."""
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


def test_ewc_without_penalty_is_naive_and_with_it_important_weights_move_less(learn: Any) -> None:
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


def test_lwf_keeps_old_predictions(learn: Any) -> None:
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


def test_icarl_keeps_exemplars_of_every_class_and_predicts_by_their_means(learn: Any) -> None:
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


def test_presets_of_names_with_a_slash_are_found() -> None:
    from cl.plan.plan import make_plan

    plan = make_plan("avalanche/icarl", "split-digits")
    assert plan.options.memory_size == 200 and not plan.untuned
    assert plan.folder.parts[1:3] == ("split-digits", "avalanche-icarl")
