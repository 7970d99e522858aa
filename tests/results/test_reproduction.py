"""Shipped configurations, what they expect, and the interval of what is expected."""

from __future__ import annotations

import json
import math
from pathlib import Path

import fidelity
import pytest
from scipy import stats

from cl.errors import ContractError, UsageError
from cl.results import load_results, reproduction
from cl.results.reproduction import Configuration, Expected, configurations, expectations, find, judge
from tests.help.reproduction import TOY, ours

pytestmark = pytest.mark.usefixtures("isolated")


def test_every_configuration_resolves_and_expects_what_was_measured() -> None:
    assert set(expectations()) <= set(configurations())
    for name, wanted in configurations().items():
        first = wanted.plans(wanted.seeds[:1])[0]
        expected = expectations().get(name)
        assert expected is None or expected.config_hash == first.config_hash, f"{name}: run `python docs/fidelity.py`"
        assert expected is None or expected.interval(wanted.seeds), f"{name}: one seed is no interval"
        assert expected or wanted.needs, f"{name}: say what the run takes"
        assert bool(wanted.benchmark) == bool(wanted.reported()), f"{name}: no published row is like its benchmark"


def test_expected_values_are_those_of_the_reference_records() -> None:
    records = load_results(fidelity.RECORDS).records
    assert reproduction.EXPECTED.read_text(encoding="utf-8") == fidelity.expected(records), (
        "run `python docs/fidelity.py`"
    )


def test_the_command_of_a_configuration_is_the_run() -> None:
    assert find("resnet18-ewc").command == (
        "clbench run -s ewc --stream split-cifar100 --backbone resnet18@random --preset smith-table "
        "--set stream.order=coda --seed 0,1,2"
    )


def test_the_four_rows_of_one_published_table_have_one_recipe() -> None:
    resolved = {}
    for name in ("pred-kd", "ewc", "l2", "feat-kd"):
        wanted = find(f"resnet18-{name}")
        plan = wanted.plans(wanted.seeds[:1])[0]
        resolved[name] = {key: value.value for key, value in plan.values.items()}
    shared = set.intersection(*(set(values) for values in resolved.values())) - {"feat_kd"}
    assert {"lr", "optimizer", "loss", "loss_scale", "eval_mode", "backbone.normalize", "stream.order"} <= shared
    for key in shared:
        assert len({str(values[key]) for values in resolved.values()}) == 1, key
    recipe = {key: resolved["l2"][key] for key in ("optimizer", "lr", "batch_size", "epochs", "weight_decay")}
    assert recipe == {"optimizer": "adam", "lr": 1e-3, "batch_size": 128, "epochs": 250, "weight_decay": 2e-4}
    assert resolved["l2"]["loss_scale"] == 5 and resolved["l2"]["pred_kd"] == 1, "the weights are for a loss times 5"
    assert (resolved["ewc"]["reg"], resolved["ewc"]["reg_factor"]) == (10, 0.5)
    assert resolved["l2"]["reg"] == 0.05
    assert [resolved[name]["feat_kd"] for name in ("pred-kd", "ewc", "l2", "feat-kd")] == [0, 0, 0, 5]


def test_a_wrong_key_in_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reproduce.toml"
    path.write_text('[one]\nabout = ""\nstrategy = "slca"\nstream = "split-digits"\nseeds = [1]\nseed = 1\n')
    monkeypatch.setattr(reproduction, "FILE", path)
    with pytest.raises(UsageError, match=r"reproduce\.toml, one: unknown key 'seed'. Did you mean seeds"):
        configurations.__wrapped__()


def test_the_interval_is_students_prediction_interval_of_a_mean() -> None:
    low, high = ours(s1=0.5, s2=0.6, s3=0.7).interval((1, 2, 3)) or (0, 0)
    half = float(stats.t.ppf(0.975, 2)) * 0.1 * math.sqrt(1 / 3 + 1 / 3)
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half))
    one = ours(s1=0.5, s2=0.6, s3=0.7).interval((1,)) or (0, 0)
    assert one[1] - one[0] > high - low, "the mean of fewer runs is less certain"


def test_an_interval_has_a_least_width_and_stays_within_0_and_1() -> None:
    assert ours(s1=0.5, s2=0.5).interval((1, 2)) == pytest.approx((0.495, 0.505))
    assert ours(s1=0.1, s2=0.9).interval((1, 2)) == (0.0, 1.0)
    assert ours(s1=0.5).interval((1,)) is None


def test_repetitions_with_the_same_seeds_leave_the_class_orders_out() -> None:
    expected = Expected("", "cil_seen", {1: 0.2, 2: 0.8}, "a desk", (), {1: [0.22, 0.24], 2: [0.8]})
    low, high = expected.interval((1, 2)) or (0, 0)
    deviation = math.sqrt(2 * 0.02**2 / 3)  # of 0.20, 0.22, 0.24 around 0.22, and of 0.8, 0.8
    half = float(stats.t.ppf(0.975, 3)) * deviation * math.sqrt(2 / 2)
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half))
    assert expected.source((1, 2)) == "3 repetitions with the same seeds"
    low, high = expected.interval((2,)) or (0, 0)
    assert (low + high) / 2 == pytest.approx(0.8) and high - low == pytest.approx(2 * half * math.sqrt(2))
    other = Expected("", "cil_seen", expected.values, "a desk", ())
    assert expected.interval((1, 3)) == other.interval((1, 3)) == (0.0, 1.0)
    assert expected.source((1, 3)) == "2 seeds"


def test_repetitions_that_agree_expect_half_a_point() -> None:
    expected = Expected("", "cil_seen", {1: 0.2, 2: 0.8}, "a desk", (), {1: [0.2, 0.2]})
    assert expected.interval((1,)) == pytest.approx((0.195, 0.205))


def test_repetitions_are_taken_from_records_of_the_same_configuration() -> None:
    records = load_results(fidelity.RECORDS / "split-digits").records
    repeated = load_results(fidelity.REPEATED).records
    found = reproduction.measure(records, repeated)
    for name, repetitions in (("digits-simplecil", 15), ("digits-linear-probe", 15), ("digits-slca", 4)):
        assert set(found[name]["repeats"]) == set(found[name]["values"])
        assert sum(map(len, found[name]["repeats"].values())) == repetitions
    used = {(about["instructions"], about["threads"]) for about in (r["measurement"]["environment"] for r in repeated)}
    assert used == {("AVX2", 1), ("AVX512", 1), ("AVX512", 2), ("DEFAULT", 1)}  # once AVX512 without bf16 products


def test_every_interval_can_be_missed() -> None:
    for name, expected in reproduction.expectations().items():
        low, high = expected.interval(tuple(expected.values)) or (0.0, 0.0)
        assert 0 < high - low < 0.2, f"{name}: {low:.2f} to {high:.2f} would call nearly everything as expected"


def test_an_undefined_metric_is_an_error_not_a_zero() -> None:
    record = json.loads(next(fidelity.RECORDS.glob("split-cifar100/joint/*/*/seed1993/record.json")).read_text())
    wanted = Configuration("one", "", "joint", "split-cifar100", (1993,), metric="F_chaudhry")
    with pytest.raises(ContractError, match="F_chaudhry is undefined for seed 1993"):
        judge(wanted, [record])


def test_settings_of_the_environment_cannot_change_what_is_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_SET", "lr=1")
    with pytest.raises(UsageError, match="unset it"):
        TOY.plans()
