"""What `cl.run` returns: data frames, metrics, and a learner that predicts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

import cl
from cl.errors import UsageError
from cl.records.record import load
from tests.help.small_runs import run


def test_a_run_gives_frames_and_a_learner_that_predicts(tmp_path: Path) -> None:
    result = run()
    assert isinstance(result, cl.RunResult) and result.status == "complete"
    assert result.record == load(result.folder / "record.json")
    frame = result.accuracy
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["rule"].unique()) == ["cil_seen", "til_masked"]
    last = frame.query("rule == 'cil_seen' and row == 1")
    assert result.metrics["cil_seen"]["A_last_sample"] == pytest.approx(last["correct"].sum() / last["count"].sum())
    assert result.table().startswith("simplecil on split-digits")
    with pytest.raises(UsageError, match="width must be a whole number or none, not 'wide'"):
        result.table("wide")  # type: ignore[arg-type]

    # The learner is the measured one: on the test images it repeats the counts of the last row.
    from cl.streams.digits import digits

    test, order = digits().test, result.record["result"]["stream"]["class_order"]
    scores = result.learner.predict_images(torch.from_numpy(test.pixels.transpose(0, 3, 1, 2).copy()))
    assert scores.shape == (450, 10)
    assert (torch.tensor(order)[scores.argmax(1)].numpy() == test.labels).sum() == last["correct"].sum()
    with pytest.raises(UsageError, match="takes uint8 images"):
        result.learner.predict_images(torch.zeros(1, 1, 8, 8))


def test_a_result_names_itself_and_its_classes() -> None:
    result = run()
    assert repr(result) == f"RunResult(complete, {str(result.folder)!r})"
    assert result.class_names == result.learner.info.class_names and len(result.class_names) == 10
    assert result.table() in result._repr_html_()
