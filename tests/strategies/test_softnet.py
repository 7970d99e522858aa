"""SoftNet: the invariants of the paper, on a Vision Transformer and on a network with batch norms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.resnet import BasicBlock
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.backbone.cifar_resnet import SmallResNet
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.parts.heads.prototypes import class_means
from cl.parts.weights.soft_masks import SoftScores
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.softnet import SoftNet
from cl.testing import tiny_backbone
from cl.training.batches import Batch
from cl.training.generators import generator
from cl.training.trainer import Trainer
from tests.conftest import run, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 36, "lr": 0.02, "milestones": (), "augment": "none", "share": 0.7}


def tiny_resnet() -> Backbone:
    """A ResNet of four narrow blocks for 8-pixel images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallResNet(BasicBlock, (1, 1, 1, 1), channels=(8, 8, 12, 12), num_classes=0)
    identity = {"name": "tiny-resnet", "weights_sha256": "random-0", "parameters": 0, "dim": 12, "input": {"size": 8}}
    return Backbone(model, Transform(8, (0.5,) * 3, (0.5,) * 3), {**identity, "pretraining": "none"})


BACKBONES = {"vit": tiny_backbone, "resnet": tiny_resnet}


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> Iterator[Backbone]:
    yield BACKBONES[request.param]()


def softnet(backbone: Backbone | None = None, **options: Any) -> SoftNet:
    trainer = Trainer(seeds=Seeds())
    return SoftNet(SoftNet.Options(**{**QUICK, **options}), backbone or tiny_backbone(), trainer)


def few_shot(**options: Any) -> Any:
    """Six base classes, then two tasks of two classes with three images each."""
    return tiny_stream(**{"shots": 3, "increment": 2, "test_per_class": 2, **options})


def snapshot(strategy: SoftNet, view: Any = None) -> dict[str, Any]:
    model = strategy.backbone.model
    return {
        "tensors": {name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        "masks": [mask.clone() for mask in strategy.masks.values],
        "prototypes": strategy.prototypes.clone(),
        "means": strategy._means(view),
    }


# --------------------------------------------------------------------------------------------------------- the mask


@pytest.mark.parametrize(("every", "draws"), [("epoch", 2), ("step", 2 + 2 * 2)])
def test_minor_values_are_redrawn(every: str, draws: int, learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    redraw = SoftScores.redraw

    def watched(self: SoftScores, generator: torch.Generator | None) -> None:
        redraw(self, generator)
        seen.append(self.get_buffer("minor0").clone())

    monkeypatch.setattr(SoftScores, "redraw", watched)
    learn(softnet(redraw=every, holdout=0), few_shot(), 1)  # 72 images in batches of 36
    assert len(seen) == draws
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_hard_masks_until_an_epoch(learn: Learn) -> None:
    hard = softnet(soft_from=2)
    learn(hard, few_shot(), 1)
    assert {float(value) for mask in hard.masks.values for value in mask.unique()} == {0.0, 1.0}
    soft = softnet(soft_from=1, holdout=0)
    learn(soft, few_shot(), 1)
    assert any(bool(((mask > 0) & (mask < 1)).any()) for mask in soft.masks.values)


def test_a_subnetwork_that_is_hard_forever_is_the_class_mean_of_the_base_session(learn: Learn) -> None:
    """HardNet of the paper: without minor values, later tasks move nothing that the features depend on."""
    hard, stream = softnet(soft_from="never"), few_shot()
    learn(hard, stream, 1)
    assert {float(value) for mask in hard.masks.values for value in mask.unique()} == {0.0, 1.0}
    hard = softnet(soft_from="never", session_lr=0.5)
    images = stream.view(0).train.pixels(slice(None, 8))

    def kept(strategy: SoftNet, view: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return strategy._features(strategy.backbone.transform(images)).detach(), strategy._means(view)

    seen = learn(hard, stream, 3, kept)
    assert torch.equal(seen[0][0], seen[1][0]) and torch.equal(seen[0][0], seen[2][0])
    assert torch.equal(hard.prototypes, torch.cat([means for _, means in seen]))


def test_never_is_an_option_of_the_command_line() -> None:
    options = {"stream.shots": 5}
    plan = make_plan("softnet", "split-digits", options={**options, "soft_from": "never"})
    assert plan.options.soft_from == "never"
    assert make_plan("softnet", "split-digits", options={**options, "soft_from": "200"}).options.soft_from == 200
    with pytest.raises(UsageError, match="soft_from must be a whole number or one of never, not 'later'"):
        make_plan("softnet", "split-digits", options={**options, "soft_from": "later"})


def test_weights_scores_and_minor_values_are_those_of_the_best_epoch(
    learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, epochs, scored, splits = softnet(epochs=4, lr=0.05), [], [], []
    fit, answers, split = strategy.fit, iter([0.1, 0.3, 0.3, 0.2]), strategy._split

    def kept(view: Any) -> Any:
        splits.append(split(view))
        return splits[-1]

    def watched(phase: str, *arguments: Any, validate: Any = None, **options: Any) -> Any:
        def score() -> float:
            assert strategy.scores is not None and strategy.head is not None
            held_out = splits[0][1]
            assert held_out is not None
            masks = strategy.scores.choose(strategy.options.share)
            x = strategy.backbone.transform(held_out.pixels(torch.arange(len(held_out))))
            answered = strategy.head(strategy.scores(strategy.backbone, x, masks)).argmax(1)
            scored.append(float((answered == held_out.labels).double().mean()))
            assert validate() == pytest.approx(scored[-1])
            epochs.append([*strategy.scores.soft(), *(w.detach().clone() for w in strategy._weights)])
            return next(answers)

        return fit(phase, *arguments, validate=score, **options)

    monkeypatch.setattr(strategy, "fit", watched)
    monkeypatch.setattr(strategy, "_split", kept)
    learn(strategy, few_shot(), 1)
    assert any(score != 0.5 for score in scored), "the score is not that of the wrong answers"
    assert same([*strategy.masks.values, *strategy._weights], epochs[1])
    assert not same(epochs[1], epochs[2])
    assert strategy.scores is None and strategy.head is None


def test_the_epoch_is_chosen_on_images_that_are_not_trained_on() -> None:
    strategy, stream = softnet(holdout=0.25), few_shot()
    strategy.trainer.journal.begin(0)
    view = stream.view(0)
    train, held_out = strategy._split(view)
    assert held_out is not None and len(held_out) == 18 and len(train) == 54
    assert not set(train.rows) & set(held_out.rows)
    assert sorted([*train.rows, *held_out.rows]) == sorted(view.train.rows)
    assert torch.equal(held_out.labels, torch.from_numpy(stream.positions[held_out.store.labels[held_out.rows]]))
    assert strategy._split(few_shot(val_fraction=0.2).view(0))[1] is not None
    assert softnet(holdout=0)._split(view) == (view.train, None)
    view.revoke()
    with pytest.raises(Exception, match="Views die after learn"):
        held_out.pixels([0])


# ---------------------------------------------------------------------------------------------------- few-shot tasks


def test_later_tasks_move_minor_weights_of_one_block_and_nothing_else(backbone: Backbone, learn: Learn) -> None:
    strategy = softnet(backbone, session_lr=0.05)
    first, *later = learn(strategy, few_shot(), 3, snapshot)
    late = {strategy._names[i]: strategy.masks.values[i] == 1 for i in strategy._late}
    before = first
    for now in later:
        assert same(now["masks"], first["masks"])
        moved = 0
        for name, tensor in now["tensors"].items():  # norms and their statistics too
            if name in late:
                assert torch.equal(tensor[late[name]], before["tensors"][name][late[name]]), name
                moved += int((tensor != before["tensors"][name]).sum())
            else:
                assert torch.equal(tensor, before["tensors"][name]), name
        assert moved > 0
        old = len(before["prototypes"])
        assert torch.equal(now["prototypes"][:old], before["prototypes"])
        assert torch.equal(now["prototypes"][old:], now["means"])
        before = now
    assert len(before["prototypes"]) == 10


def test_prototypes_are_means_of_features_under_the_soft_mask(backbone: Backbone, learn: Learn) -> None:
    stream, strategy = few_shot(), softnet(backbone)

    def means(strategy: SoftNet, view: Any) -> torch.Tensor:
        x = strategy.backbone.transform(view.train.pixels(slice(None)))
        kept = [weight.detach().clone() for weight in strategy._weights]
        with torch.no_grad():  # by other means: the masked weights in the place of the weights
            for weight, mask in zip(strategy._weights, strategy.masks.values, strict=True):
                weight.mul_(mask)
            features = strategy.backbone(x)
            for weight, value in zip(strategy._weights, kept, strict=True):
                weight.copy_(value)
        return class_means(features, view.train.labels, view.classes)

    found = learn(strategy, stream, 2, lambda s, view: (means(s, view), s.prototypes[-len(view.classes) :]))
    for expected, prototypes in found:
        torch.testing.assert_close(prototypes, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"session_epochs": 0}, {"share": 1.0}])
def test_without_learning_or_minor_weights_it_is_the_nearest_class_mean(
    backbone: Backbone, options: dict[str, Any], learn: Learn
) -> None:
    strategy, stream = softnet(backbone, **options), few_shot()
    first, *later = learn(strategy, stream, 3, snapshot)
    for now in later:
        assert all(torch.equal(now["tensors"][name], tensor) for name, tensor in first["tensors"].items())
    view = stream.view(1)
    pixels = view.train.pixels(slice(None))
    if "share" in options:  # and the network is dense
        assert all(bool((mask == 1).all()) for mask in strategy.masks.values)
        with torch.no_grad():
            features = strategy.backbone(strategy.backbone.transform(pixels))
        torch.testing.assert_close(strategy.encode(view.train, strategy.masked), features, rtol=1e-4, atol=1e-5)
    means = torch.cat([strategy._means(stream.view(task)) for task in range(3)])
    assert torch.equal(strategy.prototypes, means)
    features = strategy.encode(view.train, strategy.masked)
    nearest = (features[:, None] - means).square().sum(2).argmin(1)
    assert torch.equal(strategy.predict_images(pixels).argmax(1), nearest)


def test_euclidean_or_cosine_distance_predicts(learn: Learn) -> None:
    strategy, stream = softnet(), few_shot()
    learn(strategy, stream, 2)
    pixels = stream.view(1).train.pixels(slice(None))
    features = strategy.encode(stream.view(1).train, strategy.masked)
    scores = strategy.predict_images(pixels)
    torch.testing.assert_close(scores, -(features[:, None] - strategy.prototypes).norm(dim=2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(strategy.predict_images(pixels[:1]), scores[:1])
    strategy.options = SoftNet.Options(**QUICK, distance="cosine")
    expected = F.cosine_similarity(features[:, None], strategy.prototypes, dim=2)
    torch.testing.assert_close(strategy.predict_images(pixels), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_loss_of_a_few_shot_task(temperature: float, learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, stream = softnet(temperature=temperature), few_shot()
    learn(strategy, stream, 1)
    caught: dict[str, Any] = {}
    monkeypatch.setattr(strategy, "fit", lambda phase, source, loss, weights, **_: caught.update(locals()))
    strategy.trainer.journal.begin(1)
    strategy._learn_few(stream.view(1))
    assert caught["source"].steps == 1  # all images at once
    batch = next(caught["source"].epoch(0, lambda *key: generator(0, *key)))
    weights = [weight.requires_grad_(True) for weight in caught["weights"]]
    loss = caught["loss"](batch)
    grads = torch.autograd.grad(loss, weights)

    features = strategy._features(batch.x)
    new = torch.stack([features[batch.y == position].mean(0) for position in (6, 7)])
    every = torch.cat([strategy.prototypes, new])
    distances = torch.stack([1 - F.cosine_similarity(f[None], every) for f in features])
    expected = -(-distances / temperature).log_softmax(1)[torch.arange(len(batch)), batch.y].sum()
    torch.testing.assert_close(loss, expected)
    for found, wanted in zip(grads, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(found, wanted)  # the new prototypes are differentiated
    assert len(batch) == 6 and strategy.backbone.training is False


@pytest.mark.parametrize("kind", ["raw", "unit"])
def test_a_class_without_an_image_in_the_batch_has_the_mean_of_its_images(
    kind: str, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, stream = softnet(session_batch=2, new_prototypes=kind), few_shot()
    learn(strategy, stream, 1)
    caught: dict[str, Any] = {}
    monkeypatch.setattr(strategy, "fit", lambda phase, source, loss, weights, **_: caught.update(locals()))
    strategy.trainer.journal.begin(1)
    view = stream.view(1)
    features = strategy.encode(view.train, strategy.masked)
    features[view.train.labels == 7] *= torch.tensor([1.0, 10.0, 100.0])[:, None]  # their mean depends on the kind
    monkeypatch.setattr(strategy, "encode", lambda *_: features)
    strategy._learn_few(view)
    averaged = torch.stack([f / f.norm() for f in features]) if kind == "unit" else features
    every = torch.cat([strategy.prototypes, *(averaged[view.train.labels == p].mean(0)[None] for p in (6, 7))])
    mine = view.train.labels == 6
    distances = torch.stack([1 - F.cosine_similarity(f[None], every) for f in features[mine]])
    expected = -(-distances).log_softmax(1)[:, 6].sum()
    batch = Batch(strategy.backbone.transform(view.train.pixels(mine.nonzero().flatten())), view.train.labels[mine])
    torch.testing.assert_close(caught["loss"](batch).detach(), expected, rtol=1e-4, atol=1e-5)


def test_exemplars_of_few_shot_classes_are_replayed_and_counted(learn: Learn) -> None:
    def held(strategy: SoftNet, view: Any) -> tuple[list[int], int]:
        return sorted(strategy.memory.labels.tolist()), strategy.stored()["samples"]

    found = learn(softnet(exemplars=2), few_shot(), 3, held)
    assert [labels for labels, _ in found] == [[], [6, 6, 7, 7], [6, 6, 7, 7, 8, 8, 9, 9]]
    image = 8 * 8 + 8  # a byte per pixel, and the label
    assert [size for _, size in found] == [0, 4 * image, 8 * image]
    without = softnet(exemplars=0, session_epochs=0, epochs=1)
    assert [size for _, size in learn(without, few_shot(), 2, held)] == [0, 0]
    all_three = softnet(session_epochs=0, epochs=1)
    assert len(learn(all_three, few_shot(), 2, held)[-1][0]) == 6


def test_many_images_come_in_batches(learn: Learn) -> None:
    strategy = softnet(session_batch=5, session_lr=0.001)
    learn(strategy, few_shot(shots=8), 2)
    assert len(strategy.prototypes) == 8 and bool(torch.isfinite(strategy.prototypes).all())


def test_blocks_by_name_and_by_default(learn: Learn) -> None:
    def late(backbone: Backbone, **options: Any) -> list[str]:
        strategy = softnet(backbone, **options)
        strategy.setup(few_shot().info)
        return [strategy._names[i] for i in strategy._late]

    assert late(tiny_resnet()) == ["layer4.0.conv1.weight", "layer4.0.conv2.weight", "layer4.0.downsample.0.weight"]
    assert late(tiny_resnet(), block="layer3")[0] == "layer3.0.conv1.weight"
    assert len(late(tiny_backbone())) == 4 and all(name.startswith("blocks.1.") for name in late(tiny_backbone()))
    with pytest.raises(UsageError, match="block=layer9 holds no masked weights"):
        late(tiny_resnet(), block="layer9")


@pytest.mark.parametrize("trains", ["all", "masked"])
def test_the_first_task_trains_all_tensors_or_the_masked_ones(trains: str, learn: Learn) -> None:
    strategy = softnet(trains=trains)
    before = {name: tensor.clone() for name, tensor in strategy.backbone.model.state_dict().items()}
    learn(strategy, few_shot(), 1)
    changed = {n for n, tensor in strategy.backbone.model.state_dict().items() if not torch.equal(tensor, before[n])}
    if trains == "masked":
        assert changed == set(strategy._names)
    else:
        assert changed > set(strategy._names) and "blocks.0.norm1.weight" in changed


def test_a_run_on_a_few_shot_stream_has_its_metrics(tmp_path: Path) -> None:
    record = run(softnet(), few_shot(), tmp_path)
    metrics = record["result"]["metrics"]["cil_seen"]
    assert record["result"]["stream"]["setting"] == "few-shot class-incremental"
    assert all(metrics[name] is not None for name in ("A_base", "A_novel", "A_harmonic", "PD"))


def test_the_head_begins_near_zero_and_scores_as_weights_do() -> None:
    strategy = softnet()
    strategy.setup(few_shot().info)
    assert strategy.head is not None and strategy.scores is not None
    assert float(strategy.head.weight.std()) == pytest.approx(1e-3, rel=0.25) and not strategy.head.bias.any()
    for scores in strategy.scores.values:
        bound = scores[0].numel() ** -0.5
        assert bound * 0.97 < float(scores.abs().max()) <= bound
