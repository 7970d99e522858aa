"""Winning subnetworks: the invariants of the paper, on a small convolutional network and a small ViT."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.weights.mask_coding import PAPER_RATE, compression_rate
from cl.parts.weights.masks import best
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.records import record
from cl.running.untrained import with_heads
from cl.strategies.wsn import WSN
from cl.stream import Stream
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.optim import Plateau, When
from cl.training.trainer import Trainer
from tests.conftest import run, tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"share": 0.3, "epochs": 2, "batch_size": 16, "lr": 0.01, "augment": "none"}
both = pytest.mark.parametrize("network", ["conv", "vit"])


def wsn(network: str = "conv", **options: Any) -> WSN:
    backbone = conv_backbone() if network == "conv" else tiny_backbone()
    return WSN(WSN.Options(**{**FAST, **options}), backbone, Trainer(seeds=Seeds()))


def stream(**options: Any) -> Stream:
    return tiny_stream(**{"val_fraction": 0.25, **options})


def pixels(count: int = 12) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


def logits(learner: WSN, task: int, images: Tensor | None = None) -> Tensor:
    return learner.predict_images(pixels() if images is None else images, task)


def weights(learner: WSN) -> list[Tensor]:
    return [weight.detach().clone() for weight in learner.scores.weights(learner.backbone)]


def change_fits(learner: WSN, change: Callable[[Any], Any]) -> None:
    """Replace the fields that `change` returns in the specification of every fit."""
    fit = learner.trainer.fit
    vars(learner.trainer)["fit"] = lambda strategy, phase, spec: fit(
        strategy, phase, dataclasses.replace(spec, **(change(spec) or {}))
    )


# ------------------------------------------------------------------------------------------------------ invariants


@both
def test_earlier_tasks_stay_bit_identical(network: str, learn: Learn) -> None:
    learner = wsn(network)

    def look(learner: WSN, view: Any) -> Any:
        tasks = range(view.task + 1)
        return (
            [logits(learner, j) for j in tasks],
            [list(learner.tensors(j).values()) for j in tasks],
            [learner.network(j).key for j in tasks],
            weights(learner),
        )

    found = learn(learner, stream(), 4, look)
    for task, (scores, tensors, keys, everything) in enumerate(found[1:], 1):
        for j in range(task):
            columns = learner.head.tasks[j]
            assert torch.equal(scores[j][:, columns], found[j][0][j][:, columns])
            assert same(tensors[j], found[j][1][j]) and keys[j] == found[j][2][j]
        assert not same(everything, found[task - 1][3]), "the weights themselves did move"
    assert len(set(found[-1][2])) == 4


@both
def test_every_mask_has_n_minus_k_plus_one_weights_and_their_union_grows(network: str, learn: Learn) -> None:
    learner = wsn(network)
    taken = learn(learner, stream(), 4, lambda s, v: (s.masks.union(), s.masks.density))
    sizes = [weight.numel() for weight in weights(learner)]
    kept = [n - (1 + round(0.7 * (n - 1))) + 1 for n in sizes]
    for task in range(4):
        assert [int(mask.sum()) for mask in learner.masks[task]] == kept
    for before, after in itertools.pairwise(taken):
        assert all(bool((b <= a).all()) for b, a in zip(before[0], after[0], strict=True))
    for number, (_, density) in enumerate(taken, 1):
        assert density <= min(1, number * sum(kept) / sum(sizes))
    assert taken[0][1] == sum(kept) / sum(sizes) < taken[1][1], "a later task also uses free weights"
    assert not same(learner.masks[0], learner.masks[1])


@both
def test_weights_of_earlier_tasks_have_no_gradient_and_their_scores_have(network: str, learn: Learn) -> None:
    learner, seen = wsn(network, epochs=1), [0, 0, 0]

    def change(spec: Any) -> dict[str, Any]:
        if spec.before_step is None:
            return {}
        taken = learner.masks.union()

        def watched(when: When) -> None:
            parts = list(zip(learner._weights, learner.scores.values, taken, strict=True))
            seen[0] += sum(int((w.grad[used] != 0).sum()) for w, _, used in parts if w.grad is not None)
            spec.before_step(when)
            for weight, score, used in parts:
                assert weight.grad is not None and score.grad is not None
                assert not weight.grad[used].any()
                seen[1] += int((weight.grad[~used] != 0).sum())
                seen[2] += int((score.grad[used] != 0).sum())

        return {"before_step": watched}

    change_fits(learner, change)
    learn(learner, stream(), 2)
    assert all(seen), "there was a gradient to stop, free weights have one, and so have scores"


@both
def test_a_step_leaves_the_weights_that_are_not_selected(network: str, learn: Learn) -> None:
    learner, before = wsn(network, epochs=1, batch_size=1000), []
    change_fits(learner, lambda spec: {"before_step": lambda when: before.append(weights(learner))})
    learn(learner, stream(), 1)
    assert len(before) == 1
    for old, new, mask in zip(before[0], weights(learner), learner.masks[0], strict=True):
        assert torch.equal(old[~mask], new[~mask])
        assert float((old[mask] != new[mask]).float().mean()) > 0.5


def test_all_of_the_weights_are_frozen_after_the_first_task(learn: Learn) -> None:
    learner, drawn = wsn(share=1.0), []
    change_fits(learner, lambda spec: drawn.append(learner.head.blocks[-1].weight.detach().clone()))
    found = learn(learner, stream(), 3, lambda s, v: (weights(s), s.masks.density))
    assert [density for _, density in found] == [1.0] * 3
    assert same(found[0][0], found[1][0]) and same(found[1][0], found[2][0])
    assert not same(found[0][0], weights_before()), "the first task is plain fine-tuning"
    assert not any(torch.equal(old, block.weight) for old, block in zip(drawn, learner.head.blocks, strict=True))


def weights_before() -> list[Tensor]:
    backbone = conv_backbone()
    return [backbone.model.get_parameter(f"{name}.weight").detach() for name in ("conv1", "conv2", "fc")]


# ------------------------------------------------------------------------------------------------------- training


def test_the_best_epochs_weights_scores_and_masks_are_kept(learn: Learn) -> None:
    learner, found = wsn(epochs=4), []

    def change(spec: Any) -> dict[str, Any]:
        def validate() -> float:
            found.append(state.clone([learner.scores.masks, list(learner.scores.values), weights(learner)]))
            return float([0, 1, 0, 0][len(found) - 1])

        return {"validate": validate}

    change_fits(learner, change)
    learn(learner, stream(), 1)
    masks, scores, before = found[1]
    assert same(learner.masks[0], masks) and same(learner.scores.masks, masks)
    assert same(list(learner.scores.values), scores) and same(weights(learner), before)
    assert not same(found[1][0], found[3][0]), "the test must see masks that change"
    now = [best(values, 0.3) for values in learner.scores.values]
    assert not same(now, masks), "the mask is that of the last batch, before its step"


def test_validation_is_the_loss_under_the_masks_of_the_last_batch(learn: Learn) -> None:
    learner, scores = wsn(network="vit", epochs=1), []

    def change(spec: Any) -> dict[str, Any]:
        def validate() -> float:
            scores.append(spec.validate())
            return float(scores[-1])

        return {"validate": validate}

    change_fits(learner, change)
    learn(learner, stream(), 1)
    view = stream().view(0)
    assert view.val is not None
    with torch.no_grad():
        x = learner.backbone.transform(view.val.pixels(slice(None)))
        features = learner.scores(learner.backbone, x, learner.masks[0])
        loss = F.cross_entropy(learner.head.blocks[0](features), view.val.labels)
    assert scores == [pytest.approx(-float(loss), rel=1e-5)]


def test_each_task_has_a_fresh_adam_a_plateau_and_the_scores_of_the_task_before(learn: Learn) -> None:
    learner, specs, scores = wsn(epochs=1, lr=0.02, lr_min=1e-4), [], []

    def change(spec: Any) -> dict[str, Any]:
        specs.append(dataclasses.replace(spec, params=list(spec.params)))
        scores.append(state.clone(list(learner.scores.values)))
        return {"params": specs[-1].params}

    change_fits(learner, change)
    after = learn(learner, stream(), 2, lambda s, v: state.clone(list(s.scores.values)))
    assert same(after[0], scores[1]) and not same(scores[0], scores[1])
    for task, spec in enumerate(specs):
        optimizer = spec.optimizer(spec.params)
        assert isinstance(optimizer, torch.optim.Adam) and not optimizer.state
        assert optimizer.defaults["lr"] == 0.02 and optimizer.defaults["weight_decay"] == 0
        assert spec.plateau == Plateau(0.5, 5, 1e-4) and spec.select == "best"
        trained = {id(parameter) for parameter in spec.trained}
        heads = [id(parameter) in trained for parameter in learner.head.parameters()]
        assert heads == [j == task for j in range(2)] and len(trained) == 3 + 3 + 1
        assert all(parameter.ndim > 1 for parameter in spec.trained), "no bias, no norm"


@both
def test_unmasked_weights_stay_as_loaded(network: str, learn: Learn) -> None:
    learner = wsn(network)
    learn(learner, stream(), 2)
    assert set(learner.backbone.get_state()) == set(learner.scores.names)


def test_without_validation_images_the_last_state_is_kept(learn: Learn) -> None:
    learner, specs = wsn(), []
    change_fits(learner, lambda spec: specs.append(spec))
    learn(learner, tiny_stream(), 2)
    assert [(spec.select, spec.validate, spec.plateau) for spec in specs] == [("last", None, None)] * 2
    assert len(learner.masks) == 2


# ------------------------------------------------------------------------------------------- prediction, capacity


def test_a_head_scores_the_classes_of_its_task_alone(learn: Learn) -> None:
    learner = wsn()
    learn(learner, stream(), 2)
    first, second = (list(stream().view(task).classes) for task in (0, 1))
    assert first + second == list(range(4))
    scores = logits(learner, 1)
    assert scores.shape == (12, 4) and torch.isfinite(scores[:, second]).all() and scores[:, first].isinf().all()
    with torch.no_grad():  # as for predictions
        features = learner.network(1)(learner.backbone.transform(pixels()))
    assert torch.equal(scores[:, second], learner.head.blocks[1](features))
    assert learner.head.blocks[1].bias is None
    assert torch.equal(logits(learner, 2), torch.zeros(12, 4)), "a task not learned"
    with pytest.raises(UsageError, match="say which task"):
        learner.predict_images(pixels())


def test_the_statistics_of_batch_norms_are_the_tasks_own(learn: Learn) -> None:
    learner = wsn()
    learn(learner, stream(), 2)
    one, two = (learner.statistics.of(task) for task in (0, 1))
    assert list(one) == ["bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var"]
    assert not any(torch.equal(one[name], two[name]) for name in one)
    assert torch.allclose(logits(learner, 0)[:5], logits(learner, 0, pixels()[:5]), atol=1e-6)


def test_legacy_statistics_are_those_of_the_test_batch(learn: Learn) -> None:
    learner, default = wsn(legacy=True), wsn()
    for each in (learner, default):
        learn(each, stream(), 1)
    assert same(weights(learner), weights(default)), "training is the same"
    assert not torch.allclose(logits(learner, 0)[:5, :2], logits(learner, 0, pixels()[:5])[:, :2], atol=1e-3)
    assert WSN.marks(learner.options) == ("legacy", "batch-dependent") and WSN.marks(default.options) == ()
    assert learner.backbone.get_state().keys() == set(learner.scores.names), "no statistics of test images stay"


def test_capacity_is_in_the_record(tmp_path: Path) -> None:
    learner = wsn(epochs=1)
    found = record.load(record_path(run(learner, stream(), tmp_path), tmp_path))
    report = found["measurement"]["report"]
    layers = [[learner.masks[task][layer].numpy() for task in range(5)] for layer in range(3)]
    rate = compression_rate(layers)
    assert report["density"] == learner.masks.density and report["mask_compression"] == rate
    assert report["capacity"] == pytest.approx(learner.masks.density + (1 - rate) * 5 / 32)
    assert report["capacity_paper_rate"] == pytest.approx(learner.masks.density + (1 - PAPER_RATE) * 5 / 32)
    for task in range(5):  # the record shows the capacity after every task
        rate = compression_rate([masks[: task + 1] for masks in layers])
        used = [np.logical_or.reduce(masks[: task + 1]) for masks in layers]
        density = sum(int(mask.sum()) for mask in used) / sum(mask.size for mask in used)
        assert report[f"task{task}.density"] == pytest.approx(density)
        assert report[f"task{task}.capacity"] == pytest.approx(density + (1 - rate) * (task + 1) / 32)
        assert report[f"task{task}.capacity_paper_rate"] == pytest.approx(density + 0.22 * (task + 1) / 32)
    assert report["task4.capacity"] == report["capacity"] > report["task0.capacity"] and "task5.capacity" not in report
    assert 0 < rate < 1 and list(found["result"]["accuracy"]) == ["til_oracle"]
    counts = [weight.numel() for weight in weights(learner)]
    stored = found["measurement"]["stored"]
    assert stored["statistics"] == 5 * 2 * (4 + 5) * 4 and stored["samples"] == 0
    masks = 5 * sum(-(-n // 8) for n in counts)  # a bit per weight and task
    assert stored["parameters"] == masks + sum(counts) * (4 + 4 + 1) + 10 * learner.backbone.dim * 4


def record_path(found: Any, folder: Path) -> Path:
    assert found["status"] == "complete"
    return folder / "record.json"


def test_learns_something(tmp_path: Path) -> None:
    learner = wsn(epochs=8, lr=0.02)
    found = run(learner, stream(), tmp_path)
    assert found["result"]["metrics"]["til_oracle"]["A_last_sample"] > 0.7
    assert found["result"]["metrics"]["til_oracle"]["F_avalanche"] == 0


def test_a_twentieth_of_the_images_is_for_validation_as_in_the_scripts() -> None:
    plan = make_plan("wsn", "split-cifar100", "wsn_alexnet@random")
    assert WSN.val_fraction == 0.05 == plan.values["stream.val_fraction"].value


def test_the_capacity_is_computed_once_per_task_and_again_for_another_state(
    learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    learner = wsn(epochs=1)
    own = learner._capacity

    def watched(count: int) -> dict[str, float]:
        counted.append(count)
        return own(count)

    vars(learner)["_capacity"] = watched
    reports = learn(learner, stream(), 3, lambda s, view: s.report())
    assert counted == [1, 2, 3]
    assert all(reports[2][key] == value for key, value in reports[1].items() if key.startswith("task"))
    learner.masks.set_state(learner.masks.get_state()[:1])
    assert learner.report() == reports[0]


# ------------------------------------------------------------------------------------- noisy backgrounds (SoftNet)


@both
def test_a_background_of_noise_leaves_the_subnetwork_exact(network: str, learn: Learn) -> None:
    learner = wsn(network, background=0.2, epochs=1)
    learn(learner, stream(), 2)
    for task in (0, 1):
        found = learner.tensors(task)
        for name, mask, weight in zip(learner.scores.names, learner.masks[task], weights(learner), strict=True):
            assert torch.equal(found[name][mask], weight[mask])
            share = (found[name] / weight)[~mask]
            assert bool(((share >= 0) & (share < 0.2)).all()) and float(share.mean()) == pytest.approx(0.1, abs=0.03)
        assert all(torch.equal(value, learner.tensors(task)[name]) for name, value in found.items()), "drawn once"
    assert not torch.equal(learner.tensors(0)[learner.scores.names[0]], learner.tensors(1)[learner.scores.names[0]])


def test_training_does_not_know_the_background(learn: Learn) -> None:
    hard, soft = wsn(), wsn(background=0.3)
    for learner in (hard, soft):
        learn(learner, stream(), 2)
    assert same(weights(hard), weights(soft)) and not torch.equal(logits(hard, 0), logits(soft, 0))


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_tasks_not_learned_yet_are_answered_for_forward_transfer(background: float, tmp_path: Path) -> None:
    """By the latest subnetwork, at first that of the initial scores, and the head as its task will draw it."""
    learner = wsn(background=background)
    found = run(learner, stream(evaluate_on="all"), tmp_path)["result"]
    table = np.array(found["accuracy"]["til_oracle"]["correct"], dtype=float) / found["count"]
    assert table.shape == (6, 5) and not np.isnan(table).any()
    fwt = np.mean([table[task, task] - table[0, task] for task in range(1, 5)])
    assert found["metrics"]["til_oracle"]["FWT"] == pytest.approx(fwt)
    assert len(learner.head) == len(learner.head.blocks) == 5
    plain = wsn(background=background)
    seen = run(plain, stream(), tmp_path / "seen")["result"]["accuracy"]["til_oracle"]["correct"]
    for step, row in enumerate(seen):
        ours = found["accuracy"]["til_oracle"]["correct"][step + 1]
        assert row[: step + 1] == ours[: step + 1], "the heads of later tasks leave no trace"
    assert same(weights(learner), weights(plain))


def test_the_head_of_a_later_task_is_the_one_that_it_begins_with(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, data = wsn(epochs=1), stream()
    learner.info = data.info
    learner.setup(data.info)
    with with_heads(learner, data, [2], learner.trainer.seeds):
        early = [block.weight.clone() for block in learner.head.blocks]
        expected = {
            name: w.where(m, 0.0)
            for name, w, m in zip(
                learner.scores.names, weights(learner), [best(s, 0.3) for s in learner.scores.values], strict=True
            )
        }
        assert same(learner.tensors(2), expected)
    assert len(early) == 5 and len(learner.head) == len(learner.head.blocks) == 0 and not learner.ready
    first = []
    monkeypatch.setattr(learner, "fit", lambda *_, **__: first.append(learner.head.blocks[-1].weight.clone()))
    for task in range(3):
        learner.trainer.journal.begin(task)
        learner.learn(data.view(task))
    assert same(first, early[:3])


def test_the_preset_softnet_has_a_background_and_others_have_none() -> None:
    assert make_plan("wsn", "split-digits", preset="softnet").options.background == 0.1
    assert make_plan("wsn", "split-digits").options.background == 0 and WSN.Options().background == 0


def test_the_defaults_are_those_of_the_script_for_cifar_100() -> None:
    for o in (WSN.Options(), make_plan("wsn", "split-cifar100", "wsn_alexnet@random").options):
        assert (o.share, o.epochs, o.batch_size, o.lr, o.patience, o.lr_min) == (0.5, 200, 64, 1e-3, 5, 1e-6)
