"""Evaluation: what the prediction rules mean, and scores that do not depend on how they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.errors import ContractError
from cl.records import predictions
from cl.running import evaluation
from cl.strategies.finetune import Finetune
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slca import SLCA
from cl.strategy import Inputs, StoredImages, Strategy
from cl.stream import View
from cl.training.encodings import Encodings
from tests.conftest import make, run, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "flip"}


@pytest.mark.parametrize("cls", [Finetune, LinearProbe, SimpleCIL, SLCA])
def test_predictions_do_not_depend_on_batch_size_or_order(cls: type[Strategy], tmp_path: Path) -> None:
    options = {} if cls is SimpleCIL else {**FAST, **({"augment": "none"} if cls is LinearProbe else {})}
    if cls is SLCA:
        options |= {"ca_epochs": 1, "ca_samples": 8, "milestones": ()}
    learner, stream = make(cls, **options), tiny_stream()
    run(learner, stream, tmp_path)
    for module in vars(learner).values():
        if isinstance(module, torch.nn.Module):
            module.double()
    if isinstance(learner, SimpleCIL):
        learner.prototypes = learner.prototypes.double()
    transform = learner.backbone.transform
    object.__setattr__(learner.backbone, "transform", lambda pixels: transform(pixels).double())
    rows, _, _ = stream.test_rows(range(5))
    shuffled = np.random.default_rng(0).permutation(rows)
    exact = Encodings(exact=True)

    def scores(order: np.ndarray, size: int) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}
        for start in range(0, len(order), size):
            part = order[start : start + size]
            with torch.no_grad():
                out = learner.predict(Inputs(None, "cpu", StoredImages(exact, stream.dataset.test, part)))
            found |= dict(zip(part.tolist(), out, strict=True))
        return found

    whole = scores(rows, len(rows))
    for order, size in ((rows, 1), (shuffled, 7), (shuffled, len(rows))):
        for row, value in scores(order, size).items():
            assert torch.allclose(value, whole[row], atol=1e-9)
            two = whole[row].topk(2).values
            assert value.argmax() == whole[row].argmax() or two[0] - two[1] < 1e-6


class Remember(Strategy):
    """Scores that depend on nothing but the task asked for: the last class, or the first class of the task."""

    rules = ("cil_seen", "cil_all", "til_masked", "til_oracle")

    def setup(self, info: Any) -> None:
        self.classes = info.n_classes

    def learn(self, view: View) -> None:
        self.seen = len(view.seen)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = torch.arange(self.classes, dtype=torch.float32).repeat(len(inputs), 1)
        if task is not None:
            scores[:, 2 * task] = 100.0
        return scores


def test_prediction_rules_are_what_they_say(tmp_path: Path) -> None:
    record = run(make(Remember), tiny_stream(), tmp_path)
    correct = {rule: value["correct"] for rule, value in record["result"]["accuracy"].items()}
    # 6 test images per class, 2 classes per group; always answers the last allowed class
    assert correct["cil_seen"][0] == [6, None, None, None, None]
    assert correct["cil_seen"][2] == [0, 0, 6, None, None]
    assert correct["cil_all"][2] == [0, 0, 0, None, None], "the last of all classes was never seen"
    assert correct["til_masked"][2] == [6, 6, 6, None, None]
    assert correct["til_oracle"][2] == [6, 6, 6, None, None]
    saved = predictions.read_predictions(tmp_path / "predictions.npz")
    assert set(saved.prediction["til_oracle"][4]) == {0, 2, 4, 6, 8}, "the task was told"
    assert set(saved.prediction["til_masked"][4]) == {1, 3, 5, 7, 9}
    assert (saved.prediction["cil_seen"][0][saved.group != 0] == predictions.ABSENT).all()


def test_evaluating_before_the_first_task_gives_forward_transfer(tmp_path: Path) -> None:
    record = run(make(Remember), tiny_stream(evaluate_on="all"), tmp_path)
    assert record["result"]["rows"][0]["task"] is None
    assert record["result"]["metrics"]["cil_all"]["FWT"] == 0.0


@pytest.mark.parametrize(
    ("scores", "message"),
    [(torch.zeros(3), "must return scores"), (torch.full((1, 10), float("nan")), "NaN scores")],
)
def test_wrong_scores_are_named(tmp_path: Path, scores: Tensor, message: str) -> None:
    class Wrong(Remember):
        def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
            return scores if scores.ndim == 1 else scores.repeat(len(inputs), 1)

    with pytest.raises(ContractError, match=message):
        run(make(Wrong), tiny_stream(), tmp_path)


def test_prediction_runs_in_evaluation_mode_even_if_learn_left_training_mode(tmp_path: Path) -> None:
    class Careless(SimpleCIL):
        def learn(self, view: View) -> None:
            super().learn(view)
            self.backbone.train()  # dropout on

        def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
            assert not any(module.training for module in self.backbone.modules())
            return super().predict(inputs, task)

    run(make(Careless), tiny_stream(), tmp_path)


SIZES = [("cpu", 8, 64), ("cuda", 32, 2048), ("cuda", 112, 1024), ("cuda", 224, 256), ("cuda", 384, 256)]


@pytest.mark.parametrize(("device", "size", "images"), SIZES)
def test_the_batch_depends_on_the_kind_of_device_and_the_size_of_images_alone(
    device: str, size: int, images: int
) -> None:
    learner = make(SimpleCIL)
    learner.trainer.device = torch.device(device)
    transform = learner.backbone.transform
    learner.backbone.transform = Transform(size, transform.mean, transform.std)
    assert evaluation._batch(learner.trainer, learner) == images
