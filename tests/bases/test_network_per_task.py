"""One network per task: trials, prediction, and what is charged and stored; for all of NEVIS'22's baselines."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.network_per_task import NetworkPerTask
from cl.errors import NonFiniteLoss, UsageError
from cl.plan.plan import make_plan
from cl.strategies.finetune_dynamic import FinetuneDynamic
from cl.strategies.finetune_previous import FinetunePrevious
from cl.strategies.independent import Independent
from cl.strategies.pretrained import Pretrained
from cl.training import state
from cl.training.cost import count_flops
from tests.conftest import make, run, tiny_backbone, tiny_stream
from tests.help.compare import same
from tests.help.network_per_task import learned, learner, network, stream

Learn = Callable[..., list[Any]]
METHODS = (Independent, FinetunePrevious, FinetuneDynamic, Pretrained)


# -------------------------------------------------------------------------------------------- where a task starts


def test_the_first_task_is_the_same_for_all_that_start_from_scratch(learn: Learn) -> None:
    found = [learned(cls, learn, 1) for cls in (Independent, FinetunePrevious, FinetuneDynamic)]
    networks, looks = zip(*found, strict=True)
    assert same(networks[0][0], networks[1][0]) and same(networks[0][0], networks[2][0])
    fresh = dict(tiny_backbone().model.state_dict())
    assert not same(looks[0][0], fresh), "drawn anew, not as loaded"
    assert all(same(look[0], look[1]) for look in looks), "every trial starts from the same weights"


# ------------------------------------------------------------------------------------------------------- the trials


def test_the_trial_with_the_best_validation_is_kept(learn: Learn) -> None:
    strategy = learner(Independent, trials=3)
    scores, ends = iter([0.2, 0.9, 0.5]), []
    train = strategy._train

    def score(*arguments: Any, **trial: Any) -> dict[str, float]:
        outcome = train(*arguments, **trial)
        ends.append(network(strategy))
        return {**outcome, "score": next(scores)}

    vars(strategy)["_train"] = score
    kept = learn(strategy, stream(), 1, lambda s, v: network(s))[0]
    assert same(kept, ends[1]) and not same(kept, ends[2])
    assert strategy.history[0]["chosen"] == 1 and strategy.best == {}
    drawn = [trial["lr"] for trial in strategy.history[0]["trials"]]
    assert all(0.05 <= lr <= 0.1 for lr in drawn) and len(set(drawn)) == 3
    smoothing = [trial["label_smoothing"] for trial in strategy.history[0]["trials"]]
    assert all(0 <= value <= 0.3 for value in smoothing) and len(set(smoothing)) == 3


def test_the_first_trials_do_not_depend_on_their_number(learn: Learn) -> None:
    few, many = learner(Independent, trials=1), learner(Independent, trials=3)
    learn(few, stream(), 1)
    learn(many, stream(), 1)
    assert few.history[0]["trials"][0] == many.history[0]["trials"][0]
    fixed = learner(Independent, trials=1, lr_min=0.03, lr_max=0.03, smoothing_max=0.0)
    learn(fixed, stream(), 1)
    assert (fixed.history[0]["trials"][0]["lr"], fixed.history[0]["trials"][0]["label_smoothing"]) == (0.03, 0.0)


@pytest.mark.parametrize(
    ("options", "warmup"),
    [
        ({"warmup_epochs": 2.0}, 6),  # 36 images in batches of 16: three steps an epoch
        ({"warmup_epochs": 100.0}, 7),
        ({"warmup_epochs": 100.0, "warmup_share": 0.25}, 2),
    ],
)
def test_the_warm_up_ends_before_the_last_step(options: dict[str, float], warmup: int, learn: Learn) -> None:
    strategy, schedules = learner(Independent, trials=1, steps=8, **options), []
    fit = strategy.fit

    def watched(*arguments: Any, **given: Any) -> Any:
        schedules.append(given["schedule"])
        return fit(*arguments, **given)

    vars(strategy)["fit"] = watched
    learn(strategy, stream(), 1)
    assert (schedules[0].warmup, schedules[0].total) == (warmup, 8)
    assert schedules[0].minimum == pytest.approx(1e-8 / strategy.history[0]["trials"][0]["lr"])


def test_a_trial_that_diverges_loses(learn: Learn) -> None:
    strategy = learner(FinetunePrevious, trials=2)
    fit = strategy.fit

    def diverge(phase: str, *arguments: Any, **options: Any) -> Any:
        result = fit(phase, *arguments, **options)
        if phase == "trial 0":
            raise NonFiniteLoss("the loss became nan")
        return result

    vars(strategy)["fit"] = diverge
    learn(strategy, stream(), 2)
    assert [entry["chosen"] for entry in strategy.history] == [1, 1]
    assert strategy.history[0]["trials"][0]["score"] == -math.inf
    assert strategy.history[0]["trials"][0]["training_flops"] > 0, "charged all the same"
    assert "task0.trial0.score" not in strategy.report() and "task0.trial1.score" in strategy.report()
    alone = learner(FinetunePrevious, trials=1)
    vars(alone)["fit"] = lambda *a, **o: (_ for _ in ()).throw(NonFiniteLoss("the loss became nan"))
    with pytest.raises(NonFiniteLoss, match="all 1 trials of task 0 diverged; lower lr_max"):
        learn(alone, stream(), 1)


def test_bad_options_and_missing_images_raise_one_clear_sentence(learn: Learn) -> None:
    with pytest.raises(UsageError, match=r"lr_min=0\.2 is above lr_max=0\.1"):
        learn(learner(Independent, lr_min=0.2), stream(), 1)
    with pytest.raises(UsageError, match="Task 0 of split-digits has no validation images"):
        learn(learner(Independent), tiny_stream(), 1)
    strategy = learner(Independent)
    learn(strategy, stream(), 1)
    with pytest.raises(UsageError, match="say which task: task=0"):
        strategy.predict_images(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("images", "size"), [(100, 16), (6400, 16), (12_799, 16), (12_800, 32), (60_000, 128), (10**6, 512)]
)
def test_batches_grow_with_the_task_in_powers_of_two(images: int, size: int) -> None:
    paper = make(Independent)
    assert paper.batch_size(images) == size
    assert make(Independent, batch_size=48, batch_share=0.0).batch_size(images) == 48


def test_norms_and_biases_do_not_decay(learn: Learn) -> None:
    strategy = learner(Independent)
    learn(strategy, stream(), 1)
    decayed, plain = strategy._groups(strategy.head.blocks[-1])
    assert all(parameter.ndim >= 2 for parameter in decayed["params"]) and plain["weight_decay"] == 0.0
    names = {id(parameter): name for name, parameter in strategy.backbone.model.named_parameters()}
    free = {names.get(id(parameter), "head") for parameter in plain["params"]}
    assert {"pos_embed", "cls_token", "norm.weight", "norm.bias", "head"} <= free
    total = sum(1 for _ in strategy.backbone.model.parameters()) + 2
    assert len(decayed["params"]) + len(plain["params"]) == total


# ---------------------------------------------------------------------------------------- prediction, cost, storage


def test_predictions_for_earlier_tasks_do_not_change(learn: Learn) -> None:
    pixels = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    strategy = learner(FinetunePrevious)
    found = learn(
        strategy,
        stream(),
        3,
        lambda s, v: ([s.predict_images(pixels, t) for t in range(v.task + 1)], s.network(v.task).key),
    )
    for task in (1, 2):
        for earlier in range(task):
            columns = strategy.head.tasks[earlier]
            assert torch.equal(found[task][0][earlier][:, columns], found[earlier][0][earlier][:, columns])
            assert strategy.network(earlier).key == found[earlier][1], "one extractor to the memory of encodings"
    assert len({key for _, key in found}) == 3
    scores = found[2][0][1]
    assert torch.isinf(scores[:, strategy.head.tasks[0]]).all() and scores.shape == (5, 10)
    assert torch.equal(learner_zero(strategy, pixels), torch.zeros(5, 10)), "a task not learned"


def learner_zero(strategy: NetworkPerTask, pixels: Tensor) -> Tensor:
    return strategy.predict_images(pixels, 3)


def test_every_network_counts_as_stored_once(learn: Learn) -> None:
    size = state.nbytes(dict(tiny_backbone().model.state_dict()))
    for cls in (Independent, FinetuneDynamic):
        strategy = learner(cls, trials=3)
        stored = learn(strategy, stream(), 3, lambda s, v: s.stored())
        heads = [sum(4 * (16 + 1) * len(classes) for classes in strategy.head.tasks[: task + 1]) for task in range(3)]
        assert [each["parameters"] for each in stored] == [size * (task + 1) + heads[task] for task in range(3)]
        assert all(each["samples"] == each["statistics"] == 0 for each in stored)


def stepped(images: int, steps: int, size: int = 16) -> int:
    """Images that so many steps see; the last batch of a pass is smaller."""
    batches = [min(size, images - first) for first in range(0, images, size)]
    return sum(itertools.islice(itertools.cycle(batches), steps))


def head_flops(head: torch.nn.Linear) -> int:
    return 2 * head.in_features * head.out_features


@pytest.mark.parametrize("cls", METHODS)
def test_all_trials_validation_and_search_are_charged(cls: type[NetworkPerTask], tmp_path: Path) -> None:
    """Counted by hand: steps are forward and backward of the images; validation and search are forwards."""
    from cl.results.pareto import error_curve, learning_flops, point

    strategy = learner(cls, steps=4)
    record = run(strategy, stream(), tmp_path)
    report = record["measurement"]["report"]
    forward = count_flops(lambda: strategy.backbone(torch.zeros(1, 3, 8, 8)))[1]
    model: Any = strategy.backbone.model
    embedding = count_flops(lambda: model.patch_embed(torch.zeros(1, 3, 8, 8)))[1]
    spent, steps = learning_flops(record), learning_flops(record, "training")
    for task in range(3):
        trials = [report[f"task{task}.trial{i}.training_flops"] for i in range(2)]
        assert steps[task] == report[f"task{task}.training_flops"] == sum(trials) and trials[0] == trials[1] > 0
        view = stream().view(task)
        assert view.val is not None
        head = strategy.head.blocks[task]
        images = 2 * stepped(len(view.train), 4)
        # A gradient for the weights and one for the inputs cost a forward each; images need none.
        assert steps[task] == images * (3 * (forward + head_flops(head)) - embedding)
        looks = 2 * 2 * len(view.val)
        search = (task + 1) * (len(view.train) + len(view.val)) if cls is FinetuneDynamic and task else 0
        assert spent[task] - steps[task] == pytest.approx((looks + search) * forward + looks * head_flops(head))
    for account, total in (("all", spent), ("training", steps)):
        curve = error_curve(record, account=account)
        assert [each.flops for each in curve] == pytest.approx([sum(list(total.values())[: t + 1]) for t in range(3)])
        assert curve[0].flops < curve[1].flops < curve[2].flops
        own = record["result"]["metrics"]["til_oracle"]["LA"]
        assert point(record, account=account).error == pytest.approx(1 - own)


def test_only_the_rule_with_the_task_told_applies() -> None:
    for cls in METHODS:
        assert cls.rules == ("til_oracle",) and cls.val_fraction > 0
        supported = {setting for setting in ("class-incremental", "task-incremental") if cls.supports(setting, None)}
        assert supported == {"class-incremental", "task-incremental"}
        assert not any(cls.supports(other, None) for other in ("domain-incremental", "online", "blurry"))


# ------------------------------------------------------------------------------------------------------ presets


@pytest.mark.parametrize("name", ["independent", "finetune-previous", "pretrained"])
def test_the_released_configurations_have_one_run_and_the_paper_has_a_search(name: str) -> None:
    released = make_plan(name, "split-cifar100", preset="as-released").options
    assert (released.trials, released.lr_min, released.lr_max, released.smoothing_max) == (1, 0.1, 0.1, 0.0)
    assert (released.batch_size, released.batch_share, released.steps) == (256, 0.0, 50_000)
    paper = make_plan(name, "split-cifar100", preset="paper").options
    assert (paper.trials, paper.lr_min, paper.lr_max, paper.smoothing_max) == (16, 1e-4, 0.1, 0.3)
    assert (paper.batch_size, paper.batch_share) == (512, 0.0025)


def test_without_a_search_the_optimiser_gets_the_released_rate(learn: Learn) -> None:
    """One trial, learning rate 0.1, no label smoothing, whatever the seed draws."""
    released = make_plan("independent", "split-cifar100", preset="as-released").options
    given = {key: getattr(released, key) for key in ("trials", "lr_min", "lr_max", "smoothing_max")}
    strategy = learner(Independent, **given)
    rates: list[float] = []
    smoothings: list[float] = []
    fit, cross_entropy = strategy.fit, torch.nn.functional.cross_entropy

    def watched(*arguments: Any, **options: Any) -> Any:
        rates.append(options["optimizer"]([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"])
        return fit(*arguments, **options)

    def seen(*arguments: Any, **options: Any) -> Tensor:
        smoothings.append(options["label_smoothing"])
        return cross_entropy(*arguments, **options)

    vars(strategy)["fit"] = watched
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cl.bases.network_per_task.F.cross_entropy", seen)
        learn(strategy, stream(), 2)
    assert rates == [0.1, 0.1], "one trial for each of two tasks"
    assert smoothings and set(smoothings) == {0.0}


@pytest.mark.parametrize("name", ["independent", "finetune-previous", "finetune-dynamic", "pretrained"])
def test_the_cheap_search_has_four_short_trials(name: str) -> None:
    cheap = make_plan(name, "split-cifar100", preset="cheap").options
    assert (cheap.trials, cheap.steps, cheap.lr_min, cheap.lr_max) == (4, 25_000, 1e-4, 0.1)


def test_the_defaults_are_the_search_of_the_paper() -> None:
    o = NetworkPerTask.Options()
    assert (o.trials, o.lr_min, o.lr_max, o.smoothing_max) == (16, 1e-4, 0.1, 0.3)
    assert (o.steps, o.validate_every, o.batch_size, o.batch_share) == (50_000, 1000, 512, 0.0025)
    assert (o.warmup_epochs, o.warmup_share, o.momentum, o.weight_decay) == (7, 1, 0.9, 1e-4)
