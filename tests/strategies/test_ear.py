"""EAR: growth where inputs are new and only there, frozen earlier adaptors, routing, and training by a plain loop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.data.store import ImageStore
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.random import Seeds
from cl.strategies.ear import EAR
from cl.stream import Experience, Stream
from cl.testing import check_strategy, tiny_backbone
from cl.training import state
from cl.training.fit import FitSpec
from cl.training.journal import Learner
from tests.conftest import DRAWS, make, tiny_stream
from tests.help.plain_loops import Keeping

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"depths": 2, "dims": 1000, "epochs": 2, "batch_size": 16, "lr": 0.02, "budget": 2000}
ONE_SHAPE = 450
"""A budget that admits adaptors of one size for the backbone of the checks."""


def ear(**options: Any) -> EAR:
    return make(EAR, **{**FAST, **options})


def pixels(count: int = 20) -> Tensor:
    return torch.from_numpy(tiny_stream().dataset.test.pixels[::3][:count].copy()).permute(0, 3, 1, 2)


def halves(change: Callable[[np.ndarray], np.ndarray]) -> Stream:
    """Two domains: a half of the digits of every class, and the other half after a change."""
    whole = tiny_stream(train_per_class=100).dataset.train
    second = np.arange(len(whole.labels)) % 2 == 1
    images = [np.array(whole.pixels[~second]), change(np.array(whole.pixels[second]))]
    labels = [whole.labels[~second], whole.labels[second]]
    store = ImageStore.from_arrays(np.concatenate(images), np.concatenate(labels))
    first = {image.tobytes() for image in images[0]}
    own = np.array([image.tobytes() in first for image in store.pixels])
    base, classes = tiny_stream(), tuple(range(10))
    experiences = tuple(Experience(np.flatnonzero(each), np.empty(0, np.int64), classes) for each in (own, ~own))
    return replace(base, dataset=replace(base.dataset, train=store), experiences=experiences)


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("ear", options={"dims": 256, "budget": ONE_SHAPE, "grow": "always"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"dims": 200}, {"dims": 201, "depths": 2, "grow": "never", "probes": 0, "proxy": "random"}]
)
def test_it_keeps_the_contract_with_shapes_that_depend_on_the_images(options: dict[str, Any]) -> None:
    names = ("declarations", "runs", "pure", "batch-independent", "state-round-trip", "resume", "seeded", "costs")
    check_strategy("ear", options=options, only=names)  # other images may choose a larger adaptor: not `memory`


# ------------------------------------------------------------------------------------------------------ training


class Noting(Keeping):
    """Keeps also the adaptors before each fit, and what is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.adaptors: dict[int, list[Any]] = {}
        self.specs: dict[int, FitSpec] = {}

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        assert isinstance(strategy, EAR) and self.journal.task is not None
        self.adaptors[self.journal.task] = state.clone(strategy.pool.get_state())
        self.specs[self.journal.task] = spec
        return super().fit(strategy, phase, spec)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_three_tasks_end_like_a_plain_loop(kind: str, learn: Learn) -> None:
    options = {**FAST, "grow": "always", "optimizer": kind, "weight_decay": 0.01, "momentum": 0.8, "epochs": 3}
    method = EAR(EAR.Options(**options), tiny_backbone(), Noting())
    learn(method, tiny_stream(), 3)
    noted = method.trainer
    assert isinstance(noted, Noting)
    for task in range(3):
        shape, values = noted.adaptors[task][task]
        names = [*values, "head.weight", "head.bias"]
        rows = slice(2 * task, 2 * task + 2)
        start = noted.starts[task, "train"]
        leaves = [*values.values(), start["head_weight"][rows], start["head_bias"][rows]]
        leaves = [value.clone().requires_grad_(True) for value in leaves]
        steps = (torch.optim.SGD(leaves, lr=0.02, momentum=0.8, weight_decay=0.01) if kind == "sgd"
                 else torch.optim.Adam(leaves, lr=0.02, weight_decay=0.01))  # fmt: skip
        batches = noted.batches[task, "train"]
        assert len(batches) == 3 * 2  # 24 images in batches of 16
        for number, batch in enumerate(batches):
            steps.param_groups[0]["lr"] = 0.02 * (1 + math.cos(math.pi * (number // 2) / 3)) / 2
            held = dict(zip(names, leaves, strict=True))
            by_depth = batch.x.split(16, 1)
            x = torch.cat([F.layer_norm(by_depth[depth], (16,)) for depth in shape[0]], 1)
            for layer in range(shape[2]):
                x = F.relu(x @ held[f"hidden.{layer}.weight"].T + held[f"hidden.{layer}.bias"])
            z = by_depth[-1] + x @ held["up.weight"].T + held["up.bias"]
            logits = z @ held["head.weight"].T + held["head.bias"]
            steps.zero_grad()
            F.cross_entropy(logits, batch.y - 2 * task).backward()
            steps.step()
        found = {**dict(method.pool[task].state_dict()), "head.weight": method.head.blocks[task].weight,
                 "head.bias": method.head.blocks[task].bias}  # fmt: skip
        moved = 0.0
        for name, plain, before in zip(names, leaves, [*values.values()], strict=False):
            assert float((found[name] - plain.detach()).abs().max()) < 1e-5, f"{name} of task {task}"
            moved += float((plain.detach() - before).abs().max())
        assert moved > 1e-3


def test_it_trains_on_features_of_the_depths_in_the_order_of_the_labels(learn: Learn) -> None:
    method = EAR(EAR.Options(**FAST), tiny_backbone(), Noting())
    learn(method, tiny_stream(), 1)
    noted, view = method.trainer, tiny_stream().view(0).train
    assert isinstance(noted, Noting)
    with torch.no_grad():
        features = method._depths(method.backbone.transform(view.pixels(torch.arange(len(view)))))
    assert method._depths.dims == [16, 16]
    for batch in noted.batches[0, "train"]:
        apart, row = torch.cdist(batch.x, features).min(1)
        assert float(apart.max()) < 1e-3 and torch.equal(view.labels[row], batch.y)


def test_the_adaptor_has_the_highest_score_of_all_that_fit(learn: Learn) -> None:
    method = ear(budget=20_000)
    learn(method, tiny_stream(), 1)
    method.trainer.journal.begin(0)
    view = tiny_stream().view(0)
    parts = method._depths.parts(method.encode(view.train, method._depths))
    chosen = method.pool[0].shape
    scores = [method._score(shape, parts) for shape in method._shapes]  # all 24 images: their order changes no score
    assert chosen in method._shapes and max(scores) == pytest.approx(method._score(chosen, parts), abs=1e-6)
    assert len({round(score, 3) for score in scores}) > 10
    drawn = set()
    for seed in range(4):
        other = make(EAR, seeds=Seeds(data=seed), **{**FAST, "proxy": "random"})
        learn(other, tiny_stream(), 1)
        drawn.add(other.pool[0].shape)
    assert len(drawn) > 1


# -------------------------------------------------------------------------------------------------------- growth


def test_the_same_digits_are_not_new_and_false_alarms_are_as_many_as_the_quantile_says(learn: Learn) -> None:
    """On the mean of four networks and draws of 250 held-out images: one draw of 100 may miss the quantile by 0.15."""
    stream = halves(lambda images: images)
    for quantile in (0.1, 0.3):
        before, after, by_own_sums = [], [], []
        for draw in DRAWS:
            options = {**FAST, "quantile": quantile, "probes": 1000, "held_out": 0.5}
            method = make(EAR, seeds=Seeds(data=draw), draw=draw, **options)
            found = learn(method, stream, 2, lambda s, v: (len(s.pool), s.report()))
            assert [count for count, _ in found] == [1, 1] and method.adaptor_of == [0, 0]
            before.append(found[0][1])
            after.append(method.report())
            assert after[-1]["adaptors"] == 1 and after[-1]["adaptor_routing"] == 1
            for task, threshold in enumerate(method.thresholds):
                own = torch.tensor(method.bundles.tasks) == task
                highest = method.bundles.similarity(method.kept.of(task))[:, own].amax(1)
                by_own_sums.append({"false_alarms": float((highest < threshold).float().mean())})

        def mean(reports: list[dict[str, float]], name: str) -> float:
            return sum(report[name] for report in reports) / len(reports)

        assert mean(after, "task1.new") == pytest.approx(quantile, abs=0.1)
        assert mean(before, "false_alarms") == pytest.approx(quantile, abs=0.1)
        alarms = mean(after, "false_alarms")
        assert alarms < 0.95 * mean(by_own_sums, "false_alarms"), "two tasks of the same digits know more of them"
        assert mean(after, "task1.auroc") == pytest.approx(0.5, abs=0.1)


def test_inverted_digits_are_new_and_get_an_adaptor(learn: Learn) -> None:
    method = ear()
    assert learn(method, halves(lambda images: 255 - images), 2, lambda s, v: len(s.pool)) == [1, 2]
    report = method.report()
    assert report["task1.new"] > 0.9 and report["task1.auroc"] > 0.9 and report["routing"] > 0.9


@pytest.mark.parametrize(("grow", "adaptors"), [("always", 3), ("never", 1)])
def test_the_baselines_grow_always_and_never(grow: str, adaptors: int, learn: Learn) -> None:
    method = EAR(EAR.Options(**{**FAST, "grow": grow}), tiny_backbone(), Noting())
    learn(method, tiny_stream(), 3)
    noted = method.trainer
    assert isinstance(noted, Noting)
    assert method.report()["adaptors"] == adaptors == len(method.pool)
    assert method.report()["parameters"] == sum(each.shape.parameters([16, 16]) for each in method.pool.adaptors)
    trained = [len(noted.specs[task].trained) for task in range(3)]
    own = 2 * method.pool[0].shape.layers + 2
    assert trained[0] == own + 2 and (trained[1:] == [2, 2]) == (grow == "never")


def test_a_task_that_is_not_new_reads_the_adaptor_that_most_images_resemble(learn: Learn) -> None:
    method = ear(grow="always")
    learn(method, halves(lambda images: 255 - images), 2)
    method.options = replace(method.options, grow="new")
    for task, change in ((2, lambda images: images), (3, lambda images: 255 - images)):
        method.trainer.journal.begin(task)
        method.learn(halves(change).view(1 if task == 3 else 0))
    assert method.adaptor_of == [0, 1, 0, 1] and len(method.pool) == 2


@pytest.mark.parametrize("grow", ["always", "never", "new"])
def test_earlier_adaptors_heads_and_told_answers_never_change(grow: str, learn: Learn) -> None:
    method = ear(grow=grow)

    def look(s: EAR, view: Any) -> Any:
        tasks = range(len(s.head))
        held = state.clone([s.pool.get_state(), s.head.get_state()["weights"], s.head.get_state()["biases"]])
        return held, [s.predict_images(pixels(), task)[:, s.head.tasks[task]] for task in tasks]

    found = learn(method, tiny_stream(), 3, look)
    for (before, told), (after, later) in itertools.pairwise(found):
        for (shape, values), (same, kept) in zip(before[0], after[0], strict=False):
            assert shape == same and all(torch.equal(values[name], kept[name]) for name in values)
        for earlier, now in zip(before[1] + before[2], after[1][: len(before[1])] + after[2][: len(before[2])],
                                strict=True):  # fmt: skip
            assert torch.equal(earlier, now)
        assert all(torch.equal(one, two) for one, two in zip(told, later, strict=False))
    assert method.backbone.is_pristine


# ------------------------------------------------------------------------------------------------------- routing


def learned(learn: Learn, **options: Any) -> EAR:
    method = ear(**{"grow": "always", **options})
    learn(method, tiny_stream(), 3)
    return method


def test_each_image_is_answered_by_the_head_of_its_most_similar_sum(learn: Learn) -> None:
    method = learned(learn)
    scores, tasks = method.predict_images(pixels()), set()
    with torch.no_grad():
        features = method._depths(method.backbone.transform(pixels()))
    for image in range(len(pixels())):
        code = method._codes(features[image : image + 1]).double()
        sums = method.bundles.sums.double()
        cosines = (sums @ code[0]) / sums.norm(dim=1) / code.norm()
        task = method.bundles.tasks[int(cosines.argmax())]
        told = method.predict_images(pixels()[image : image + 1], task)[0]
        own = method.head.tasks[task]
        assert torch.allclose(scores[image, own], told[own], atol=1e-5)
        others = [label for label in range(6) if label not in own]
        assert scores[image, others].max() < scores[image, own].min(), "the task is decided by the sums alone"
        by_label = torch.tensor([cosines[method.bundles.labels.index(label)] for label in others])
        assert torch.equal(scores[image, others].argsort(), by_label.argsort())
        tasks.add(task)
    assert len(tasks) > 1 and scores.isfinite().all()


def test_routing_depends_on_the_seed_alone(learn: Learn) -> None:
    one, two = learned(learn), learned(learn)
    assert torch.equal(one.bundles.sums, two.bundles.sums) and one.thresholds == two.thresholds
    assert torch.equal(one.predict_images(pixels()), two.predict_images(pixels())) and one.report() == two.report()
    other = make(EAR, seeds=Seeds(init=5), **{**FAST, "grow": "always"})
    learn(other, tiny_stream(), 3)
    assert not torch.equal(one.bundles.sums, other.bundles.sums)


def test_a_batch_goes_to_one_task(learn: Learn) -> None:
    method = learned(learn, route="batch")
    with torch.no_grad():
        features = method._depths(method.backbone.transform(pixels()))
    similarity = method.bundles.similarity(method._codes(features))
    owners = torch.tensor(method.bundles.tasks)
    means = [float(similarity[:, owners == task].amax(1).mean()) for task in range(3)]
    chosen = int(np.argmax(means))
    order = (owners[similarity.argmax(1)] == chosen).to(torch.uint8).argsort()  # the first image alone would err
    assert owners[similarity[order[0]].argmax()] != chosen
    assert set((method.predict_images(pixels()[order]).argmax(1) // 2).tolist()) == {chosen}
    assert EAR.marks(method.options) == ("batch-dependent",) and EAR.marks(EAR.Options()) == ()
    assert len(set((learned(learn).predict_images(pixels()).argmax(1) // 2).tolist())) > 1


def test_held_out_images_are_in_no_sum_and_every_class_is(learn: Learn) -> None:
    for share, per_class in ((0.25, 12), (0.99, 12), (0.25, 2)):
        method = ear(held_out=share, probes=3)
        added: list[Tensor] = []
        stream = tiny_stream(train_per_class=per_class)
        method.info = stream.info
        method.setup(stream.info)
        add = method.bundles.add
        vars(method.bundles)["add"] = lambda codes, labels, task, add=add, added=added: (
            added.append(labels), add(codes, labels, task))  # fmt: skip
        for task in range(2):
            method.trainer.journal.begin(task)
            method.learn(stream.view(task))
        count = 2 * per_class
        held = min(max(1, round(share * count)), count - 2)
        for task in range(2):
            assert len(added[task]) == count - held and set(added[task].tolist()) == {2 * task, 2 * task + 1}
            assert len(method.kept.of(task)) == min(held // 2, 3)
        assert len(method.thresholds) == 2 and all(math.isfinite(value) for value in method.thresholds)


def test_the_report_measures_routing_and_alarms_with_all_sums(learn: Learn) -> None:
    method = learned(learn)
    report, right, alarms = method.report(), [], []
    for task in range(3):
        cosines = method.bundles.similarity(method.kept.of(task)).double()
        row = cosines.argmax(1)
        owner = torch.tensor(method.bundles.tasks)[row]
        threshold = torch.tensor(method.thresholds)[owner]
        right.append((owner == task).double())
        alarms.append((cosines.max(1).values.float() < threshold).double())
        assert report[f"task{task}.routing"] == pytest.approx(float(right[-1].mean()))
        assert report[f"task{task}.adaptor"] == task
    assert report["routing"] == report["adaptor_routing"] == pytest.approx(float(torch.cat(right).mean()))
    assert report["false_alarms"] == pytest.approx(float(torch.cat(alarms).mean()))
    assert report["auroc"] == pytest.approx((report["task1.auroc"] + report["task2.auroc"]) / 2)
    assert "task0.auroc" not in report
    silent = learned(learn, probes=0)
    assert not {"routing", "auroc", "false_alarms"} & set(silent.report()) and silent.stored()["samples"] == 0


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_budget_that_holds_no_adaptor_is_refused() -> None:
    with pytest.raises(UsageError, match=r"budget=100 holds no adaptor: .* tiny has 280 parameters; set budget=280"):
        ear(budget=100).setup(tiny_stream().info)
    ear(budget=280).setup(tiny_stream().info)


def test_more_depths_than_stages_are_refused() -> None:
    with pytest.raises(UsageError, match="depths=3, but backbone tiny has 2 stages"):
        ear(depths=3).setup(tiny_stream().info)


def test_a_class_of_one_image_is_refused_before_anything_is_trained() -> None:
    from cl.errors import Incompatible
    from cl.plan.needs import refuse
    from cl.running.build import build_stream

    plan = make_plan("ear", "split-digits", options={"stream.train_per_class": 1})
    with pytest.raises(Incompatible, match="needs 2 training images of each class for a sum and a held-out image"):
        refuse("ear", plan.options, build_stream(plan))
    with pytest.raises(UsageError, match="online"):
        make_plan("ear", "split-digits", options={"stream.chunk": 10})
