"""The loop: what a strategy may see, what is measured, and what is written."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.errors import ContractError, NonFiniteLoss
from cl.records import predictions
from cl.records.record import load, recompute, validate
from cl.strategies.finetune import Finetune
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slca import SLCA
from cl.strategy import Inputs, StoredImages, Strategy
from cl.stream import View
from cl.training.checkpoint import Checkpoint
from cl.training.encodings import Encodings
from cl.training.trainer import Trainer
from tests.conftest import header, make, run, tiny_backbone, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "flip"}


def everything(root: object) -> list[object]:
    """All objects reachable from `root` through attributes and containers."""
    found: dict[int, object] = {}
    queue = [root]
    while queue:
        item = queue.pop()
        if id(item) in found or isinstance(item, (type, type(json))) or callable(item):
            continue
        found[id(item)] = item
        queue += gc.get_referents(item)
    return list(found.values())


class Spy(SimpleCIL):
    """Keeps what it was given, under names that are not state."""

    def learn(self, view: View) -> None:
        self._views = [*getattr(self, "_views", []), view]
        self._reach = everything(view)
        super().learn(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        self._tasks = [*getattr(self, "_tasks", []), task]
        return super().predict(inputs, task)


def test_learn_cannot_reach_test_images_and_views_die(tmp_path: Path) -> None:
    stream, spy = tiny_stream(), make(Spy)
    run(spy, stream, tmp_path)
    assert isinstance(spy, Spy)
    forbidden = {id(stream.dataset.test), id(stream.dataset.test.pixels), id(stream.dataset), id(stream)}
    assert not forbidden & {id(item) for item in spy._reach}
    assert any(item is stream.dataset.train.pixels for item in spy._reach), "the search finds training pixels"
    for view in spy._views:
        assert not view.past
        with pytest.raises(ContractError, match="Views die after learn"):
            view.train.pixels([0])
        with pytest.raises(ContractError, match="Views die after learn"):
            _ = view.train.labels
    assert set(spy._tasks) == {None}


def test_views_die_also_when_learn_fails(tmp_path: Path) -> None:
    class Failing(Spy):
        def learn(self, view: View) -> None:
            self._views = [view]
            raise NonFiniteLoss("the loss became nan.")

    failing = make(Failing)
    with pytest.raises(NonFiniteLoss):
        run(failing, tiny_stream(), tmp_path)
    with pytest.raises(ContractError):
        len(failing._views[0].train)
    record = load(tmp_path / "record.json")
    assert record["status"] == "failed" and record["error"] == "the loss became nan."


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


def test_prediction_is_pure(tmp_path: Path) -> None:
    learner, stream = make(Finetune, **FAST), tiny_stream()
    run(learner, stream, tmp_path)
    before = {name: value.clone() for name, value in learner.backbone.model.state_dict().items()}
    pixels = torch.from_numpy(stream.dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    assert torch.equal(learner.predict_images(pixels), learner.predict_images(pixels))
    assert all(torch.equal(before[name], value) for name, value in learner.backbone.model.state_dict().items())


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


def test_record_is_valid_derived_and_recomputable(tmp_path: Path) -> None:
    learner = make(Finetune, **FAST)
    record = run(learner, tiny_stream(), tmp_path)
    validate(record)
    assert record == load(tmp_path / "record.json") and record["status"] == "complete"
    assert recompute(record)["result"] == record["result"]
    saved = predictions.read_predictions(tmp_path / "predictions.npz")
    for rule, table in record["result"]["accuracy"].items():
        for row, correct in enumerate(table["correct"]):
            for group, value in enumerate(correct):
                here = saved.group == group
                found = int((saved.prediction[rule][row][here] == saved.label[here]).sum())
                assert value is None or value == found
    events = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events] == list(range(10))
    measurement = record["measurement"]
    assert measurement["parameters"]["trainable"] == sum(p.numel() for p in learner.backbone.parameters()) + 10 * 17
    assert measurement["parameters"]["total"] == measurement["parameters"]["trainable"], "each parameter counts once"
    assert measurement["flops"]["executed"] > 0 and measurement["memory"]["peak_rss"] > 0
    assert measurement["stored"] == {"samples": 0, "statistics": 0, "parameters": measurement["stored"]["parameters"]}
    assert not (tmp_path / "checkpoint").exists()


def test_flops_match_hand_arithmetic(tmp_path: Path) -> None:
    record = run(make(LinearProbe, epochs=3, batch_size=16, lr=0.1), tiny_stream(tasks=1), tmp_path)
    tokens, width, mlp = 5, 16, 64  # four patches and CLS
    block = 2 * tokens * (width * 3 * width + width * width + 2 * width * mlp) + 2 * 2 * tokens * tokens * width
    forward = 2 * block + 2 * 4 * (3 * 16) * width
    train, test, classes = 120, 60, 10
    head = 2 * width * classes
    fit = 3 * train * 2 * head  # forward and the weights' gradient; the features need none
    flops = record["measurement"]["flops"]
    blocks = sum(min(64, n) for n in np.bincount(tiny_stream(train_per_class=None).dataset.train.labels))
    encoded = flops["executed"] - fit - test * head
    assert encoded >= (train + test) * forward and encoded <= forward * (blocks * 2)
    assert flops["uncached"] == pytest.approx(fit + test * head + forward * (3 * train + test))


def test_max_tasks_stops_and_says_so(tmp_path: Path) -> None:
    record = run(make(SimpleCIL), tiny_stream(), tmp_path, max_tasks=2)
    assert [row["task"] for row in record["result"]["rows"]] == [0, 1] and record["status"] == "complete"


def test_evaluating_before_the_first_task_gives_forward_transfer(tmp_path: Path) -> None:
    record = run(make(Remember), tiny_stream(evaluate_on="all"), tmp_path)
    assert record["result"]["rows"][0]["task"] is None
    assert record["result"]["metrics"]["cil_all"]["FWT"] == 0.0


def test_resumed_runs_reach_the_same_result(tmp_path: Path) -> None:
    stream = tiny_stream()
    whole = run(make(SLCA, **FAST, ca_epochs=1, ca_samples=8, milestones=()), stream, tmp_path / "whole")

    class Stop(BaseException):
        pass

    for _ in range(10):
        learner = make(SLCA, folder=tmp_path / "cut", **FAST, ca_epochs=1, ca_samples=8, milestones=())

        def stop(*_: Any) -> None:
            raise Stop

        learner.trainer.observer.event = stop  # type: ignore[method-assign, assignment]
        with pytest.raises(Stop):
            run(learner, stream, tmp_path / "cut")
        assert load(tmp_path / "cut" / "record.json")["status"] == "partial"
    last = make(SLCA, folder=tmp_path / "cut", **FAST, ca_epochs=1, ca_samples=8, milestones=())
    record = run(last, stream, tmp_path / "cut")
    assert record["result"] == whole["result"] and record["result_sha256"] == whole["result_sha256"]
    assert len(record["measurement"]["resumed_from"]) == 10


def test_state_round_trip_into_a_fresh_learner(tmp_path: Path) -> None:
    stream = tiny_stream()
    learner = make(SLCA, **FAST, ca_epochs=1, ca_samples=8, milestones=())
    run(learner, stream, tmp_path, max_tasks=2)
    checkpoint = Checkpoint(tmp_path / "c", 0)
    checkpoint.save_event(learner.get_state())
    fresh = SLCA(learner.options, tiny_backbone(), Trainer())
    fresh.info = stream.info
    fresh.setup(stream.info)
    saved = checkpoint.load_event()
    assert saved is not None
    fresh.set_state(saved)
    pixels = torch.from_numpy(stream.dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    assert torch.equal(learner.predict_images(pixels), fresh.predict_images(pixels))


def test_frozen_pretrained_tensors_are_not_saved(tmp_path: Path) -> None:
    learner = make(LinearProbe, epochs=1, batch_size=16, folder=tmp_path)
    run(learner, tiny_stream(), tmp_path, max_tasks=1)
    assert learner.get_state()["backbone"] == {}


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


def test_header_is_kept(tmp_path: Path) -> None:
    record = run(make(SimpleCIL), tiny_stream(), tmp_path)
    assert record["result"]["strategy"] == header(SimpleCIL)["strategy"]
    assert record["result"]["backbone"]["name"] == "tiny"


def test_prediction_runs_in_evaluation_mode_whatever_learn_left(tmp_path: Path) -> None:
    class Careless(SimpleCIL):
        def learn(self, view: View) -> None:
            super().learn(view)
            self.backbone.train()  # dropout on

        def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
            assert not any(module.training for module in self.backbone.modules())
            return super().predict(inputs, task)

    run(make(Careless), tiny_stream(), tmp_path)
