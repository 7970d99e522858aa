"""What a run costs, before it starts: as many images as the run passes, and nearly the FLOPs that it counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cl
from benchmarks.cost_model import CLOSE, ratio
from cl import registry
from cl.backbone.facts import facts
from cl.plan.cost_model import ASSUMED, BOUND, DECLARED, cost, load_of
from cl.plan.plan import Plan, make_plan
from cl.protocol import TaskSize, Work
from cl.running.build import build_stream
from tests.conftest import tiny_stream

pytestmark = pytest.mark.usefixtures("isolated")

OURS = [name for name in registry.strategies.names() if registry.strategies.distribution(name).name == "clbench"]

TASK = TaskSize(0, 10, images=100, validation=20)
LATER = TaskSize(1, 10, images=100, validation=20, earlier=100, earlier_classes=10)


def work(strategy: str, task: TaskSize, **options: Any) -> Work:
    method = registry.strategies.get(strategy)
    return method.work(method.Options(**options), task)


def test_a_method_that_says_nothing_is_assumed_to_train_in_each_epoch_or_to_encode_once() -> None:
    found = work("lora-merge", TASK, epochs=3, batch_size=16)
    assert (found.trained, found.steps, found.known) == (300, 21, "assumed")
    frozen = work("simplecil", TASK)
    assert (frozen.trained, frozen.looked_up, frozen.test_lookups, frozen.test_passes) == (0, 100, 1, 0)


def test_methods_count_what_they_do() -> None:
    assert work("linear-probe", TASK, epochs=3, augment="none").looked_up == 300
    assert work("linear-probe", TASK, epochs=3, augment="flip").encoded == 300
    assert [work("replay", task, epochs=2, memory_size=50).trained for task in (TASK, LATER)] == [200, 400]
    assert work("replay", LATER, epochs=2, memory_size=50).kept_images == 50
    assert [work("pred-kd", task, epochs=2).encoded for task in (TASK, LATER)] == [0, 200]
    assert [work("icarl", task, epochs=2, memory_size=50).trained for task in (TASK, LATER)] == [200, 300]
    assert [work("ranpac", task, epochs=2).tuned for task in (TASK, LATER)] == [200, 0]
    assert work("ranpac", TASK, tuning="finetune", epochs=2).trained == 200
    assert [work("ease", task, epochs=1).test_passes for task in (TASK, LATER)] == [1, 2]
    prompted = work("coda-prompt", TASK, epochs=2)
    assert (prompted.tuned, prompted.encoded, prompted.test_lookups, prompted.test_passes) == (200, 200, 1, 1)
    wrapped = work("momentum", LATER, base="replay", base_options={"epochs": 2, "memory_size": 50})
    assert wrapped.trained == 400 and wrapped.networks == 1


def test_learners_of_nevis_count_trials_steps_and_validations() -> None:
    chosen: dict[str, Any] = {"trials": 4, "steps": 10, "validate_every": 5, "batch_size": 32, "batch_share": 0.0}
    found = work("independent", TASK, **chosen)
    assert found.steps == 40 and found.encoded == 4 * 2 * 20
    assert found.trained == 4 * 10 * 100 / 4  # four batches hold the 100 images of an epoch
    assert work("independent", TASK, **{**chosen, "batch_share": 0.5}).trained == 4 * 10 * 100 / 4
    assert work("independent", TASK, **{**chosen, "batch_share": 0.001}).trained == 4 * 10 * 100 / 7
    search = work("finetune-dynamic", LATER, **chosen, search_train=30, search_val=10).encoded
    assert search == work("finetune-previous", LATER, **chosen).encoded + 2 * (30 + 10)


@pytest.mark.parametrize("strategy", OURS)
def test_every_method_passes_images_and_tests_them(strategy: str) -> None:
    for task in (TASK, replace(LATER, last=True)):
        found = work(strategy, task)
        passes = (found.trained, found.tuned, found.encoded, found.looked_up)
        assert min(*passes, found.steps, found.kept_images, found.networks) >= 0
        assert sum(passes) > 0
        assert found.test_passes + found.test_lookups > 0 or strategy == "joint"
        assert found.known in (DECLARED, ASSUMED, BOUND)


def test_trainings_of_a_task_add_up() -> None:
    first = Work(trained=2, steps=1, networks=3)
    assert first + Work(trained=1, encoded=4, steps=1) == Work(trained=3, encoded=4, steps=2, networks=3)
    assert first * 2 == Work(trained=4, steps=1, networks=3)


def test_loads_are_those_of_the_stream() -> None:
    stream = tiny_stream()
    load = load_of(stream)
    assert [task.images for task in load.tasks] == [len(each.train) for each in stream.experiences]
    assert load.tasks[-1].last and load.tasks[1].earlier == load.tasks[0].images
    assert load.rows == len(load.tested) and load.tested[0] < load.tested[-1] == load.test_images
    assert load_of(stream, 1).tasks == load.tasks[:1] and load_of(stream, 1).test_images == load.tested[0]


def test_published_sizes_take_the_place_of_those_that_are_here() -> None:
    stream = build_stream(plan("simplecil"))
    here = load_of(stream)
    assert load_of(stream, published=True) == here
    named = [each.name for each in stream.experiences]
    object.__setattr__(stream.dataset, "shares", dict.fromkeys(named, 0.5))
    assert load_of(stream) == here
    assert load_of(stream, published=True).train_images == 2 * here.train_images


def test_features_are_computed_once_and_every_use_is_charged() -> None:
    backbone = {"forward_flops": 10, "parameters": 7, "dim": 3}
    load = load_of(tiny_stream())
    method = registry.strategies.get("linear-probe")
    found = cost(method, method.Options(epochs=5, augment="none"), load, backbone)
    distinct = load.train_images + load.test_images
    assert found.learning_flops == 10 * 5 * load.train_images and found.evaluation_flops == 10 * sum(load.tested)
    assert found.computed_flops == found.shared_flops == 10 * distinct and found.bytes["features"] == 4 * 3 * distinct
    assert found.known == {"learning": DECLARED, "evaluation": BOUND, "bytes": BOUND}
    method = registry.strategies.get("lora-merge")
    assert cost(method, method.Options(epochs=5), load, backbone).known["learning"] == ASSUMED


QUICK: dict[str, dict[str, Any]] = {
    "finetune": {"epochs": 2},
    "der-pp": {"epochs": 2, "memory_size": 20},
    "foster": {"epochs": 1, "boost_epochs": 1, "compress_epochs": 2, "memory_size": 20},
    "ranpac": {"epochs": 2, "width": 16},
    "coda-prompt": {"epochs": 2, "components": 10},
    "ties": {"epochs": 2},
    "independent": {"trials": 2, "steps": 6, "validate_every": 3, "batch_size": 8, "batch_share": 0.0},
    "finetune-dynamic": {"trials": 2, "steps": 6, "validate_every": 3, "batch_size": 8, "batch_share": 0.0},
}
SIZES = {"stream.train_per_class": 12, "stream.test_per_class": 4, "stream.tasks": 5, "backbone.image_size": 64}


def plan(strategy: str, **options: Any) -> Plan:
    return make_plan(strategy, "split-digits", backbone="test_vit@random", options={**SIZES, **options})


@pytest.mark.parametrize("strategy", QUICK)
def test_estimates_are_close_to_what_runs_count(strategy: str, tmp_path: Path) -> None:
    done = cl.run(
        strategy, "split-digits", backbone="test_vit@random", options={**SIZES, **QUICK[strategy]}, results=tmp_path
    )
    made = plan(strategy, **QUICK[strategy])
    found = ratio(made, done.record, load_of(build_stream(made)), facts(made.backbone, made.backbone_options))
    assert CLOSE[0] < found.learning < CLOSE[1], found
    assert 0.8 < found.evaluation < 1.25, found
    method, rules = registry.strategies.get(strategy), len(done.record["result"]["accuracy"])
    sizes = cost(
        method, made.options, load_of(build_stream(made)), facts(made.backbone, made.backbone_options), rules=rules
    ).bytes
    assert (done.folder / "record.json").stat().st_size < sizes["record"]
    assert (done.folder / "predictions.npz").stat().st_size < sizes["predictions"]
