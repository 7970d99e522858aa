"""The result of a study: a config file that charges it, and a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cl
from cl.errors import UsageError
from cl.plan import presets
from cl.plan.plan import load_plan, make_plan
from cl.records.record import load
from cl.tuning.outcome import best_of, config_of, preset_of, tuning_of
from cl.tuning.study import COMPLETE, PRUNED, Study, Trial
from tests.help.tuning import searched, small_tuner

pytest.importorskip("optuna", reason="needs the extra tune")


def trial(index: int, value: float, state: str = COMPLETE) -> Trial:
    return Trial(index, {}, state, value, {}, {})


def test_the_best_is_the_first_of_the_highest_complete_ones() -> None:
    trials = [trial(0, 0.1), trial(1, 0.5), trial(2, 0.5), trial(3, 0.9, PRUNED)]
    assert best_of(trials).index == 1
    with pytest.raises(UsageError, match="No trial was complete yet"):
        best_of(trials[3:])


def test_a_run_with_the_values_has_the_cost_of_all_trials_and_is_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuner = small_tuner(tmp_path, searches={"lr": "log(0.2,1)", "milestones": "among([1],[])"}, seeds=(1, 2))
    trials = searched(tuner, 3)
    study, best = Study(str(tmp_path / "study.journal")), best_of(trials)
    tuning = tuning_of(tuner, study, "2026-01-31")
    assert tuning.source == (
        "tuned by clbench tune: 3 trials of TPE on held-out training images of the first 2 tasks of split-digits, "
        f"class order 1, 2, 2026-01-31, study {study.digest()}"
    )
    file = tmp_path / "best.toml"
    file.write_text(config_of(tuner, best, tuning))
    result = cl.run(config_file=file, results=tmp_path / "real", max_tasks=1, device="cpu")
    measured = result.record["measurement"]["tuning"]
    runs = [load(path)["measurement"]["flops"]["uncached"] for path in (tmp_path / "trials").rglob("record.json")]
    assert measured["trials"] == 3 and measured["flops"]["uncached"] == pytest.approx(sum(runs)) and sum(runs) > 0
    assert measured["seconds"] > 0 and measured["study"] == study.digest()
    config: Any = result.record["result"]["config"]
    chosen = tuner.space.options(best.plain)
    assert (config["lr"]["value"], config["milestones"]["value"]) == (chosen["lr"], list(chosen["milestones"]))
    assert config["lr"]["origin"] == "tuned best.toml" and config["stream.tasks"]["value"] == 5
    assert "stream.split" not in config and "tuning" not in result.record["result"]
    assert load_plan(result.folder).tuning == tuning, "also after it was stopped"
    assert not make_plan(config_file=file).limited and not make_plan(config_file=file).sealed
    assert make_plan("slca", config_file=file).tuning is None, "another method pays its own search"
    with_values = {**tuner.request.options, **chosen}
    plain = make_plan("finetune", "split-digits", "test_vit@random", options=with_values)
    assert plain.config_hash == make_plan(config_file=file).config_hash and plain.tuning is None


def test_the_preset_gives_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = small_tuner(tmp_path, searches={"lr": "log(1e-3,1)", "milestones": "among([1],[])"})
    trials = searched(tuner, 1)
    study = Study(str(tmp_path / "study.journal"))
    text = preset_of(tuner, best_of(trials), tuning_of(tuner, study, "2026-01-31"))
    path = tmp_path / "finetune.toml"
    path.write_text(text)
    monkeypatch.setattr(presets, "presets_path", lambda strategy: path)
    (preset,) = presets.load_presets("finetune")
    assert (preset.stream, preset.backbone) == (("split-digits",), ("test_vit@random",))
    assert preset.source.startswith("tuned by clbench tune: 1 trial of TPE") and "stream.tasks" not in preset.options
    plan = make_plan("finetune", "split-digits", "test_vit@random", options={"stream.tasks": 5})
    chosen = tuner.space.options(best_of(trials).plain)
    assert {key: plan.values[key].value for key in chosen} == chosen
    assert (plan.values["epochs"].value, plan.values["batch_size"].value) == (1, 8)
