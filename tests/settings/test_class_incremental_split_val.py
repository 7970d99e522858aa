"""`split=val`: a run is evaluated on held-out training images, which it does not learn; test images are not read."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data.store import Dataset, ImageStore
from cl.errors import UsageError
from cl.family import make_stream
from cl.options import resolve
from cl.plan.plan import make_plan
from cl.records.matrix import matrix_of
from cl.records.metrics import METRICS
from cl.records.record import load
from cl.results.export import long_table
from cl.results.leaderboard.entries import board_key
from cl.results.store import load_results
from cl.running.build import build_stream
from cl.settings.class_incremental import IncrementalOptions, class_incremental, with_defaults
from cl.strategies.simplecil import SimpleCIL
from cl.stream import Evaluate, Stream
from cl.streams.trees import TreeOptions
from cl.testing import check_stream, examine_stream
from tests.conftest import make, run

SMALL = {"train_per_class": 10, "test_per_class": 4}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def stream_of(name: str = "split-digits", **options: Any) -> Stream:
    settings = {f"stream.{key}": value for key, value in {**SMALL, "split": "val", **options}.items()}
    return build_stream(make_plan("simplecil" if "setting" not in options else "finetune", name, options=settings))


def toy(sizes: list[int], options: IncrementalOptions) -> Stream:
    def store(counts: list[int]) -> ImageStore:
        labels = np.repeat(np.arange(len(counts)), counts)
        return ImageStore.from_arrays(
            np.random.default_rng(sum(counts)).integers(0, 256, (len(labels), 8, 8, 3), np.uint8), labels
        )

    data = Dataset("toy", store(sizes), store([3] * len(sizes)), tuple(map(str, range(len(sizes)))), origin="test")
    chosen = with_defaults(replace(options, order="natural"), len(sizes), increment=1)
    return class_incremental(data, chosen, name="toy", version="1", order_seed=0, data_seed=0)


def unread(pixels: np.ndarray) -> np.ndarray:
    """Refuses the first use of the pixels of a store."""
    raise AssertionError("a test image was read")


def without_test_images(stream: Stream) -> Stream:
    """The stream whose test images raise when they are read."""
    test = stream.dataset.test
    guarded = ImageStore(test.pixels, test.labels, test.fingerprint, unread)
    return replace(stream, dataset=replace(stream.dataset, test=guarded))


def assert_held_out(stream: Stream) -> None:
    trained = np.concatenate([experience.train for experience in stream.experiences])
    evaluated = [group.rows["val"] for group in stream.groups]
    assert stream.split == "val" and stream.store("val") is stream.dataset.train
    assert {event.split for event in stream.events if isinstance(event, Evaluate)} == {"val"}
    assert sum(map(len, evaluated)) and not np.intersect1d(np.concatenate(evaluated), trained).size
    for group, rows in zip(stream.groups, evaluated, strict=True):
        assert set(stream.positions[stream.dataset.train.labels[rows]].tolist()) <= set(group.classes)


def test_a_fifth_of_every_class_is_held_out_and_evaluated() -> None:
    stream = stream_of()
    assert_held_out(stream)
    assert [len(group.rows["val"]) for group in stream.groups] == [4] * 5, "2 of 10 images of 2 classes"
    assert [len(experience.train) for experience in stream.experiences] == [16] * 5
    assert stream.options["val_fraction"] == 0.2 and stream.options["split"] == "val"
    more = stream_of(val_fraction=0.5)
    assert_held_out(more)
    assert [len(group.rows["val"]) for group in more.groups] == [10] * 5


def test_it_is_a_part_of_the_identity_and_leaves_that_of_others_alone() -> None:
    tested = [stream_of(split="test"), stream_of(split="test", val_fraction=0.2)]
    evaluated = [stream_of(), stream_of(val_fraction=0.2), stream_of(val_fraction=0.3)]
    assert evaluated[0].id == evaluated[1].id, "a fifth by default and a fifth asked for are one stream"
    assert len({stream.id for stream in (*tested, *evaluated)}) == 4
    assert "split" not in tested[0].options and "evaluated" not in tested[0].identity["options"]
    default, said = (make_plan("simplecil", "split-digits", options=s) for s in ({}, {"stream.split": "test"}))
    assert default.config_hash == said.config_hash == "e2fba58e"
    assert make_plan("simplecil", "split-digits", options={"stream.split": "val"}).config_hash != default.config_hash


def test_a_run_has_the_numbers_of_validation_images_and_reads_no_test_image(tmp_path: Path) -> None:
    stream = without_test_images(stream_of())
    result = run(make(SimpleCIL), stream, tmp_path)["result"]
    assert {row["split"] for row in result["rows"]} == {"val"}
    assert result["split_count"] == {"val": [4] * 5} and result["split_class_count"] == {"val": [2] * 10}
    matrix = matrix_of(result, "cil_seen")
    assert matrix.count.tolist() == [4] * 5
    last = result["metrics"]["cil_seen"]["A_last_sample"]
    assert last == pytest.approx(matrix.correct[-1].sum() / 20) and 0 < last < 1
    with np.load(tmp_path / "predictions.npz") as found:
        assert found["prediction/cil_seen"].shape == (5, 20)
    load(tmp_path / "record.json")
    table = long_table(load_results(tmp_path), "classes")
    final = table[(table["task"] == 4) & (table["rule"] == "cil_seen")]
    assert final["count"].tolist() == [2] * 10 and final["correct"].sum() == matrix.correct[-1].sum()


def test_a_leaderboard_keeps_such_runs_apart(tmp_path: Path) -> None:
    results = [
        run(make(SimpleCIL), stream_of(split=split, val_fraction=0.2), tmp_path / split)["result"]
        for split in ("val", "test")
    ]
    assert board_key(results[0]) != board_key(results[1])
    assert board_key(results[0]) == board_key(run(make(SimpleCIL), stream_of(), tmp_path / "again")["result"])


def test_few_shot_groups_without_validation_images_enter_no_metric(tmp_path: Path) -> None:
    stream = stream_of(shots=2)
    assert_held_out(stream)
    assert [len(group.rows["val"]) for group in stream.groups] == [12, 0, 0, 0, 0], "2 of each of 6 base classes"
    result = run(make(SimpleCIL), without_test_images(stream), tmp_path)["result"]
    assert [row[1:] for row in result["accuracy"]["cil_seen"]["correct"]] == [[None] * 4] * 5
    values = result["metrics"]["cil_seen"]
    assert values["A_novel"] is None and values["A_harmonic"] is None
    assert values["A_last_sample"] == values["A_last_task"] == values["A_base"] == values["stability"]
    for name in ("LA", "BWT", "F_chaudhry", "PD", "A_inc_sample"):
        assert values[name] is not None and METRICS[name].lowest <= values[name] <= 1, name


def test_a_class_of_one_image_is_learned_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "clbench"):
        stream = toy([1, 4, 1, 5], IncrementalOptions(split="val"))
    assert "toy: 2 of 4 classes have a single training image" in caplog.text
    assert [len(group.rows["val"]) for group in stream.groups] == [0, 1, 0, 1]
    assert [len(experience.train) for experience in stream.experiences] == [1, 3, 1, 4]
    result = run(make(SimpleCIL), without_test_images(stream), tmp_path)["result"]
    correct = result["accuracy"]["cil_seen"]["correct"]
    assert correct[0] == [None] * 4, "nothing to evaluate yet"
    assert result["metrics"]["cil_seen"]["A_last_sample"] == (correct[3][1] + correct[3][3]) / 2
    assert result["metrics"]["cil_seen"]["LA"] is not None
    with pytest.raises(UsageError, match="no class of toy has a second training image"):
        toy([1, 1, 1], IncrementalOptions(split="val"))


@pytest.mark.parametrize("setting", ["online", "long-tailed", "i-blurry", "si-blurry", "i-blurry,online"])
def test_settings_on_top_evaluate_validation_images(setting: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {"evaluate_every": 30} if "online" in setting else {}
    stream = stream_of(setting=setting, **more)
    assert_held_out(stream)
    assert sum(len(group.rows["val"]) for group in stream.groups) == 20
    values = run(make(SimpleCIL), without_test_images(stream), tmp_path)["result"]["metrics"]["cil_seen"]
    assert values["A_last_sample"] is not None
    assert ("A_auc" in values) == ("tail" not in setting)
    assert (values.get("A_auc") is not None) == ("online" in setting), "without a period there is no A_auc"


def test_an_online_stream_still_refuses_validation_images_that_are_for_learning() -> None:
    with pytest.raises(UsageError, match=r"set stream\.val_fraction=0"):
        stream_of(split="test", val_fraction=0.2, setting="online")


def test_domains_have_it_too() -> None:
    stream = stream_of("permuted-digits", tasks=2)
    assert_held_out(stream)
    assert [len(group.rows["val"]) for group in stream.groups] == [20, 20]


def test_declared_streams_hold_out_a_fifth_where_they_declare_no_validation_images(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    entry = '[[datasets]]\nname = "{}"\nreader = "stream"\nstream = "split-digits"\nclasses = ["{}", "{}"]\n'
    head = 'name = "two"\nsetting = "class-incremental"\nsize = 8\n'
    path.write_text(head + entry.format("low", "zero", "one") + entry.format("high", "five", "six"))
    stream = stream_of(str(path))
    assert_held_out(stream)
    assert [len(group.rows["val"]) for group in stream.groups] == [4, 4] and stream.options["val_fraction"] == 0.2
    path.write_text('splits = "nevis"\n' + path.read_text())
    assert_held_out(nevis := stream_of(str(path)))
    assert nevis.options["val_fraction"] == 0.0, "the declared validation images are evaluated"


def test_trees_call_it_evaluate_split() -> None:
    options, _ = resolve(TreeOptions, [("test", {"split": "folders", "evaluate_split": "val"})])
    assert options.evaluated == "val" and TreeOptions().evaluated == "test"
    stream = toy([6, 6], options)
    assert_held_out(stream)
    assert (stream.options["split"], stream.options["evaluate_split"]) == ("folders", "val")
    assert "evaluate_split" not in toy([6, 6], TreeOptions()).options


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="split='vla' must be one of test, val"):
        make_stream("split-digits", IncrementalOptions(split="vla"))


@pytest.mark.parametrize("settings", [{}, {"shots": 3}, {"setting": "online", "train_per_class": 6}])
def test_it_keeps_the_contract(settings: dict[str, Any]) -> None:
    chosen = {f"stream.{key}": str(value) for key, value in {"split": "val", **settings}.items()}
    check_stream("split-digits", options=chosen)


def test_the_contract_catches_validation_images_that_are_learned() -> None:
    stream = stream_of()
    learned = replace(stream.groups[0], rows={**stream.groups[0].rows, "val": stream.experiences[0].train[:2]})
    broken = replace(stream, groups=(learned, *stream.groups[1:]))
    (outcome,) = examine_stream(broken, only=["groups"]).outcomes
    assert outcome.status == "failed" and "2 val images of group 'task0' are trained on" in outcome.found
    none = replace(stream, groups=tuple(replace(g, rows={**g.rows, "val": g.rows["val"][:0]}) for g in stream.groups))
    (outcome,) = examine_stream(none, only=["groups"]).outcomes
    assert "no group has val images" in outcome.found
