"""The probe: right counts against plain computations, one network for every method, and what does not change by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor

import cl
from cl.backbone import Backbone
from cl.cli import call
from cl.data.store import Dataset, ImageStore
from cl.errors import ContractError, DataError, MissingData, UsageError
from cl.plan.plan import make_plan
from cl.records.metrics import metrics_of
from cl.records.record import load, recompute
from cl.running.probe import RIDGE, Probe, nearest_mean, ridge
from cl.strategies.aper import APER
from cl.strategies.finetune import Finetune
from cl.strategies.finetune_adapter import FinetuneAdapter
from cl.strategies.layernorm import LayerNormTuning
from cl.strategies.momentum import Momentum
from cl.strategies.ranpac import RanPAC
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slca import SLCA
from cl.strategies.softnet import SoftNet
from cl.strategy import Extractor, Inputs, StoredImages, Strategy
from cl.training.encodings import pixels_of
from tests.conftest import make, run, tiny_backbone, tiny_stream
from tests.help.declared import pack

pytestmark = pytest.mark.usefixtures("isolated")

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "flip"}
ALIGNED: dict[str, Any] = {**FAST, "ca_epochs": 1, "ca_samples": 8, "milestones": ()}


def negatives() -> Dataset:
    """The digits with black and white exchanged: other images than those of the stream."""
    digits = tiny_stream().dataset
    train, test = (ImageStore.from_arrays(255 - store.pixels, store.labels) for store in (digits.train, digits.test))
    return Dataset("negatives", train, test, digits.class_names, "made up")


def probe(limit: float | None = 8, **how: Any) -> Probe:
    return Probe.of("negatives", negatives(), limit, **how)


def features_of(backbone: Backbone, store: ImageStore, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        parts = [backbone(backbone.transform(pixels_of(store, part))) for part in np.array_split(rows, 5)]
    return torch.cat(parts).double().numpy()


# ------------------------------------------------------------------------------------------------- the classifiers


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Features of three overlapping classes on scales from 0.001 to 1000; the last feature is constant."""
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], 40)
    centres = rng.normal(size=(3, 6))
    scales = 10.0 ** np.array([-3, -2, -1, 0, 2, 3])
    train, test = ((centres[labels] + rng.normal(size=(120, 6))) * scales for _ in range(2))
    train, test = (np.hstack([each, np.full((120, 1), 0.3)]) for each in (train, test))
    return torch.from_numpy(train), torch.from_numpy(labels), torch.from_numpy(test)


def test_ridge_is_that_of_scikit_learn_on_standardised_features() -> None:
    train, labels, test = drawn()
    scaler = StandardScaler().fit(train.numpy())
    plain = Ridge(alpha=RIDGE * len(train)).fit(scaler.transform(train.numpy()), np.eye(3)[labels.numpy()])
    wanted = plain.predict(scaler.transform(test.numpy())).argmax(1)
    found = ridge(train, labels, test, 3).numpy()
    assert (found == wanted).all() and 0.4 < (found == labels.numpy()).mean() < 1
    assert torch.equal(ridge(train * 1000, labels, test * 1000, 3), torch.from_numpy(wanted)), "scales do not count"


def test_the_nearest_mean_is_by_cosine_and_labels_need_no_order() -> None:
    train, labels, test = drawn()
    means = np.stack([train.numpy()[labels.numpy() == each].mean(0) for each in range(3)])
    cosine = (test.numpy() @ means.T) / np.linalg.norm(means, axis=1)
    assert (nearest_mean(train, labels, test).numpy() == cosine.argmax(1)).all()
    assert set(nearest_mean(train, 5 + 2 * labels, test).tolist()) <= {5, 7, 9}


# ---------------------------------------------------------------------------------------------------- measurements


def test_rows_of_a_record_are_those_of_a_plain_computation(tmp_path: Path) -> None:
    learner, measure = make(Finetune, **FAST), probe()
    result = run(learner, tiny_stream(), tmp_path, probe=measure)["result"]
    rows = result["probe"]["rows"]
    assert [row["task"] for row in rows] == [None, *range(len(result["rows"]))]
    assert [row["event"] for row in rows] == [None, *(row["event"] for row in result["rows"])]
    assert result["probe"]["fingerprints"] == measure.dataset.fingerprints
    assert [result["probe"][key] for key in ("train", "test", "classes")] == [80, 80, 10]
    data = measure.dataset
    for row, backbone in ((rows[0], tiny_backbone()), (rows[-1], learner.backbone)):
        train, test = (
            features_of(backbone, store, places)
            for store, places in ((data.train, measure.train), (data.test, measure.test))
        )
        labels, wanted = data.train.labels[measure.train], data.test.labels[measure.test]
        scaler = StandardScaler().fit(train)
        plain = Ridge(alpha=RIDGE * len(train)).fit(scaler.transform(train), np.eye(10)[labels])
        assert row["ridge"] == (plain.predict(scaler.transform(test)).argmax(1) == wanted).sum()
        means = np.stack([train[labels == each].mean(0) for each in range(10)])
        nearest = (test @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(1)
        assert row["nearest_mean"] == (nearest == wanted).sum()
    assert len({row["ridge"] for row in rows}) > 1, "training changed the features"


def test_a_frozen_network_forgets_nothing(tmp_path: Path) -> None:
    record = run(make(SimpleCIL), tiny_stream(), tmp_path, probe=probe())
    counts = {(row["ridge"], row["nearest_mean"]) for row in record["result"]["probe"]["rows"]}
    assert len(counts) == 1 and min(counts) > (8, 8), "and is better than chance"


def test_last_only_measures_twice(tmp_path: Path) -> None:
    every = run(make(Finetune, **FAST), tiny_stream(), tmp_path / "every", probe=probe())["result"]["probe"]["rows"]
    last = run(make(Finetune, **FAST), tiny_stream(), tmp_path / "last", probe=probe(last_only=True))
    assert last["result"]["probe"]["rows"] == [every[0], every[-1]]
    short = run(make(Finetune, **FAST), tiny_stream(), tmp_path / "short", probe=probe(last_only=True), max_tasks=2)
    assert short["result"]["probe"]["rows"] == [every[0], every[2]]


def test_an_evaluation_before_training_measures_nothing_new(tmp_path: Path) -> None:
    stream = tiny_stream(evaluate_on="all")
    rows = run(make(Finetune, **FAST), stream, tmp_path, probe=probe())["result"]["probe"]["rows"]
    assert [row["task"] for row in rows] == [None, *range(len(stream.experiences))]


def test_a_probe_changes_nothing_else(tmp_path: Path) -> None:
    plain = run(make(SLCA, **ALIGNED), tiny_stream(), tmp_path / "plain")
    probed = run(make(SLCA, **ALIGNED), tiny_stream(), tmp_path / "probed", probe=probe())
    result = {key: value for key, value in probed["result"].items() if key != "probe"}
    assert result == plain["result"] and "probe" not in plain["result"]
    cost, cost_of_probed = (record["measurement"] for record in (plain, probed))
    assert cost["flops"]["uncached"] == cost_of_probed["flops"]["uncached"]
    assert "probe" not in cost["seconds"] and cost_of_probed["seconds"]["probe"] > 0
    assert recompute(probed) == load(tmp_path / "probed" / "record.json")


def test_a_resumed_run_has_the_same_probe(tmp_path: Path) -> None:
    stream = tiny_stream()
    whole = run(make(SLCA, **ALIGNED), stream, tmp_path / "whole", probe=probe())

    class Stop(BaseException):
        pass

    for _ in range(4):
        learner = make(SLCA, folder=tmp_path / "cut", **ALIGNED)

        def stop(*_: Any) -> None:
            raise Stop

        learner.trainer.observer.event = stop  # type: ignore[method-assign, assignment]
        with pytest.raises(Stop):
            run(learner, stream, tmp_path / "cut", probe=probe())
    resumed = run(make(SLCA, folder=tmp_path / "cut", **ALIGNED), stream, tmp_path / "cut", probe=probe())
    assert resumed["measurement"]["resumed_from"] and resumed["result_sha256"] == whole["result_sha256"]


def test_a_limit_takes_the_first_images_of_every_class() -> None:
    data, chosen = negatives(), probe(3)
    for store, rows in ((data.train, chosen.train), (data.test, chosen.test)):
        assert store.labels[rows].tolist() == [label for label in range(10) for _ in range(3)]
        assert rows[3] == np.flatnonzero(store.labels == 1)[0]
    assert len(probe(None).train) == len(data.train)
    shares = np.bincount(data.train.labels[probe(0.1).train])
    assert shares.tolist() == [max(1, round(0.1 * count)) for count in np.bincount(data.train.labels)]


def test_a_dataset_without_test_images_is_refused() -> None:
    data = negatives()
    none = ImageStore.from_arrays(data.test.pixels[:0], data.test.labels[:0])
    with pytest.raises(DataError, match="The dataset negatives has no test images, which --probe needs"):
        Probe.of("negatives", replace(data, test=none))


def test_a_dataset_of_one_class_is_refused() -> None:
    data = negatives()
    one = ImageStore.from_arrays(data.train.pixels[:9], np.full(9, 3))
    with pytest.raises(DataError, match="The dataset negatives has one class, but --probe needs two or more"):
        Probe.of("negatives", replace(data, train=one))


def test_features_that_are_not_finite_end_the_run(tmp_path: Path) -> None:
    class Broken(SimpleCIL):
        def extractor(self) -> Extractor:
            class Nan:
                transform, dim, key, is_pristine = self.backbone.transform, self.backbone.dim, "nan", False

                def __call__(self, images: Tensor) -> Tensor:
                    return torch.full((len(images), self.dim), torch.nan)

            return Nan()

    with pytest.raises(ContractError, match="features of Broken for the probe negatives are not finite"):
        run(make(Broken), tiny_stream(), tmp_path, probe=probe())


# ------------------------------------------------------------------------------------------------------ extractors


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (SimpleCIL, {}),
        (Finetune, FAST),
        (FinetuneAdapter, {"epochs": 1, "batch_size": 16, "lr": 0.5, "rank": 3, "augment": "none"}),
        (RanPAC, {"epochs": 1, "batch_size": 12, "lr": 0.5, "rank": 4, "width": 40, "augment": "none"}),
        (APER, {"epochs": 1, "batch_size": 12, "lr": 0.5, "rank": 4, "augment": "none"}),
        (APER, {"tuning": "none"}),
        (LayerNormTuning, {"stages": "one", "epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "none"}),
        (Momentum, {"base_options": FAST, "tau": 0.5}),
        (SoftNet, {"epochs": 1, "batch_size": 36, "lr": 0.05, "milestones": (), "augment": "none", "share": 0.7}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_extractor_gives_the_features_of_predictions(
    method: type[Strategy], options: dict[str, Any], learn: Callable[..., list[Any]]
) -> None:
    learner, stream, found = make(method, **options), tiny_stream(), []

    class Spy(Inputs):
        def encode(self, extractor: Extractor) -> Tensor:
            found.append(super().encode(extractor))
            return found[-1]

    learn(learner, stream, 2)
    store, rows = stream.dataset.test, np.arange(40)
    extractor = learner.extractor()
    with torch.no_grad():
        learner.predict(Spy(None, "cpu", StoredImages(learner.trainer.encodings, store, rows)))
        features = extractor(extractor.transform(pixels_of(store, rows)))
    assert torch.allclose(features, torch.cat(found, 1), atol=1e-5) and features.shape[1] == extractor.dim
    if method is not SimpleCIL and options.get("tuning") != "none":
        with torch.no_grad():
            before = tiny_backbone()(extractor.transform(pixels_of(store, rows)))
        assert not torch.allclose(features[:, -before.shape[1] :], before, atol=1e-3), "it was trained"


# ------------------------------------------------------------------------------------------------- plans and runs

SMALL: dict[str, Any] = {
    "options": {"stream.tasks": 2, "backbone.image_size": 32, "stream.train_per_class": 4, "stream.test_per_class": 4},
    "backbone": "test_vit@random",
}


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of 20 training and 4 test images of each of two classes, on the data path."""
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder.parent))
    pack(folder / "other.npz", ("dog", "cat"), 8, 3)
    return folder / "other.npz"


def test_a_run_with_a_probe_has_a_folder_of_its_own_and_says_what_it_read(other: Path) -> None:
    found = cl.run("simplecil", "split-digits", probe="other", **SMALL)
    told = found.record["result"]["probe"]
    assert (told["dataset"], told["train"], told["test"], told["classes"]) == ("other", 40, 8, 2)
    assert len(told["rows"]) == 3 and metrics_of(found.record["result"])["cil_seen"]["F_pretraining"] == 0
    plain = make_plan("simplecil", "split-digits", **SMALL)
    last = make_plan("simplecil", "split-digits", probe="other", probe_last=True, **SMALL)
    assert len({plan.config_hash for plan in (plain, last)} | {found.record["config_hash"]}) == 3
    again = cl.run(config_file=found.folder / "config.toml")
    assert not again.executed and again.record == found.record
    limited = cl.run("simplecil", "split-digits", probe="other", limit=2, max_tasks=1, **SMALL)
    assert [limited.record["result"]["probe"][key] for key in ("train", "test")] == [4, 4]


def test_other_images_under_the_same_name_are_noticed(other: Path) -> None:
    cl.run("simplecil", "split-digits", probe="other", **SMALL)
    pack(other, ("dog", "owl"), 16, 3)
    with pytest.raises(DataError, match=r"the images of the probe \(.{8}, now .{8}\) have changed since this run was"):
        cl.run("simplecil", "split-digits", probe="other", **SMALL)


def test_what_cannot_be_probed_is_refused_before_any_work(
    other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        MissingData, match=r"The dataset gone \(gone\.npz or gone_train\.npz \+ gone_test\.npz\) was not"
    ):
        cl.run("finetune", "split-digits", probe="gone", **SMALL)
    command = ["run", "-s", "simplecil", "--stream", "split-digits", "--limit", "2"]
    assert call([*command, "--probe", "gone"]) == 3
    assert capsys.readouterr().err.count("The dataset gone") == 1
    assert not list((tmp_path / "results").rglob("checkpoint"))
    assert call(["run", "-s", "mos", "--stream", "split-digits", "--probe", "other"]) == 2
    assert "mos does not predict with one network" in capsys.readouterr().err
    assert call([*command, "--probe", str(other)]) == 2
    assert "--probe takes the name of a dataset" in capsys.readouterr().err
    assert call([*command, "--probe-last"]) == 2
    assert "name its dataset with --probe" in capsys.readouterr().err
    with pytest.raises(UsageError, match="wsn does not predict with one network"):
        make_plan("wsn", "split-digits", probe="other")


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--set", "stream.train_per_class=4"]])
def test_the_images_of_the_stream_are_no_probe(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "-s", "simplecil", "--stream", "split-digits", "--probe", "split-digits", *more]
    assert call(command) == 2
    assert "--probe split-digits has the images of the stream split-digits, but" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("*.json"))


def test_a_dry_run_counts_the_images_of_the_probe(other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "-s", "simplecil", "--stream", "split-digits", "--dry-run"]
    assert call([*command, "--probe", "other"]) == 0
    assert "other: 40 images to fit on, 8 to test on" in capsys.readouterr().out
    assert call([*command, "--probe", "gone"]) == 3
    shown = capsys.readouterr()
    assert "The dataset gone" in shown.out and "The dataset gone" in shown.err
