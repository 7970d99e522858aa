"""Two rows compared: the difference, its interval, and sides that cannot be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.records import class_table
from cl.results.leaderboard.compare import chosen, compare
from cl.results.leaderboard.entries import Run
from tests.help.pairs import answers, pair

Make = Callable[..., dict[str, Any]]

MakeRun = Callable[..., Run]


def test_a_certain_difference(make_run: MakeRun) -> None:
    found = compare(*pair(make_run, lost=30, won=6))
    assert found["mean"] == pytest.approx({"first": 0.6, "second": 0.52, "difference": 0.08})
    low, high = found["interval"]
    assert 0.02 < low < 0.08 < high < 0.14 and found["drawn"] == "seeds x images" and found["better"] == "first"
    for each in found["seeds"]:
        assert (each["mcnemar"]["only_first"], each["mcnemar"]["only_second"]) == (30, 6)
        assert each["mcnemar"]["p"] == pytest.approx(6.4e-5, rel=0.1)
    assert found["smallest_difference"]["seeds"] == pytest.approx(0, abs=1e-9)  # the same in every seed
    assert 0.02 < found["smallest_difference"]["images"] < 0.08
    turned = compare(*pair(make_run, lost=30, won=6)[::-1])
    assert turned["better"] == "second" and turned["interval"] == pytest.approx([-high, -low], abs=0.004)


def test_flips_of_runs_that_ended_early_are_shares_of_the_images_they_learned(make_run: MakeRun) -> None:
    """Two of three tasks: a run has no answers to the third, whose images are neither right nor wrong."""
    one, two = (make_run(answers(0)[[0, row]], strategy=name) for row, name in ((1, "slca"), (2, "ewc")))
    each = compare([one], [two])["seeds"][0]
    assert each["flips"] == {"negative": 0.0, "positive": pytest.approx(each["difference"])}
    assert each["mcnemar"]["only_first"] == pytest.approx(200 * each["difference"])


def test_runs_on_validation_images_have_paired_images_too(make_run: MakeRun) -> None:
    counts = {"split_count": {"val": [100] * 3}, "split_class_count": {"val": [50] * 6}}
    changes = {f"result__{key}": value for key, value in counts.items()}
    rows = [{"event": 2 * step + 1, "task": step, "split": "val"} for step in range(3)]
    one, two = (
        make_run(answers(0, lost), strategy=name, result__rows=rows, **changes) for lost, name in ((0, "a"), (30, "b"))
    )
    found = compare([one], [two])
    assert found["drawn"] == "images" and found["seeds"][0]["mcnemar"]["only_first"] == 30


@pytest.mark.parametrize("form", [class_table.DENSE, class_table.RUNS])
def test_tasks_and_classes_add_up_to_the_difference(
    form: str, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == class_table.RUNS:
        monkeypatch.setattr(class_table, "LEAST", 0)
        monkeypatch.setattr(class_table, "SHARE", 1.0)
    sides = pair(make_run, lost=50, won=0)
    for run in [run for side in sides for run in side]:
        tables = run.result["accuracy"]["cil_seen"]
        tables |= class_table.written(tables.pop(class_table.DENSE))
        assert form in tables
    found = compare(*sides)
    for part in ("tasks", "classes"):
        assert np.mean([each["difference"] for each in found[part]]) == pytest.approx(50 / 300)
    assert [each["task"] for each in found["tasks"]] == [1, 2, 3]
    # The images lost are the first in canonical order, so class 0 loses all that were right in all class orders.
    by_label = {each["label"]: each for each in found["classes"]}
    assert by_label[0]["name"] == "class 0" and by_label[0]["second"] == 0 and by_label[5]["difference"] == 0


def test_what_cannot_be_told_apart(make_run: MakeRun) -> None:
    found = compare(*pair(make_run, lost=8, won=6))
    assert found["better"] is None and found["interval"][0] < 0 < found["interval"][1]


def test_lower_is_better_for_forgetting(make_run: MakeRun) -> None:
    first, second = [], []
    for seed in range(3):
        right = answers(seed)
        spoilt = right.copy()
        spoilt[2, np.flatnonzero(right[2])[::3]] = False  # images of every class
        first.append(make_run(right, seed=seed, strategy="slca"))
        second.append(make_run(spoilt, seed=seed, strategy="ewc"))
    found = compare(first, second, metric="F_avalanche")
    assert found["mean"]["difference"] < 0 and not found["higher_is_better"] and found["better"] == "first"


def test_without_predictions_only_seeds_are_drawn(make_run: MakeRun) -> None:
    first, second = pair(make_run, lost=30, won=6)
    found = compare([Run(run.record) for run in first], second)
    assert found["drawn"] == "seeds" and found["smallest_difference"]["images"] is None
    assert [each["mcnemar"] for each in found["seeds"]] == [None] * 3
    alone = compare([Run(first[0].record)], second)
    assert alone["interval"] is None and alone["better"] is None and alone["smallest_difference"]["seeds"] is None


def test_options_that_differ_are_listed(make_record: Make) -> None:
    config = {"epochs": {"value": 5, "origin": "command line"}, "reg": {"value": 1.0, "origin": "default"}}
    found = compare([Run(make_record())], [Run(make_record(strategy="ewc", result__config=config))])
    assert found["options"] == {"epochs": [20, 5], "reg": [None, 1.0]}


def test_sides_that_cannot_be_compared_say_why(make_record: Make) -> None:
    def run(strategy: str = "ewc", seed: int = 0, **changes: Any) -> Run:
        return Run(make_record(strategy=strategy, seed=seed, **changes))

    slca = run("slca")
    config = {"epochs": {"value": 5, "origin": "command line"}}
    cases = [
        ([run(result__backbone__name="resnet")], "they differ in backbone"),
        ([run(result__stream__options={"tasks": 3, "x": 1})], "they differ in options of the stream"),
        ([run(seed=7)], "slca ran with 0, ewc with 7; run one of them with the --seed of the other"),
        ([run(rules=("til_masked",))], "do not share the prediction rule of any kind; they share: none"),
        ([run(), run(result__config=config)], r"several rows; name one of: ewc:\w{8} \(default epochs=5\), ewc:\w{8}"),
        ([slca], "Both sides are the same runs"),
        ([run(status="partial")], "is complete"),
    ]
    for second, sentence in cases:
        with pytest.raises(UsageError, match=sentence):
            compare([slca], second)
    with pytest.raises(UsageError, match="FWT is undefined in these runs"):
        compare([slca], [run()], metric="FWT")
    twice = [slca, run("slca", result__stream__name="other")]
    with pytest.raises(UsageError, match=r"Both ran on 2 boards .* choose with --stream"):
        compare(twice, [run(), run(result__stream__name="other")])


def test_a_run_that_continues_another_is_told_from_a_whole_one(make_record: Make) -> None:
    def run(strategy: str, learned: int | None = None, **changes: Any) -> Run:
        options = {"tasks": 3} if learned is None else {"tasks": 3, "learned": learned}
        record = make_record(strategy=strategy, result__stream__options=options, **changes)
        if learned is not None:
            record["result"]["continues"] = {"result_sha256": f"{strategy:0<8}0000", "tasks": learned}
        return Run(record)

    whole, after = run("slca"), run("ewc", 1)
    parents = r"the run that they continue \(A: none, B: ewc00000 after 1 task\)"
    with pytest.raises(UsageError, match=rf"they differ in {parents}\.$"):
        compare([whole], [after])
    with pytest.raises(UsageError, match=rf"they differ in {parents}, backbone\.$"):
        compare([whole], [run("ewc", 1, result__backbone__name="resnet")])
    with pytest.raises(UsageError, match=r"they differ in backbone\.$"):
        compare([run("slca", 1)], [run("ewc", 1, result__backbone__name="resnet")])
    with pytest.raises(
        UsageError, match=r"they differ in version of the stream\.$"
    ):  # of the boards that are most alike
        compare([whole], [run("ewc", 1, result__backbone__name="resnet"), run("ewc", result__stream__version="2")])
    with pytest.raises(UsageError, match=r"2 boards \(.*split-toy continued after 1 task on vit_micro"):
        compare([whole, run("slca", 1)], [run("ewc"), after])
    found = compare([run("slca", 1)], [after])
    assert [found[side]["continues"] for side in ("first", "second")] == [
        "continues slca0000 after 1 task", "continues ewc00000 after 1 task",
    ]  # fmt: skip


def test_rows_are_chosen_by_name_preset_and_hash(make_record: Make) -> None:
    small = make_record(result__strategy__preset="small")
    small["config_hash"] = "12345678"
    runs = [Run(make_record()), Run(small), Run(make_record(strategy="ewc"))]
    assert chosen("slca", runs) == runs[:2]
    assert chosen("slca:small", runs) == chosen("slca:123", runs) == [runs[1]]
    other = make_record(result__strategy__preset="small")
    other["result"]["config"] |= {"lr": {"value": 0.5, "origin": "--set"}}
    assert chosen("slca:small", [*runs, Run(other)]) == [runs[1]]
    assert chosen("slca", [*runs, Run(other)]) == runs[:2]
    assert chosen("slca", [Run(other)]) == chosen("slca:small", [Run(other)]) == [Run(other)]
    with pytest.raises(UsageError, match=r"no folder has that name\. Did you mean slca"):
        chosen("slcaa", runs)
    with pytest.raises(UsageError, match=r"preset or config 'x'; there are: .*slca:12345678 \(small\)"):
        chosen("slca:x", runs)
