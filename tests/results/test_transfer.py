"""Forward transfer against independent learners, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cl.errors import UsageError
from cl.records.metrics import metrics_of
from cl.results.transfer import counterpart, paired, transfer_table
from tests.help.transfer import learner, rivals


def test_per_task_and_so_far_by_hand() -> None:
    table = transfer_table(rivals())
    other = table[table["strategy"] == "other"].to_dict("list")
    assert other["name"] == ["task 0", "task 1", "task 2"] and other["year"] == [1998, 1999, 2005]
    assert other["labels"] == ["single", "single", "multi"] and other["n_seeds"] == [2, 2, 2]
    assert other["error"] == pytest.approx([0.06, 0.28, 0.58]) and other["error_against"] == pytest.approx(
        [0.1, 0.3, 0.5]
    )
    assert other["transfer"] == pytest.approx([0.04, 0.02, -0.08]), "positive: a smaller error than independent"
    assert other["low"] == pytest.approx([0.03, 0.0, -0.1]) and other["high"] == pytest.approx([0.05, 0.04, -0.06])
    assert other["error_so_far"] == pytest.approx([0.06, 0.17, 0.92 / 3])
    assert np.multiply(other["tflops_so_far"], 1e12) == pytest.approx([5, 25, 85])
    assert other["relative_error_so_far"] == pytest.approx([0.6, 0.17 / 0.2, 0.92 / 0.9])
    assert other["relative_compute_so_far"] == pytest.approx([0.5, 25 / 30, 85 / 60])
    assert other["relative_compute"] == pytest.approx([0.5, 1.0, 2.0])


def test_groups_by_hand() -> None:
    tables = {by: transfer_table(rivals(), by=by) for by in ("domain", "decade", "labels", "all")}
    rows = {by: table[table["strategy"] == "other"].set_index(by) for by, table in tables.items()}
    assert rows["domain"]["transfer"].to_dict() == pytest.approx({"ocr": -0.02, "face": 0.02})
    assert rows["decade"]["transfer"].to_dict() == pytest.approx({"1990s": 0.03, "2000s": -0.08})
    assert rows["labels"]["error"].to_dict() == pytest.approx({"single": 0.17, "multi": 0.58})
    whole = rows["all"].loc["all"]
    assert whole["transfer"] == pytest.approx(-0.02 / 3) and whole["tasks"] == 3
    assert (whole["low"], whole["high"]) == pytest.approx((-0.05 / 3, 0.01 / 3)), "each seed against its own reference"
    assert (whole["relative_error"], whole["relative_compute"]) == pytest.approx((0.92 / 0.9, 85 / 60))


def test_a_learner_against_itself_has_no_transfer() -> None:
    table = transfer_table(rivals())
    own = table[table["strategy"] == "independent"]
    assert (own["transfer"] == 0).all() and (own[["low", "high"]] == 0).all(axis=None)
    assert (own["relative_error_so_far"] == 1).all() and (own["relative_compute_so_far"] == 1).all()


def test_the_mean_error_is_the_metric_with_one_minus_map() -> None:
    """Tasks with several labels count by 1 - mAP, each task with weight 1."""
    record = rivals()[2]
    assert metrics_of(record["result"])["til_oracle"]["E_own"] == pytest.approx((0.05 + 0.3 + 0.6) / 3)
    table = transfer_table([*rivals()[:1], record], by="all")
    assert table[table["strategy"] == "other"]["error"].item() == pytest.approx((0.05 + 0.3 + 0.6) / 3)


def test_one_seed_has_no_interval_and_seeds_are_matched() -> None:
    one = transfer_table(rivals()[1:3] + rivals()[:1], by="all")  # both seeds of independent, one of other
    other = one[one["strategy"] == "other"]
    assert other["n_seeds"].item() == 1 and other[["low", "high"]].isna().all(axis=None)
    pair = paired(rivals()[2:], rivals()[:1])
    assert pair.transfer == pytest.approx(np.array([[0.05, 0.0, -0.1]]))
    with pytest.raises(UsageError, match="share no seeds; run both with the same --seed"):
        paired(rivals()[3:], rivals()[:1])


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(UsageError, match="No run of independent is here to compare with; run it on the same stream"):
        transfer_table(rivals()[2:])
    with pytest.raises(UsageError, match="no grouping 'year'; choose one of: task, domain, decade, labels, all"):
        transfer_table(rivals(), by="year")
    short = learner("short", (90, 70), (1.0, 1.0))
    with pytest.raises(UsageError, match="learned different tasks; let both finish"):
        paired([short], rivals()[:1])
    elsewhere = learner("other", (95, 70, 40), (5.0, 20.0, 60.0), result__backbone=rivals()[0]["result"]["backbone"] | {
        "name": "resnet"
    })  # fmt: skip
    assert set(transfer_table([*rivals()[:2], elsewhere])["strategy"]) == {"independent"}, "of another backbone"


def test_of_several_references_the_one_with_the_same_options_counts() -> None:
    def with_trials(strategy: str, right: tuple[int, ...], **options: int) -> dict[str, object]:
        config = {key: {"value": value, "origin": "command line"} for key, value in options.items()}
        return learner(strategy, right, (1.0, 1.0, 1.0), result__config=config)

    few, many = with_trials("independent", (50,) * 3, trials=2), with_trials("independent", (80,) * 3, trials=16)
    own = with_trials("other", (90,) * 3, trials=16, neighbours=5)
    table = transfer_table([few, many, own], by="all")
    assert table[table["strategy"] == "other"]["transfer"].item() == pytest.approx(0.1)
    results = [few["result"], many["result"]]
    assert counterpart(own["result"], results) == 1 and counterpart(own["result"], []) is None  # type: ignore[arg-type]
    odd = with_trials("other", (90,) * 3, trials=32)
    with pytest.raises(UsageError, match="other can be compared with 2 rows of independent, and none of them"):
        transfer_table([few, many, odd])
