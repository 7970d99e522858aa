"""benchmarks/calibration: the accuracy is that of the record, and a run without held-out images is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cl
from benchmarks.calibration import main, measured

OPTIONS = {"stream.tasks": 2}
RUN: dict[str, Any] = {"limit": 40, "save_learner": True}


def test_errors_of_a_learner_on_its_test_images(tmp_path: Path) -> None:
    options = {**OPTIONS, "stream.val_fraction": 0.4}
    made = cl.run("simplecil", "split-digits", options=options, results=tmp_path, **RUN)
    found = measured(made.folder)
    last = made.metrics["cil_seen"]["A_last_sample"]
    assert last is not None and found["accuracy"] == pytest.approx(100 * last)
    assert found["images"] == sum(made.record["result"]["count"])
    assert 0 < found["test_after"] < found["test_before"] < 100
    done = CliRunner().invoke(main, [str(made.folder)])
    assert done.exit_code == 0 and f"temperature={found['temperature']:.4g}" in done.output


def test_a_learner_without_a_temperature_says_why(tmp_path: Path) -> None:
    made = cl.run("simplecil", "split-digits", options=OPTIONS, results=tmp_path, **RUN)
    done = CliRunner().invoke(main, [str(made.folder)])
    assert done.exit_code == 1 and "held no training images out" in done.output
