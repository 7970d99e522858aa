"""Curves for TensorBoard: a resumed run continues them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.help.loggers import interrupted, run


def test_curves_of_a_resumed_run_equal_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    whole = curves(run("tensorboard", results=tmp_path / "whole").folder)
    assert [step for step, _ in whole["loss/task 1/train"]] == list(range(15))
    assert [step for step, _ in whole["metrics/cil_seen/A_last_sample"]] == [1, 2]

    folder = interrupted("tensorboard", results=tmp_path / "parts")
    assert len(list((folder / "tensorboard").iterdir())) == 3
    assert curves(folder) == whole


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every curve in the event files of a run, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}
