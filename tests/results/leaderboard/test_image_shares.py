"""Predictions as shares of a metric: exact where the metric is linear, absent where they do not fit the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cl.records.matrix import AccuracyMatrix, Matrices, matrix_of
from cl.records.metrics import METRICS
from cl.records.predictions import Predictions, read_predictions, write_predictions
from cl.results.leaderboard import image_shares as module
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.image_shares import PREDICTIONS, _ranked, answers, answers_by_rule, image_shares

Make = Callable[..., Run]
LINEAR = (
    *("A_last_task", "A_last_sample", "A_inc_task", "A_inc_sample", "A_inc_sample_excl_first", "F_avalanche", "BWT"),
    *("F_stepwise", "F_global_rf", "LA", "stability"),
)


def draw(seed: int = 0, images: int = 120) -> NDArray[np.bool_]:
    """Random answers after three tasks, fewer right ones with every task."""
    return np.asarray(np.random.default_rng(seed).random((3, images)) < np.array([[0.9], [0.7], [0.55]]))


def weighted(run: Run, weights: NDArray[np.float64]) -> AccuracyMatrix:
    """The run's matrix where every image counts as often as its weight says."""
    found = read_predictions(run.folder / PREDICTIONS)  # type: ignore[operator]
    right = found.prediction["cil_seen"] == found.label
    sums = np.stack([np.bincount(found.group, weights=row * weights[found.rows], minlength=3) for row in right])
    whole = matrix_of(run.result, "cil_seen")
    return AccuracyMatrix.of(np.where(np.isnan(whole.correct), np.nan, sums), whole.count)


@pytest.mark.parametrize("metric", [*LINEAR, "F_chaudhry", "F_max_all"])
def test_shares_foretell_the_metric_with_the_images_drawn_anew(make_run: Make, metric: str) -> None:
    run = make_run(draw())
    found = image_shares(run.result, run.folder, "cil_seen", metric)
    assert found is not None
    rng = np.random.default_rng(1)
    drawn = [rng.integers(20, size=20) + 20 * label for label in range(6)]  # within the classes
    weights = np.bincount(np.concatenate(drawn), minlength=120).astype(float)
    value = METRICS[metric].compute(matrix_of(run.result, "cil_seen"))
    want = METRICS[metric].compute(weighted(run, weights))
    got = value + ((weights[found.ids] - 1) * found.shares).sum()
    # The maxima of forgetting move to another step at times; everything else is exact.
    assert got == pytest.approx(want, abs=1e-9 if metric in LINEAR else 0.02)
    np.testing.assert_array_equal(found.classes, found.ids // 20)


@pytest.mark.parametrize("exact", [name.removesuffix("_pilot") for name in METRICS if name.endswith("_pilot")])
def test_a_rounded_metric_takes_the_shares_of_the_exact_one(make_run: Make, exact: str) -> None:
    run = make_run(draw())
    pair = [image_shares(run.result, run.folder, "cil_seen", name) for name in (f"{exact}_pilot", exact)]
    assert pair[0] is not None and pair[1] is not None and pair[1].shares.any()
    np.testing.assert_array_equal(pair[0].shares, pair[1].shares)


def test_no_shares_without_predictions_for_metrics_of_two_matrices_and_for_undefined_ones(make_run: Make) -> None:
    run = make_run(draw())
    assert image_shares(run.result, None, "cil_seen", "A_last_sample") is None
    assert image_shares(run.result, run.folder, "til_masked", "A_last_sample") is None
    assert image_shares(run.result, run.folder, "cil_seen", "FWT") is None
    assert run.folder is not None
    (run.folder / PREDICTIONS).unlink()
    assert image_shares(run.result, run.folder, "cil_seen", "A_last_sample") is None


def test_damaged_and_foreign_predictions_are_not_used_and_named_once(
    make_run: Make, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(draw())
    assert run.folder is not None and answers(run.result, run.folder, "cil_seen") is not None
    assert not run.has_damaged_predictions
    file = run.folder / PREDICTIONS
    found = read_predictions(file)
    swapped = np.array(found.prediction["cil_seen"])
    first, second = np.flatnonzero((found.label == 0) & (swapped[2] == 0))[0], np.flatnonzero(swapped[2] != found.label)
    other = second[found.label[second] == 0][0]
    swapped[2, [first, other]] = swapped[2, [other, first]]  # the counts of the record still fit
    write_predictions(file, replace(found, prediction={"cil_seen": swapped}))
    for _ in range(2):
        assert answers(run.result, run.folder, "cil_seen") is None
    assert run.has_damaged_predictions and run.has_predictions
    (said,) = [each.message for each in caplog.records]
    assert said == (
        f"Not used: {file} is damaged or of another run: its content does not have the predictions_sha256 of the "
        "record; run it again with --existing always."
    )
    file.write_bytes(b"no archive")
    assert answers(run.result, run.folder, "cil_seen") is None
    assert "it is no archive" in caplog.records[-1].message


def test_predictions_that_do_not_give_the_counts_of_the_record_are_not_used(make_run: Make) -> None:
    run = make_run(draw())
    assert run.folder is not None
    found = read_predictions(run.folder / PREDICTIONS)
    table = np.array(found.prediction["cil_seen"])
    table[2, 0] = (table[2, 0] + 1) % 6 if table[2, 0] == found.label[0] else found.label[0]
    digest = write_predictions(run.folder / PREDICTIONS, replace(found, prediction={"cil_seen": table}))
    result = {**run.result, "predictions_sha256": digest}
    assert answers(result, run.folder, "cil_seen") is None
    label = np.where(found.label == 5, 6, found.label)  # no class of the stream
    digest = write_predictions(run.folder / PREDICTIONS, replace(found, label=label))
    assert answers({**result, "predictions_sha256": digest}, run.folder, "cil_seen") is None


def test_predictions_larger_than_a_run_needs_are_not_read(make_run: Make, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run(draw())
    assert run.folder is not None
    many = 1 << 20
    zeros = np.zeros(many, np.uint16)
    digest = write_predictions(
        run.folder / PREDICTIONS, Predictions(zeros, zeros, zeros, {"cil_seen": np.zeros((3, many), np.uint16)}, {})
    )
    assert answers({**run.result, "predictions_sha256": digest}, run.folder, "cil_seen") is None
    assert "declare more than" in caplog.text


def test_a_metric_that_a_mean_average_precision_enters_has_no_shares() -> None:
    """Its images are not stored one by one; only seeds can be resampled."""
    ranked = AccuracyMatrix.of([[8, None], [6, None]], [10, 5], mean_precision=[[None, None], [None, 0.4]])
    plain = AccuracyMatrix.of([[8, None], [6, 2]], [10, 5])
    for name, enters in (("A_last_task", True), ("LA", True), ("A_last_sample", False), ("F_chaudhry", False)):
        assert _ranked(ranked, METRICS[name].compute) == enters, name
        assert not _ranked(plain, METRICS[name].compute)


def test_a_run_that_stopped_before_its_first_evaluation_has_no_answers_and_no_damage(
    make_run: Make, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(draw())
    assert run.folder is not None
    found = read_predictions(run.folder / PREDICTIONS)
    empty = replace(
        found,
        prediction={rule: table[:0] for rule, table in found.prediction.items()},
        margin={rule: table[:0] for rule, table in found.margin.items()},
    )
    digest = write_predictions(run.folder / PREDICTIONS, empty)
    result = {**run.result, "rows": [], "predictions_sha256": digest}
    assert answers(result, run.folder, "cil_seen") is None
    assert not caplog.records


def test_a_metric_that_is_not_smooth_has_no_shares(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(np.ones((3, 60), bool))
    assert image_shares(run.result, run.folder, "cil_seen", "A_last_sample") is not None
    steps = replace(METRICS["A_last_sample"], id="steps", smooth=False)
    monkeypatch.setitem(METRICS.built_in, "steps", steps)
    assert image_shares(run.result, run.folder, "cil_seen", "steps") is None


def test_the_predictions_of_all_rules_are_read_at_once(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(draw())
    assert run.folder is not None
    found = read_predictions(run.folder / PREDICTIONS)
    table = found.prediction["cil_seen"]
    digest = write_predictions(
        run.folder / PREDICTIONS, replace(found, prediction=dict.fromkeys(("cil_seen", "til_masked", "dil"), table))
    )
    tables = run.result["accuracy"]["cil_seen"]
    wrong = {**tables, "correct": [[0, None, None], *tables["correct"][1:]]}
    accuracy = {"cil_seen": tables, "til_masked": tables, "dil": wrong}
    result = {**run.result, "accuracy": accuracy, "predictions_sha256": digest}
    read = []

    def reads(*given: Any, **options: Any) -> Predictions:
        read.append(given)
        return read_predictions(*given, **options)

    monkeypatch.setattr(module, "read_predictions", reads)
    for expected in (0, 1):  # the first time the check of the whole file has read it
        got = answers_by_rule(Matrices(result), run.folder, ["cil_seen", "til_masked", "cil_all"])
        assert set(got) == {"cil_seen", "til_masked"} and len(read) == expected
        for rule, predictions in got.items():
            np.testing.assert_array_equal(predictions.prediction[rule], table)
    assert set(answers_by_rule(Matrices(result), run.folder, accuracy)) == {"cil_seen", "til_masked"}
    assert answers_by_rule(Matrices(result), run.folder, accuracy) == {}, "the file is known to be damaged"
