"""Which strategies fit, why others do not, and how those that fit are ranked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.results.choosing import Answers, choose, kind_of
from cl.results.leaderboard.entries import Run

Make = Callable[..., dict[str, Any]]


def runs(make: Make, strategy: str, last: list[int], **changes: Any) -> list[Run]:
    """One run per seed that ends with accuracy `last[seed]` percent on each of three tasks."""
    tables = ([[99, None, None], [99, 99, None], [value] * 3] for value in last)
    return [Run(make(table, strategy=strategy, seed=seed, **changes)) for seed, table in enumerate(tables)]


def names(excluded: dict[str, list[str]], word: str) -> list[str]:
    return next((found for reason, found in excluded.items() if word in reason), [])


def test_facts_leave_methods_out_with_the_reason() -> None:
    choice = choose(Answers("class-incremental", "none", "vit", "pretrained", told=False, compute="parts"))
    assert "joint" in names(choice.excluded, "bounds")
    assert {"replay", "icarl", "avalanche/replay"} <= set(names(choice.excluded, "keep training images"))
    assert {"packnet", "independent", "vcl"} <= set(names(choice.excluded, "must be told"))
    assert names(choice.excluded, "of the kind vit") == ["cpe-clip", "zero-shot"]
    assert {"slca", "finetune", "ewc"} <= set(names(choice.excluded, "than 'parts'"))
    assert {"l2p", "simplecil", "ranpac"} <= set(choice.unranked) and choice.ranked == [] and choice.board is None
    fitting, out = set(choice.unranked), [name for each in choice.excluded.values() for name in each]
    assert len(out) == len(set(out)) and not fitting & set(out)


def test_what_is_not_said_leaves_out_bounds_only() -> None:
    choice = choose(Answers())
    assert list(choice.excluded.values()) == [["joint"]]
    assert {"packnet", "replay", "cpe-clip"} <= set(choice.unranked)


def test_random_weights_leave_out_methods_on_frozen_networks() -> None:
    for answers in (Answers(weights="random"), Answers(backbone="mlp")):
        choice = choose(answers)
        assert {"simplecil", "linear-probe", "ties"} <= set(names(choice.excluded, "need pretrained weights"))
        assert {"finetune", "vcl", "hat"} <= set(choice.unranked)


def test_a_task_incremental_stream_tells_the_task() -> None:
    assert "packnet" in choose(Answers("task-incremental")).unranked
    assert "vcl" in choose(Answers("domain-incremental", told=False)).unranked  # one head for all domains
    with pytest.raises(UsageError, match="tell the task"):
        Answers("task-incremental", told=False)
    with pytest.raises(UsageError, match="no pretrained perceptrons"):
        Answers(backbone="mlp", weights="pretrained")


def test_records_rank_those_that_fit_and_ties_with_the_best_are_told(make_record: Make) -> None:
    given = [
        *runs(make_record, "l2p", [50, 70, 90]),
        *runs(make_record, "ease", [52, 65, 92]),
        *runs(make_record, "mos", [48, 68, 88]),
        *runs(make_record, "mos", [40, 40, 40], result__config={"epochs": {"value": 1, "origin": "command line"}}),
        *runs(make_record, "replay", [99, 99, 99]),
    ]
    every, without = choose(Answers(backbone="vit"), given), choose(Answers(backbone="vit", memory="none"), given)
    assert [row["strategy"] for row in every.ranked] == ["replay", "l2p", "ease", "mos"]
    assert [row["strategy"] for row in every.tied] == ["replay"]
    assert [row["rank"] for row in without.ranked] == [1, 1, 3]
    assert [row["strategy"] for row in without.tied] == ["l2p", "ease"]
    last = without.ranked[-1]
    assert (last["family"], last["configurations"], last["best_on"], last["boards"]) == ("adapters", 2, 0, 1)
    assert "mos" not in without.unranked and "simplecil" in without.unranked
    assert without.boards == 1 and without.board is not None and "split-toy" in without.board


def test_a_run_that_kept_images_is_no_evidence_where_none_may_be_kept(make_record: Make) -> None:
    stored = {"samples": 5, "statistics": 0, "parameters": 0}
    given = [*runs(make_record, "ewc", [90], measurement__stored=stored), *runs(make_record, "l2", [50])]
    assert [row["strategy"] for row in choose(Answers(), given).ranked] == ["ewc", "l2"]
    assert choose(Answers(memory="none"), given).ranked == []


def test_boards_of_other_backbones_settings_and_weights_are_no_evidence(make_record: Make) -> None:
    given = [*runs(make_record, "ewc", [90]), *runs(make_record, "l2", [50])]
    assert choose(Answers(backbone="cnn"), given).ranked == []
    assert choose(Answers(weights="random"), given).ranked == []
    assert choose(Answers("domain-incremental"), given).ranked == []
    assert len(choose(Answers("class-incremental", weights="pretrained"), given).ranked) == 2


def test_the_board_with_most_methods_is_shown(make_record: Make) -> None:
    given = [run for name in ("ewc", "l2") for run in runs(make_record, name, [90])]
    other = {"result__backbone__name": "vit_other"}
    given += [run for name in ("ewc", "si", "mas") for run in runs(make_record, name, [50], **other)]
    choice = choose(Answers(), given)
    assert choice.board is not None and "vit_other" in choice.board and choice.boards == 2
    ewc = next(row for row in choice.ranked if row["strategy"] == "ewc")
    assert (ewc["best_on"], ewc["boards"]) == (2, 2) and choice.runs == 5


def test_kinds_of_backbones_from_their_names() -> None:
    for name, kind in {
        "vit_micro_patch4_32.tinyimagenet_distill": "vit",
        "deit_tiny_patch16_224@deit.safetensors": "vit",
        "open_clip:ViT-B-16.openai": "clip",
        "mlp_2x100_28@random": "mlp",
        "resnet18@vit.safetensors": "cnn",
    }.items():
        assert kind_of({"name": name}) == kind
