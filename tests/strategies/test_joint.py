"""Joint training: one training on all tasks, or a fresh model after every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cl.strategies.finetune import Finetune
from cl.strategies.joint import Joint
from tests.conftest import equal, make, run, tiny_stream
from tests.help.online import stream_in

FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
Learn = Callable[..., list[Any]]


def test_joint_on_one_task_is_finetune_step_for_step(learn: Learn) -> None:
    stream = tiny_stream(tasks=1)
    joint, finetune = make(Joint, **FAST), make(Finetune, **FAST, loss="global")
    learn(joint, stream, 1)
    learn(finetune, stream, 1)
    assert equal(joint, finetune)


def test_joint_has_only_a_last_row_and_no_forgetting(tmp_path: Path) -> None:
    record = run(make(Joint, **FAST), tiny_stream(), tmp_path)
    correct = record["result"]["accuracy"]["cil_seen"]["correct"]
    assert all(value is None for row in correct[:-1] for value in row) and None not in correct[-1]
    metrics = record["result"]["metrics"]["cil_seen"]
    assert metrics["A_last_sample"] > 0
    assert all(metrics[name] is None for name in ("F_chaudhry", "BWT", "A_inc_sample", "LA", "F_max_all"))
    assert record["result"]["strategy"]["access"] == "past"


def test_joint_oracle_trains_a_fresh_model_after_every_task(tmp_path: Path) -> None:
    stream = tiny_stream()
    record = run(make(Joint, **FAST, form="oracle"), stream, tmp_path / "oracle")
    assert record["result"]["metrics"]["cil_seen"]["A_inc_sample"] is not None
    # the model after the last task saw what `once` sees, from the same start: the same draws but for the task's name
    once = run(make(Joint, **FAST, form="once"), stream, tmp_path / "once")
    last = [each["result"]["accuracy"]["cil_seen"]["correct"][-1] for each in (record, once)]
    assert last[0] == last[1]


def test_joint_does_not_depend_on_the_class_order_beyond_its_draws(tmp_path: Path) -> None:
    """Without draws (zero head, one batch of everything, no augmentation) two orders give one last row."""
    options: dict[str, Any] = {"epochs": 20, "batch_size": 1000, "lr": 0.5, "augment": "none"}
    counts = []
    for seed in (1993, 7):
        learner = make(Joint, **options, trains="head", head_init="zero")
        record = run(learner, tiny_stream(seed), tmp_path / str(seed))
        order = record["result"]["stream"]["class_order"]
        correct = record["result"]["accuracy"]["cil_seen"]["class_correct"][-1]
        counts.append([count for _, count in sorted(zip(order, correct, strict=True))])
    assert counts[0] == counts[1] and sum(counts[0]) > 6


def test_joint_head_only_leaves_the_backbone_alone(learn: Learn) -> None:
    learner = make(Joint, **{**FAST, "augment": "none"}, trains="head")
    learn(learner, tiny_stream(), 5)
    assert learner.backbone.is_pristine and learner.head.classes == 10


def test_joint_trains_once_at_the_end_on_everything(tmp_path: Path) -> None:
    strategy = make(Joint, epochs=1)
    record = run(strategy, stream_in("online", chunk=25), tmp_path)
    correct = record["result"]["accuracy"]["cil_seen"]["correct"]
    assert all(value is None for row in correct[:-1] for value in row) and None not in correct[-1]
    assert strategy.head.classes == 10
