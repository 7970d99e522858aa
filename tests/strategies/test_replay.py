"""Experience replay: the contract, slow weights around it, online streams, and that it forgets less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.bases.fine_tuning import FineTuning
from cl.strategies.finetune import Finetune
from cl.strategies.momentum import Momentum
from cl.strategies.replay import Replay
from cl.testing import check_strategy
from tests.conftest import DRAWS, equal, make, run, tiny_stream
from tests.help.online import ONE_PASS, stream_in

BYTES = 8 * 8 + 8  # a grey image and its label
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
FROZEN: dict[str, Any] = {**FAST, "trains": "head", "augment": "none", "lr": 0.5}
Learn = Callable[..., list[Any]]


@pytest.mark.parametrize(
    ("settings", "only"),
    [
        ({"trains": "head", "augment": "none"}, ["state-round-trip", "resume", "costs", "memory"]),
        pytest.param({"memory_policy": "balanced", "loss": "bce", "pred_kd": 1.0}, ["resume"], marks=pytest.mark.slow),
    ],
    ids=["encoded", "balanced-with-teacher"],
)
def test_it_keeps_the_contract(settings: dict[str, Any], only: list[str]) -> None:
    check_strategy("replay", options={"memory_size": 30, **settings}, only=only)


def test_replay_trains_the_same_inside_momentum(learn: Learn) -> None:
    base = {**FAST, "memory_size": 20}
    replay, wrapped = make(Replay, **base), make(Momentum, base="replay", base_options=base, tau=0.0)
    for learner in (replay, wrapped):
        learn(learner, tiny_stream(), 3)
    assert equal(replay, wrapped.base) and wrapped.stored()["samples"] == replay.stored()["samples"] == 20 * BYTES


def test_it_remembers_where_finetune_forgets(tmp_path: Path) -> None:
    def right_about_earlier_tasks(cls: type[FineTuning], **options: Any) -> int:
        learners = [make(cls, **{**FROZEN, **options}, draw=draw) for draw in DRAWS]
        records = [run(each, tiny_stream(), tmp_path / f"{cls.__name__}{draw}") for draw, each in enumerate(learners)]
        return sum(sum(each["result"]["accuracy"]["cil_seen"]["correct"][-1][:-1]) for each in records)

    assert right_about_earlier_tasks(Finetune, epochs=10, loss="global") == 0
    assert right_about_earlier_tasks(Replay, epochs=10, memory_size=60) > 20  # of 192


def test_replay_offers_every_image_to_its_memory_once(tmp_path: Path) -> None:
    strategy = make(Replay, **ONE_PASS, memory_size=500)
    run(strategy, stream_in("online", chunk=16), tmp_path)
    assert strategy.memory is not None and strategy.memory.seen == len(strategy.memory) == 60
    assert strategy.memory.labels.bincount().tolist() == [6] * 10
