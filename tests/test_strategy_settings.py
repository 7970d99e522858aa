"""Methods on streams whose classes return: online and blurry ones, with what each of them promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.parts.heads.prototypes import add_to_means, class_means
from cl.protocol import BLURRY, ONLINE, SETTINGS
from cl.random import Seeds
from cl.records.matrix import anytime_of
from cl.records.metrics import metrics_of, shown
from cl.records.record import result_sha256
from cl.results.leaderboard.ranking import leaderboard
from cl.running import loop
from cl.settings import SettingOptions, transform
from cl.strategies.avalanche import AvalancheSLDA
from cl.strategies.ewc import EWC
from cl.strategies.finetune import Finetune
from cl.strategies.joint import Joint
from cl.strategies.kvb import KVB
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.ranpac import RanPAC
from cl.strategies.replay import Replay
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slca import SLCA
from cl.stream import Stream
from tests.conftest import header, make, run, tiny_stream

ONE_PASS: dict[str, Any] = {"epochs": 1, "batch_size": 16}
"""As a plan has it in online settings."""


def small() -> Stream:
    """60 training and 20 test images of ten digits."""
    return tiny_stream(train_per_class=6, test_per_class=2)


def stream_in(*names: str, **options: Any) -> Stream:
    """The same in other settings."""
    return transform(small(), SettingOptions(setting=names, **options), 1993)


def by_label(stream: Stream, values: torch.Tensor) -> torch.Tensor:
    """Rows by position in the order of the dataset's labels."""
    return values[torch.from_numpy(stream.positions)]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (Finetune, {**ONE_PASS, "loss": "global"}),
        (LinearProbe, ONE_PASS),
        (Replay, {**ONE_PASS, "memory_size": 20}),
        (SimpleCIL, {}),
        (AvalancheSLDA, {}),
        (KVB, {"epochs": 1, "codebooks": 6, "pairs": 20, "key_dim": 4, "key_images": 64, "key_epochs": 1}),
    ],
)
def test_methods_that_say_so_learn_online_and_blurred(method: Any, options: dict[str, Any], tmp_path: Path) -> None:
    assert method.supports(ONLINE, method.Options(**options)) and method.supports(BLURRY, method.Options(**options))
    stream = stream_in("online", "i-blurry", chunk=16)
    strategy = make(method, **options)
    result = run(strategy, stream, tmp_path)["result"]
    assert [row["seen"] for row in result["rows"]] == sorted(row["seen"] for row in result["rows"])
    assert result["rows"][-1]["seen"] == 10
    metrics = result["metrics"]["cil_seen"]
    assert 0 <= metrics["A_auc"] <= 1 and metrics["A_last_sample"] is not None
    with torch.no_grad():
        assert strategy.predict_images(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)


def test_others_say_that_they_cannot() -> None:
    for method in (SLCA, EWC):
        assert not {ONLINE, BLURRY} & set(method.settings)
    assert not Replay.supports(ONLINE, Replay.Options(pred_kd=1.0)) and SimpleCIL.settings == SETTINGS


@pytest.mark.parametrize("names", [("si-blurry",), ("online", "i-blurry")])
def test_nearest_means_do_not_depend_on_how_images_arrive(names: tuple[str, ...], tmp_path: Path) -> None:
    expected, arrived = make(SimpleCIL), make(SimpleCIL)
    plain, stream = small(), stream_in(*names, chunk=7) if "online" in names else stream_in(*names)
    run(expected, plain, tmp_path / "plain")
    run(arrived, stream, tmp_path / "arrived")
    assert by_label(stream, arrived.counts).tolist() == [6] * 10
    assert torch.allclose(by_label(stream, arrived.prototypes), by_label(plain, expected.prototypes), atol=1e-6)


def test_running_means_are_means() -> None:
    features, labels = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 5
    means, counts = torch.empty(0, 4), torch.empty(0, dtype=torch.long)
    for part in ([0, 5, 10, 1], [2, 3], list(range(11, 60)), [4, 6, 7, 8, 9]):
        classes = tuple(sorted(set(labels[part].tolist())))
        means, counts = add_to_means(means, counts, features[part], labels[part], classes)
    assert counts.tolist() == [12] * 5
    assert torch.allclose(means, class_means(features, labels, range(5)), atol=1e-6)


def test_ridge_regression_sums_over_tasks_that_share_classes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"tuning": "none", "width": 50, "ridge": 1.0, "precision": "float64"}
    plain, stream = small(), stream_in("i-blurry", blur=0.5)
    one, two = make(RanPAC, **options), make(RanPAC, **options)
    run(one, plain, tmp_path / "plain")
    run(two, stream, tmp_path / "blurred")
    assert torch.allclose(by_label(stream, two.weights.T), by_label(plain, one.weights.T), atol=1e-6)


def test_replay_offers_every_image_to_its_memory_once(tmp_path: Path) -> None:
    strategy = make(Replay, **ONE_PASS, memory_size=500)
    run(strategy, stream_in("online", chunk=16), tmp_path)
    assert strategy.memory is not None and strategy.memory.seen == len(strategy.memory) == 60
    assert strategy.memory.labels.bincount().tolist() == [6] * 10


def test_joint_trains_once_at_the_end_on_everything(tmp_path: Path) -> None:
    strategy = make(Joint, epochs=1)
    record = run(strategy, stream_in("online", chunk=25), tmp_path)
    correct = record["result"]["accuracy"]["cil_seen"]["correct"]
    assert all(value is None for row in correct[:-1] for value in row) and None not in correct[-1]
    assert strategy.head.classes == 10


def test_an_interrupted_online_run_ends_in_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_in("online", chunk=16, evaluate_every=30)
    options = {**ONE_PASS, "memory_size": 20}
    whole = run(make(Replay, folder=tmp_path / "whole", **options), stream, tmp_path / "whole")
    learn, calls = loop._learn, []

    def stops(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        learn(*arguments)

    monkeypatch.setattr(loop, "_learn", stops)
    with pytest.raises(KeyboardInterrupt):
        run(make(Replay, folder=tmp_path / "cut", **options), stream, tmp_path / "cut")
    monkeypatch.undo()
    resumed = run(make(Replay, folder=tmp_path / "cut", **options), stream, tmp_path / "cut")
    assert resumed["measurement"]["resumed_from"]
    assert result_sha256(resumed["result"]) == result_sha256(whole["result"])


def test_anytime_accuracy_counts_the_classes_seen() -> None:
    result: dict[str, Any] = {
        "stream": {"setting": "online class-incremental", "n_tasks": 4,
                   "groups": [{"classes": [0, 1], "task": 1}, {"classes": [2], "task": 3}]},
        "rows": [{"event": number, "task": task, "split": "test", "seen": seen}
                 for number, task, seen in ((1, 0, 1), (3, 1, 2), (6, 3, 3))],
        "count": [10, 10], "class_count": [4, 6, 10],
        "accuracy": {"cil_seen": {
            "correct": [[3, None], [4, None], [6, 5]], "class_correct": [[3, 0, None], [1, 3, None], [2, 4, 5]]}},
    }  # fmt: skip
    anytime = anytime_of(result, "cil_seen")
    assert anytime is not None and np.allclose(anytime, [3 / 4, 4 / 10, 11 / 20])
    assert metrics_of(result)["cil_seen"]["A_auc"] == pytest.approx((3 / 4 + 4 / 10 + 11 / 20) / 3)
    assert shown("online class-incremental")[0] == "A_auc" and "A_auc" not in shown("class-incremental")
    for row in result["rows"]:
        del row["seen"]
    assert metrics_of(result)["cil_seen"]["A_auc"] is None


def test_records_of_other_streams_are_as_they_were(tmp_path: Path) -> None:
    result = run(make(SimpleCIL), small(), tmp_path)["result"]
    assert set(result["rows"][0]) == {"event", "task", "split"} and "A_auc" not in result["metrics"]["cil_seen"]


@pytest.mark.parametrize("name", ["online", "si-blurry"])
def test_runs_with_other_seeds_stand_on_one_board(name: str, tmp_path: Path) -> None:
    records = []
    for seed in (1, 2):
        base = tiny_stream(seed, train_per_class=6, test_per_class=2)
        stream = transform(base, SettingOptions(setting=(name,)), seed)
        seeds = Seeds(seed, seed, seed)
        strategy = make(SimpleCIL, seeds=seeds)
        about = {**header(SimpleCIL, seeds), "limited": False}
        records.append(loop.run(strategy, stream, tmp_path / str(seed), about, trainer=strategy.trainer))
    board = leaderboard(records, metric="A_auc")
    assert board["n_seeds"].tolist() == [2] and board["metric"].tolist() == ["A_auc"]
