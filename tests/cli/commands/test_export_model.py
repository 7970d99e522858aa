"""`clbench export-model`: files next to the run, compared with its learner."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cl
from cl.cli import call
from tests.help.small_runs import OPTIONS, run

pytestmark = pytest.mark.usefixtures("isolated")
Shown = pytest.CaptureFixture[str]


def test_an_onnx_file_answers_as_the_learner(capsys: Shown) -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="needs the extra onnx")
    import onnxruntime

    result = cl.run("simplecil", "split-digits", backbone="test_vit@random", options=OPTIONS, save_learner=True)
    assert call(["export-model", str(result.folder), "--format", "onnx"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "model.onnx" in lines[0] and "100 of 100 predictions equal on test images of split-digits" in lines[0]
    folder = result.folder / "exported"
    assert lines[1] == str(folder / "model.json")
    about = json.loads((folder / "model.json").read_text())
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((5, *about["input"]["shape"][1:])).astype(np.float32)
    [scores] = session.run(["scores"], {"images": images})
    assert scores.shape == (5, len(about["output"]["classes"]))


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: Shown) -> None:
    assert call(["export-model", str(run().folder), "--format", "torch"]) == 2
    assert "keeps no learner; run again with --save-learner" in capsys.readouterr().err
    assert call(["export-model", str(tmp_path), "--format", "tflite"]) == 2
    assert "There is no format 'tflite'" in capsys.readouterr().err
