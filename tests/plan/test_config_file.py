"""Config files: the config.toml of a run repeats it, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.plan.config_file import run_id_of
from cl.plan.plan import load_plan, make_plan

pytestmark = pytest.mark.usefixtures("methods")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"seed": 3, "data_seed": 4, "limit": 0.5, "precision": "bf16", "max_tasks": 2, "preset": "other"},
        {"options": {"note": "a 'b' \"c\"", "steps": "", "stream.tasks": "3", "stream.order": "natural"}},
    ],
)
def test_config_toml_gives_the_plan_back(arguments: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    plan = make_plan("method", "split-digits", **arguments)
    (tmp_path / "config.toml").write_text(plan.to_toml(run_id="x", command=["clbench", "run"]))
    (tmp_path / "method.toml").write_text("")  # presets may change afterwards: the run does not
    monkeypatch.setenv("CLBENCH_SET", "lr=9")
    again = load_plan(tmp_path)
    assert again == plan
    assert again.folder == tmp_path


def test_config_toml_of_a_wrapper_gives_the_plan_back(tmp_path: Path) -> None:
    plan = make_plan("wrapper", "split-digits", options={"base.lr": "0.7"})
    (tmp_path / "config.toml").write_text(plan.to_toml())
    assert load_plan(tmp_path) == plan


def test_config_toml_repeats_a_run_with_another_seed(tmp_path: Path) -> None:
    plan = make_plan("method", "split-digits", seed=1, data_seed=2, options={"lr": 0.9})
    (tmp_path / "config.toml").write_text(plan.to_toml())
    again = make_plan(config_file=tmp_path / "config.toml", seed=5)
    assert again.config_hash == plan.config_hash
    assert set(again.seeds.values()) == {5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = 1", "unknown key 'lr'. Known: run, options, origins, invocation"),
        ("[option]\nlr = 1", "Did you mean options"),
        ("[run]\nsedd = 1", "c.toml, [run]: unknown key 'sedd'. Did you mean seed"),
        ("[options]\nlrr = 1", "no option 'lrr' (set by file c.toml). Did you mean lr"),
        ("[run]\nseed = 'a'", "--seed must be a whole number"),
    ],
)
def test_wrong_config_files_are_usage_errors(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        make_plan("method", "split-digits", config_file=tmp_path / "c.toml")
    assert says in str(caught.value)


def test_a_run_without_its_id_is_refused_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[run]\nstrategy = "slca"\n')
    with pytest.raises(UsageError, match=r"config\.toml lacks run_id in \[invocation\]; .*--existing always"):
        run_id_of(tmp_path)
    (tmp_path / "config.toml").write_text('[invocation]\nrun_id = "x"\n')
    assert run_id_of(tmp_path) == "x"
