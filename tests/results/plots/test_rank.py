"""Forgetting against the rank of low-rank updates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.results.plots import plots_of
from tests.help.figures import only, texts
from tests.help.records import build_probe

Make = Callable[..., dict[str, Any]]


def study(
    make: Make, *, ranks: tuple[int, ...] = (1, 4, 16), option: str = "rank", probed: bool = True, **more: Any
) -> list[dict[str, Any]]:
    """Two seeds per rank: rank r loses 10 + r points of the tasks and r of the pretraining, the second seed 2 more."""
    found = []
    for rank in ranks:
        for seed in range(2):
            lost = rank + 2 * seed
            config = {option: {"value": rank, "origin": "command line"}, **more}
            table = [[90, None, None], [85, 80, None], [80 - lost, 70 - lost, 60]]
            changes = {"result__probe": build_probe([120, 110, 100, 120 - 2 * lost])} if probed else {}
            found.append(make(table, seed=seed, strategy="lora-merge", result__config=config, **changes))
            found[-1]["run_id"] += f" {rank} {option} {len(more)}"
    return found


def test_both_kinds_of_forgetting_by_rank(make_record: Make) -> None:
    data = only(study(make_record), "rank").data
    assert [row["label"] for row in data["rows"]] == ["lora-merge"]
    points = data["rows"][0]["points"]
    assert [(point["rank"], point["seeds"]) for point in points] == [(1, 2), (4, 2), (16, 2)]
    assert [point["tasks"][0] for point in points] == pytest.approx([12, 15, 27])
    assert [point["pretraining"][0] for point in points] == pytest.approx([2, 5, 17])
    low, high = points[0]["pretraining"][1:]
    assert low < 2 < high


def test_lines_join_runs_that_differ_in_the_rank_alone(make_record: Make) -> None:
    drop = {"value": "drop", "origin": "command line"}
    records = [
        *study(make_record),
        *study(make_record, ranks=(1, 2), mode=drop),
        *study(make_record, ranks=(8,), lr=drop),
    ]
    data = only(records, "rank").data
    assert {row["label"]: [point["rank"] for point in row["points"]] for row in data["rows"]} == {
        "lora-merge": [1, 4, 16], "lora-merge mode=drop": [1, 2],
    }  # fmt: skip
    assert plots_of(study(make_record, ranks=(8,)), ["rank"]) == [], "one rank is no study"
    assert only(study(make_record, option="base.rank"), "rank").data["rows"][0]["points"][2]["rank"] == 16


def test_a_panel_for_each_metric_that_is_known(make_record: Make, tmp_path: Path) -> None:
    for probed in (True, False):
        plot = only(study(make_record, probed=probed), "rank")
        words = [text for text, _ in texts(plot)[0]]
        assert ("forgetting of the pretraining, points" in words) == probed
        assert "forgetting of the tasks, points" in words and {"1", "4", "16"} <= set(words)
        first, again = (plot.save(tmp_path / f"{turn}{probed}.svg").read_bytes() for turn in "ab")
        assert first == again and b"lora-merge" in first
