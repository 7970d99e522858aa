"""Rows of a leaderboard: which runs share one, what labels them, and copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cl.results.leaderboard.board_tables import to_text
from cl.results.leaderboard.entries import Run, distinct, entries_of
from cl.results.leaderboard.ranking import board_rows, leaderboard
from cl.results.store import load_results
from tests.help.records import build_probe

Make = Callable[..., dict[str, Any]]

MakeRun = Callable[..., Run]

Answers = NDArray[np.bool_]


def answers(chance: float, seed: int = 0, images: int = 300) -> Answers:
    """Right with this chance after the last task, always before."""
    last = np.random.default_rng(seed).random(images) < chance
    return np.stack([np.ones(images, bool), np.ones(images, bool), last])


def test_copies_in_several_folders_count_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(answers(0.5))
    shutil.copytree(tmp_path / "runs", tmp_path / "other")
    assert run.folder is not None
    (run.folder / "predictions.npz").unlink()
    found = load_results([tmp_path / "runs", tmp_path / "other"])
    runs = [Run(record, file.parent) for record, file in zip(found.records, found.files, strict=True)]
    kept, copies = distinct(runs)
    assert len(kept) == len(copies) == 1 and kept[0].has_predictions and not copies[0].has_predictions
    rows = board_rows(runs)
    assert [(row["n_seeds"], row["note"], row["drawn"]) for row in rows] == [(1, "", "images")]
    assert rows == board_rows(runs[::-1])


def test_settings_that_come_from_no_preset_are_a_label(make_record: Make) -> None:
    config = {
        "lr": {"value": 0.5, "origin": "preset x#1"},
        "reg": {"value": 5.0, "origin": "command line"},
        "loss": {"value": "bce", "origin": "file a.toml"},
        "epochs": {"value": 20, "origin": "default"},
        "stream.tasks": {"value": 3, "origin": "command line"},
        "layers": {"value": [1, 2], "origin": "CLBENCH_SET"},
    }
    row = board_rows([Run(make_record(result__config=config))])[0]
    assert (row["options"], row["stream_options"]) == ("reg=5 loss=bce layers=[1, 2]", "tasks=3")
    assert to_text([row]).startswith("split-toy@1 tasks=3 on vit_micro, rule cil_seen")


def runs(make: Make, strategy: str, last: list[int], **changes: Any) -> list[dict[str, Any]]:
    """One run per seed that ends with accuracy `last[seed]` percent on each of three tasks."""
    return [
        make([[99, None, None], [99, 99, None], [value] * 3], strategy=strategy, seed=seed, **changes)
        for seed, value in enumerate(last)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"result__stream__name": "other"},
        {"result__stream__options": {"tasks": 3, "resize": 64}},
        {"result__stream__fingerprints": {"train": "e" * 64, "test": "b" * 64}},
        {"result__backbone__weights_sha256": "f" * 64},
        {"result__backbone__name": "resnet"},
    ],
)
def test_streams_and_backbones_are_never_mixed(make_record: Make, changes: dict[str, Any]) -> None:
    board = leaderboard([*runs(make_record, "a", [50, 51]), *runs(make_record, "b", [60, 61], **changes)])
    assert board["board"].tolist() == [1, 2]
    assert board["rank"].tolist() == [1, 1]


def test_seeds_among_the_options_are_averaged_and_precisions_are_not(make_record: Make) -> None:
    def run(seed: int, **more: Any) -> dict[str, Any]:
        config = {"stream.split_seed": {"value": seed, "origin": "command line"}}
        return make_record([[50]], strategy="a", seed=seed, result__config=config, **more)

    board = leaderboard([run(1), run(2), run(1, result__precision={"dtype": "bf16"})])
    assert sorted(board["n_seeds"]) == [1, 2]
    assert sorted(len(text.split()) for text in board["config_hash"]) == [1, 2]


def test_metrics_of_answers_come_from_the_stored_predictions(make_run: MakeRun) -> None:
    right = np.ones((3, 12), dtype=bool)
    first = 2 * int(np.random.default_rng(0).permutation(6)[0])
    right[1:, first] = False
    run = make_run(right)
    assert run.metrics("cil_seen", ["NFR", "LA"]) == pytest.approx({"NFR": (1 / 4 + 0) / 2, "LA": 1.0})
    assert Run(run.record).metrics("cil_seen", ["NFR", "LA"]) == {"NFR": None, "LA": 1.0}
    [entry] = entries_of([run], "cil_seen", "NFR")
    assert entry.score == pytest.approx(1 / 8)


def test_a_run_with_a_probe_is_a_row_of_its_own(make_record: Make) -> None:
    plain, probed = make_record(), make_record(run_id="probed", result__probe=build_probe([120, 110, 130, 90]))
    found = entries_of([Run(plain), Run(probed)], "cil_seen", "F_pretraining")
    scores = {entry.runs[0].record["run_id"]: entry.score for entry in found}
    assert scores == {"slca-0": None, "probed": pytest.approx(0.15)}
    assert leaderboard([probed], metric="F_pretraining")["mean"].tolist() == pytest.approx([0.15])
