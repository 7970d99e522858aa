"""Stored scores: ranks and probabilities by hand, and the files and metrics of runs that store them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cl
from cl.cli import call
from cl.records.metrics import metrics_of
from cl.records.predictions import ABSENT, Predictions, read_predictions
from cl.running import loop
from cl.running.scores import kept
from cl.strategies.finetune import Finetune
from cl.strategies.linear_probe import LinearProbe
from cl.strategy import Strategy
from cl.stream import Stream
from tests.conftest import make, tiny_stream
from tests.conftest import run as run_loop
from tests.help.small_runs import OPTIONS, SMALL

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16}


def test_rank_and_probabilities_by_hand() -> None:
    inf = float("inf")
    choices = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, -inf], [1.0, -inf, -inf], [0.0, 0.0, 0.0]])
    got = kept(choices, np.array([1, 1, 2, 5]))
    e = np.exp([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(got["rank"], [1, 1, ABSENT, ABSENT])  # the first of two equal scores is the answer
    np.testing.assert_allclose(got["confidence"], np.log([e[2] / e.sum(), 0.5, 1, 1 / 3]))
    np.testing.assert_allclose(got["likelihood"], [*np.log([e[1] / e.sum(), 0.5]), -inf, -inf])
    nothing = kept(torch.zeros(2, 0), np.array([0, 1]))
    assert (nothing["rank"] == ABSENT).all() and np.isnan(nothing["confidence"]).all()


def run(folder: Path, learner: Strategy, stream: Stream, **more: Any) -> tuple[dict[str, Any], Predictions]:
    folder.mkdir(exist_ok=True)
    return run_loop(learner, stream, folder, **more), read_predictions(folder / "predictions.npz")


def test_stored_scores_are_those_of_the_learner(tmp_path: Path) -> None:
    learner, stream = make(LinearProbe, **FAST), tiny_stream()
    record, stored = run(tmp_path / "run", learner, stream, save_scores=True)
    assert set(stored.scores) == {"rank", "confidence", "likelihood"}
    images = stream.dataset.test.pixels[stored.rows].transpose(0, 3, 1, 2)
    scores = learner.predict_images(np.ascontiguousarray(images)).double()
    label = torch.from_numpy(stored.label.astype(np.int64))
    own = scores.log_softmax(1)[torch.arange(len(label)), label]
    np.testing.assert_allclose(stored.scores["likelihood"]["cil_seen"][-1], own, atol=2e-3)
    five = (scores.topk(5).indices == label[:, None]).any(1).double().mean()
    got = metrics_of(record["result"], predictions=stored)
    assert got["cil_seen"]["top5"] == pytest.approx(float(five))
    assert got["cil_seen"]["NLL"] == pytest.approx(float(-own.mean()), abs=2e-3)
    right = stored.scores["rank"]["cil_seen"][-1] == 0
    np.testing.assert_array_equal(right, stored.prediction["cil_seen"][-1] == stored.label)
    assert got["til_masked"]["top5"] == 1, "two classes per task"
    assert (stored.scores["rank"]["cil_seen"][0][stored.group > 0] == ABSENT).all()


def test_without_the_option_nothing_is_stored_and_nothing_else_changes(tmp_path: Path) -> None:
    with_scores, stored = run(tmp_path / "with", make(Finetune, **FAST), tiny_stream(), save_scores=True)
    plain, without = run(tmp_path / "without", make(Finetune, **FAST), tiny_stream())
    assert not without.scores and metrics_of(plain["result"], predictions=without)["cil_seen"]["NLL"] is None
    for key in ("accuracy", "metrics", "rows"):
        assert plain["result"][key] == with_scores["result"][key]
    np.testing.assert_array_equal(stored.prediction["cil_seen"], without.prediction["cil_seen"])


def test_an_interrupted_run_stores_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def learner(name: str) -> Strategy:
        return make(LinearProbe, folder=tmp_path / name, **FAST)

    _, whole = run(tmp_path / "whole", learner("whole"), tiny_stream(), save_scores=True)
    learn, calls = loop._learn, []

    def stops(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        learn(*arguments)

    monkeypatch.setattr(loop, "_learn", stops)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", learner("cut"), tiny_stream(), save_scores=True)
    monkeypatch.undo()
    record, stored = run(tmp_path / "cut", learner("cut"), tiny_stream(), save_scores=True)
    assert record["measurement"]["resumed_from"]
    for kind, tables in whole.scores.items():
        np.testing.assert_array_equal(stored.scores[kind]["cil_seen"], tables["cil_seen"])


def test_the_option_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: Any) -> None:
    results = str(tmp_path / "results")
    how: dict[str, Any] = {"backbone": "test_vit@random", "options": OPTIONS, "results": results, "seed": 1993}
    folder = cl.run("simplecil", "split-digits", **how).folder
    with caplog.at_level(logging.WARNING, "clbench"):
        cl.run("simplecil", "split-digits", **how, save_scores=True)
    assert "did not store scores; --existing always runs it again" in caplog.text
    words = ["run", "-s", "simplecil", *SMALL, "--results", results, "-q"]
    assert call([*words, "--save-scores", "--existing", "always"]) == 0
    assert [folder] == [path.parent for path in Path(results).rglob("record.json")], "the configuration is the same"
    capsys.readouterr()
    assert call(["metrics", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["cil_seen"]
    assert 0 <= found["ECE"] <= 1 and found["NLL"] > 0 and 0 <= found["top5"] <= 1
