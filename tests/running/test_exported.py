"""A finished learner as a network of its own: equal answers, and one sentence where that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cl
from cl import registry
from cl.errors import ClbenchError, UsageError
from cl.running import exported
from cl.running.exported import check_formats, compared, cropped, export, images_to_compare
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from cl.streams.digits import SplitDigits
from tests.help.small_runs import OPTIONS

pytestmark = pytest.mark.usefixtures("isolated")


def learner_of(strategy: str, **options: Any) -> tuple[cl.RunResult, Any]:
    few = {**OPTIONS, "stream.test_per_class": 5, **options}
    result = cl.run(strategy, "split-digits", backbone="test_vit@random", options=few, seed=7, save_learner=True)
    return result, cl.load_learner(result.folder, device="cpu")


@pytest.mark.parametrize(
    ("strategy", "options"), [("simplecil", {}), ("ranpac", {"tuning": "adapter", "epochs": 1, "width": 50})]
)
def test_a_torch_file_answers_as_the_learner(strategy: str, options: dict[str, Any], tmp_path: Path) -> None:
    result, learner = learner_of(strategy, **options)
    pixels, what = images_to_compare(result.folder, learner, 40)
    assert pixels.shape == (40, 1, 8, 8) and what == "test images of split-digits"
    [found] = export(learner, tmp_path / "model", pixels, formats=("torch",))
    assert found.images == found.equal == 40 and found.difference < 1e-4
    module = torch.export.load(str(found.path)).module()
    images = cropped(learner.backbone.transform, torch.from_numpy(pixels[:3]))
    assert images.shape == (3, 1, 32, 32) and images.min() >= 0 and images.max() <= 1
    torch.testing.assert_close(
        module(images).detach(), learner.predict_images(pixels[:3]).float(), rtol=1e-4, atol=1e-4
    )  # fmt: skip
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    assert about["output"]["classes"] == list(learner.info.class_names) and about["input"]["shape"][1:] == [1, 32, 32]
    assert about["compared"][0]["equal"] == 40 and about["strategy"] == strategy


def test_without_the_stream_noise_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    result, learner = learner_of("simplecil")
    monkeypatch.setattr(SplitDigits, "build", lambda *_, **__: (_ for _ in ()).throw(UsageError("not here")))
    pixels, what = images_to_compare(result.folder, learner, 7)
    assert what == "images of noise" and pixels.shape == (7, 1, 8, 8)


def test_other_answers_are_an_error_and_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    expected = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert compared(path, expected, expected + 1e-5).equal == 2
    tie = np.array([[1.0, 1.0 - 1e-6]], np.float32)
    found = compared(path, tie, tie[:, ::-1])
    assert (found.images, found.equal) == (1, 0) and found.difference == pytest.approx(1e-6, abs=1e-7)
    for wrong in (expected[::-1], expected * np.nan, expected[:, :1]):
        path.touch()
        with pytest.raises(ClbenchError, match=r"scores of model\.onnx differ from the learner's"):
            compared(path, expected, wrong)
        assert not path.exists()


class PerImage(SimpleCIL):
    """Scores whose number of passes depends on the images."""

    def predict(self, inputs: Inputs, task: int | None = None) -> torch.Tensor:
        scores = super().predict(inputs)
        return scores if scores.sum() > 0 else -scores


class FixedBatch(SimpleCIL):
    """Scores in a table whose length Python reads."""

    def predict(self, inputs: Inputs, task: int | None = None) -> torch.Tensor:
        scores = super().predict(inputs)
        return scores.new_zeros(len(scores), scores.shape[1]) + scores


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (("til_oracle",), r"^FixedBatch has parts of its own for each task and cannot be exported as one network; "),
        (("cil_seen", "til_oracle"), r"cannot be exported as one network \(it fixes the number of images\)"),
    ],
)
def test_methods_that_cannot_be_one_network_are_refused_in_a_sentence(
    rules: tuple[str, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FixedBatch, "rules", rules)
    registry.strategies.register("fixed-batch", FixedBatch)
    try:
        result, learner = learner_of("fixed-batch")
        with pytest.raises(UsageError, match=why):
            export(learner, tmp_path, images_to_compare(result.folder, learner, 3)[0], formats=("torch",), task=0)
    finally:
        registry.strategies.unregister("fixed-batch")


def test_a_task_of_a_task_incremental_stream_is_exported(tmp_path: Path) -> None:
    result, learner = learner_of("simplecil")
    learner.setting = "task-incremental"
    pixels, _ = images_to_compare(result.folder, learner, 10)
    with pytest.raises(UsageError, match=r"is told the task of every image .*; give task, one of: 0 \(task0\), 1 "):
        export(learner, tmp_path, pixels, formats=("torch",))
    [found] = export(learner, tmp_path, pixels, formats=("torch",), task="task1")
    assert found.equal == 10 and json.loads((tmp_path / "model.json").read_text())["output"]["answers"] == [
        5,
        6,
        7,
        8,
        9,
    ]


def test_a_network_that_depends_on_the_image_is_refused(tmp_path: Path) -> None:
    registry.strategies.register("per-image", PerImage)
    try:
        result, learner = learner_of("per-image")
        with pytest.raises(UsageError, match="PerImage cannot be exported as one network"):
            export(learner, tmp_path, images_to_compare(result.folder, learner, 3)[0], formats=("torch",))
    finally:
        registry.strategies.unregister("per-image")


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    check_formats(("torch",))
    with pytest.raises(UsageError, match=r"needs onnxscript, which is not installed: pip install 'clbench\[onnx\]'"):
        check_formats(("onnx", "torch"))
    with pytest.raises(UsageError, match="no format 'tflite'; choose from: onnx, torch"):
        check_formats(("tflite",))
