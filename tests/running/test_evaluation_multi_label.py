"""Evaluation of images with several classes: mean average precision in place of counts, in records and checkpoints."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from cl.errors import ContractError
from cl.records import predictions, record
from cl.records.matrix import matrix_of
from cl.records.metrics import metrics_of
from cl.running.run_state import RunState
from cl.strategies.finetune import Finetune
from cl.strategies.independent import Independent
from cl.strategy import Inputs
from cl.stream import Evaluate, Stream
from cl.testing.multi_label import with_several_classes
from cl.training import state
from tests.conftest import make, run, tiny_stream
from tests.help.network_per_task import FAST, learner

TOLD = "til_oracle"


def several() -> Stream:
    return with_several_classes(tiny_stream(val_fraction=0.25, tasks=3))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Stream, dict[str, Any], Path]:
    folder, stream, strategy = tmp_path_factory.mktemp("run"), several(), learner(Independent)
    return strategy, stream, run(strategy, stream, folder, save_scores=True), folder


def test_the_cell_is_the_mean_average_precision_of_the_groups_images(done: Any) -> None:
    strategy, stream, made, _ = done
    group, rows = stream.groups[0], stream.groups[0].rows["test"]
    pixels = torch.from_numpy(np.asarray(stream.dataset.test.pixels)[rows].transpose(0, 3, 1, 2).copy())
    strategy.backbone.eval()
    scores = strategy.predict_images(pixels, task=0)[:, list(group.classes)]
    expected = average_precision_score(group.tags["test"], scores.numpy())
    table = made["result"]["mean_precision"][TOLD]
    assert table[0][0] == pytest.approx(expected, abs=1e-6) and 0 < expected < 1
    assert table == [[table[0][0], None, None], [None] * 3, [table[0][0], None, None]]


def test_other_groups_are_counted_as_before_and_it_is_not(done: Any) -> None:
    _, stream, made, _ = done
    result = made["result"]
    tables = result["accuracy"][TOLD]
    assert [row[0] for row in tables["correct"]] == [None] * 3
    assert all(isinstance(value, int) for value in tables["correct"][-1][1:])
    own = list(stream.groups[0].classes)
    assert {tables["class_correct"][-1][place] for place in own} == {None}
    assert [group.get("measure") for group in result["stream"]["groups"]] == ["mAP", None, None]
    tags = stream.groups[0].tags["test"]
    assert [result["class_count"][place] for place in own] == tags.sum(0).tolist()
    assert sum(result["class_count"]) == sum(result["count"]) + int(tags.sum() - len(tags))


def test_no_prediction_is_stored_for_its_images(done: Any) -> None:
    _, _, made, folder = done
    saved = predictions.read_predictions(folder / "predictions.npz")
    own = saved.group == 0
    assert (saved.prediction[TOLD][:, own] == predictions.ABSENT).all()
    assert (saved.prediction[TOLD][-1, ~own] != predictions.ABSENT).all()
    assert (saved.scores["rank"][TOLD][:, own] == predictions.ABSENT).all()
    assert np.isnan(saved.scores["confidence"][TOLD][:, own]).all()
    values = metrics_of(made["result"], predictions=saved)[TOLD]
    counted = matrix_of(made["result"], TOLD).correct[-1, 1:].sum() / (~own).sum()
    assert values["A_last_sample"] == pytest.approx(counted)
    assert values["top5"] is not None and values["F1_macro"] is not None and values["NLL"] is not None


def test_metrics_over_tasks_take_it_as_an_accuracy(done: Any) -> None:
    result = done[2]["result"]
    matrix, ranked = matrix_of(result, TOLD), result["mean_precision"][TOLD][-1][0]
    counted = [c / n for c, n in zip(result["accuracy"][TOLD]["correct"][-1][1:], result["count"][1:], strict=True)]
    assert matrix.accuracy[-1].tolist() == pytest.approx([ranked, *counted])
    values = result["metrics"][TOLD]
    assert values["A_last_task"] == pytest.approx(np.mean([ranked, *counted]))
    assert values["E_own"] == pytest.approx(1 - np.mean([ranked, *counted]))


def test_the_record_is_checked(done: Any) -> None:
    made = copy.deepcopy(done[2])
    record.validate(made)
    assert record._is_sound(made), "the fast check knows the table"
    for change, said in (
        (lambda table: table[0].pop(), "it has 2 entries instead of 3"),
        (lambda table: table.pop(), "it has 2 rows and result.rows has 3"),
        (lambda table: table[0].__setitem__(0, 1.5), "greater than the maximum"),
    ):
        bad = copy.deepcopy(made)
        change(bad["result"]["mean_precision"][TOLD])
        bad["result_sha256"] = record.result_sha256(bad["result"])
        assert not record._is_sound(bad)
        with pytest.raises(ContractError, match=said):
            record.validate(bad)
    rows = record.accuracy_rows(made)
    assert [row["accuracy"] for row in rows if row["group"] == 0] == [made["result"]["mean_precision"][TOLD][0][0]] * 2
    assert all(row["correct"] is None for row in rows if row["group"] == 0)


def test_it_survives_a_checkpoint(tmp_path: Path) -> None:
    from cl.running.evaluation import Row

    row = Row(np.arange(3), mean_precision={TOLD: np.array([0.1, np.nan, 1 / 3])})
    state.save(tmp_path / "state.safetensors", RunState(results=[row]).as_state())
    again = RunState.from_state(state.load(tmp_path / "state.safetensors")).results[0]
    assert np.array_equal(again.mean_precision[TOLD], row.mean_precision[TOLD], equal_nan=True)
    old = RunState(results=[row]).as_state()
    del old["results"][0]["mean_precision"]
    assert RunState.from_state(old).results[0].mean_precision == {}


def test_a_task_without_columns_is_not_measured(tmp_path: Path) -> None:
    """Every group is evaluated before the first task: the method is not ready, or its scores lack the task."""
    stream = several()
    every = tuple(range(3))
    events = (Evaluate(every), *stream.events)
    object.__setattr__(stream, "events", events)

    class Early(Independent):
        @property
        def ready(self) -> bool:
            return True

        def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
            return super().predict(inputs, task) if len(self.head) else torch.zeros(len(inputs), 1)

    strategy = make(Early, **FAST)
    table = run(strategy, stream, tmp_path)["result"]["mean_precision"][TOLD]
    assert table[0] == [None] * 3 and table[1][0] is not None


def test_streams_with_one_class_per_image_have_records_as_before(tmp_path: Path) -> None:
    result = run(make(Finetune, epochs=1), tiny_stream(), tmp_path)["result"]
    assert "mean_precision" not in result and "tags_sha256" not in result["stream"]
    assert all(set(group) == {"name", "classes", "task"} for group in result["stream"]["groups"])
