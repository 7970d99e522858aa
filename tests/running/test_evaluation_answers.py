"""Named answers: recorded under every rule, encoded and charged once, shown only if asked for."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cl import registry
from cl.cli import call
from cl.errors import ContractError, UsageError
from cl.records import metrics, predictions
from cl.records.matrix import Matrices, matrix_of
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from tests.conftest import make, run, tiny_stream
from tests.help.small_runs import SMALL


class Two(SimpleCIL):
    """Class means; the answer "worst" is the class that is farthest.

    Paper: none.
    Trains: nothing.
    Stores: means.
    Cost: one forward pass.
    Differences from the paper: none.
    """

    answers = ("worst",)

    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        if name == "worst":
            return -self.predict(inputs, task)
        return super().answer(name, inputs, task)


@pytest.fixture
def two() -> Iterator[None]:
    names = registry.strategies
    for name in ("two", "other"):
        names.register(name, Two)
    yield
    for name in ("two", "other"):
        names.unregister(name)


def test_every_rule_is_recorded_for_every_answer(tmp_path: Path) -> None:
    result = run(make(Two), tiny_stream(), tmp_path, save_scores=True)["result"]
    assert [*result["accuracy"]] == ["cil_seen", "til_masked", "cil_seen:worst", "til_masked:worst"]
    plain, worst = (result["accuracy"][rule]["correct"][-1] for rule in ("til_masked", "til_masked:worst"))
    assert [a + b for a, b in zip(plain, worst, strict=True)] == [12] * 5, "of two classes the other one"
    assert result["strategy"]["answers"] == ["worst"]
    saved = predictions.read_predictions(tmp_path / "predictions.npz", "cil_seen:worst")
    assert saved.prediction["cil_seen:worst"].shape == (5, 60) and "cil_seen:worst" in saved.scores["rank"]
    alone = run(make(SimpleCIL), tiny_stream(), tmp_path / "alone")["result"]
    assert alone["accuracy"]["cil_seen"] == result["accuracy"]["cil_seen"] and "answers" not in alone["strategy"]


def test_a_told_task_is_told_for_every_answer(tmp_path: Path) -> None:
    class Told(Two):
        rules = ("til_oracle",)

        def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
            assert task is not None
            scores = torch.zeros(len(inputs), 10)
            scores[:, 2 * task] = 1.0
            return scores

    run(make(Told), tiny_stream(), tmp_path)
    saved = predictions.read_predictions(tmp_path / "predictions.npz")
    assert [*saved.prediction] == ["til_oracle", "til_oracle:worst"]
    assert set(saved.prediction["til_oracle:worst"][4]) == {0, 2, 4, 6, 8}


def test_answers_of_the_same_features_encode_each_image_once(tmp_path: Path) -> None:
    one = run(make(SimpleCIL), tiny_stream(), tmp_path / "one")["measurement"]["flops"]
    both = run(make(Two), tiny_stream(), tmp_path / "both")["measurement"]["flops"]
    for account in ("executed", "uncached"):  # the second answer costs no forward pass, only its head
        assert one[account] < both[account] < 1.01 * one[account]


def test_metrics_of_a_named_answer_use_its_own_told_matrix(tmp_path: Path) -> None:
    result = run(make(Two), tiny_stream(), tmp_path)["result"]
    told = metrics._local(Matrices(result), "cil_seen:worst")
    assert told is not None and (told.correct[-1] == matrix_of(result, "til_masked:worst").correct[-1]).all()
    assert (told.correct[-1] + matrix_of(result, "til_masked").correct[-1] == 12).all()


def test_wrong_and_unknown_answers_are_one_sentence(tmp_path: Path) -> None:
    class Wrong(Two):
        def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
            return torch.zeros(3)

    with pytest.raises(ContractError, match=r"Wrong\.answer\('worst'\) returned shape \(3,\)"):
        run(make(Wrong), tiny_stream(), tmp_path)
    learner = make(Two)
    run(learner, tiny_stream(), tmp_path / "again")
    pixels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert torch.equal(learner.predict_images(pixels, answer="worst"), -learner.predict_images(pixels))
    with pytest.raises(UsageError, match=r"^Two has no answer named 'best'; it has: worst\.$"):
        learner.predict_images(pixels, answer="best")


@pytest.mark.usefixtures("two")
def test_tables_show_a_named_answer_if_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "results")
    assert call(["run", *SMALL, "--seed", "1,2", "-q", "-s", "two,other,simplecil"]) == 0
    capsys.readouterr()
    assert call(["leaderboard", folder]) == 0
    assert "worst" not in capsys.readouterr().out
    for form in ("markdown", "latex"):
        assert call(["leaderboard", folder, "--rule", "cil_seen:worst", "--format", form]) == 0
        assert "two" in capsys.readouterr().out
    assert call(["compare", "two", "other", "--results", folder, "--rule", "cil_seen:worst", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "cil_seen:worst"
    assert call(["compare", "two", "simplecil", "--results", folder, "--rule", "cil_seen:worst"]) == 2
    assert "they share: cil_seen, til_masked, til_oracle." in capsys.readouterr().err
    assert call(["export", folder, "--table", "metrics", "--out", str(tmp_path / "metrics.csv")]) == 0
    rules = {row["rule"] for row in csv.DictReader((tmp_path / "metrics.csv").open())}
    assert {"cil_seen", "cil_seen:worst", "til_masked:worst"} <= rules
    assert call(["info", "two"]) == 0
    assert "Answers" in capsys.readouterr().out
