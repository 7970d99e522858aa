"""Evaluating all groups, also before the first task: forward transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.protocol import TASK
from cl.running import untrained
from cl.settings.blurry import si_blurry
from cl.strategies.finetune import Finetune
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.simplecil import SimpleCIL
from cl.streams.domains import PermutedDigits
from tests.conftest import make, run, tiny_stream
from tests.help.digit_parts import HIGH, LOW, digits

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16}


def test_class_incremental_heads_have_no_answer_before_they_learned_a_task(tmp_path: Path) -> None:
    record = run(make(LinearProbe, **FAST), tiny_stream(evaluate_on="all"), tmp_path)
    accuracy = record["result"]["accuracy"]
    assert accuracy["cil_seen"]["correct"][0] == [None] * 5, "no class was seen"
    assert accuracy["cil_seen"]["correct"][1][1:] == [0] * 4, "classes not seen yet are never answered"
    assert record["result"]["metrics"]["cil_seen"]["FWT"] is None


def test_heads_of_told_tasks_exist_before_their_task(tmp_path: Path) -> None:
    learner = make(LinearProbe, **FAST)
    record = run(learner, tiny_stream(evaluate_on="all"), tmp_path)
    told = record["result"]["accuracy"]["til_masked"]["correct"]
    assert all(value is not None for row in told for value in row)
    accuracy = np.array(told) / record["result"]["count"]
    fwt = record["result"]["metrics"]["til_masked"]["FWT"]
    assert fwt == pytest.approx(np.mean([accuracy[i, i] - accuracy[0, i] for i in range(1, 5)]))
    assert learner.head.classes == 10 and len(learner.head.blocks) == 5


def test_a_frozen_backbone_transfers_nothing_to_untrained_heads(tmp_path: Path) -> None:
    """Backbone and the heads' first weights do not change before their task, so the accuracy cannot."""
    record = run(make(LinearProbe, **FAST), tiny_stream(evaluate_on="all"), tmp_path)
    told = record["result"]["accuracy"]["til_masked"]["correct"]
    assert all(told[step][group] == told[0][group] for group in range(5) for step in range(group + 1))
    assert record["result"]["metrics"]["til_masked"]["FWT"] == 0


def test_untrained_heads_leave_no_trace(tmp_path: Path) -> None:
    """Training and all other numbers are those of a run that evaluates the tasks seen."""
    learners = [make(Finetune, **FAST) for _ in range(2)]
    seen, every = (
        run(learner, tiny_stream(evaluate_on=which), tmp_path / which)["result"]
        for learner, which in zip(learners, ("seen", "all"), strict=True)
    )
    for one, two in zip(learners[0].head.get_state()["weights"], learners[1].head.get_state()["weights"], strict=True):
        assert torch.equal(one, two)
    for rule in ("cil_seen", "til_masked"):
        for step, (one, two) in enumerate(
            zip(seen["accuracy"][rule]["correct"], every["accuracy"][rule]["correct"][1:], strict=True)
        ):
            assert one[: step + 1] == two[: step + 1]


def test_domains_share_one_head_so_forward_transfer_is_defined(tmp_path: Path) -> None:
    options = PermutedDigits.Options(tasks=3, train_per_class=6, test_per_class=4, evaluate_on="all")
    stream = PermutedDigits().build(options, order_seed=0, data_seed=0)
    record = run(make(Finetune, **FAST), stream, tmp_path)
    table = np.array(record["result"]["accuracy"]["dil"]["correct"], dtype=float) / record["result"]["count"]
    assert not np.isnan(table).any() and table.shape == (4, 3)
    fwt = record["result"]["metrics"]["dil"]["FWT"]
    assert fwt == pytest.approx(((table[1, 1] - table[0, 1]) + (table[2, 2] - table[0, 2])) / 2)


def test_methods_without_a_head_before_their_task_keep_none(tmp_path: Path) -> None:
    record = run(make(SimpleCIL), tiny_stream(evaluate_on="all"), tmp_path)
    assert record["result"]["metrics"]["til_masked"]["FWT"] is None


def test_task_incremental_streams_have_forward_transfer(tmp_path: Path) -> None:
    record = run(make(Finetune, **FAST), digits(TASK, LOW, HIGH, evaluate_on="all"), tmp_path)
    table = np.array(record["result"]["accuracy"]["til_oracle"]["correct"], dtype=float) / record["result"]["count"]
    assert record["result"]["metrics"]["til_oracle"]["FWT"] == pytest.approx(table[1, 1] - table[0, 1])


def test_groups_with_a_trained_class_are_answered_by_the_trained_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a blurry stream a class may be seen before the others of its group; untrained columns must not win there."""
    stream = si_blurry(tiny_stream(), 0.5, 0.3, seed=1)
    found = run(make(Finetune, **FAST), stream, tmp_path / "with")["result"]["accuracy"]
    monkeypatch.setattr(untrained, "can_grow", lambda _: False)
    assert found == run(make(Finetune, **FAST), stream, tmp_path / "without")["result"]["accuracy"]
