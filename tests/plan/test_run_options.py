"""Options of a run: declared once, and taken from call, environment and file."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from cl.plan.plan import make_plan
from cl.plan.run_options import RunOptions, declared, flag

pytestmark = pytest.mark.usefixtures("methods")


def test_results_folder_from_argument_environment_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[run]\nresults = "file"\n')

    def where(**arguments: Any) -> str:
        return str(make_plan("method", "split-digits", config_file=config, **arguments).results)

    monkeypatch.setenv("CLBENCH_RESULTS", "environment")
    assert where(results="argument") == "argument"
    assert where() == "environment"
    monkeypatch.delenv("CLBENCH_RESULTS")
    assert where() == "file"


def test_options_of_a_run_are_declared_once_for_command_line_file_and_call() -> None:
    from cl import api
    from cl.cli.commands.run import command

    flags = {parameter.name: parameter for parameter in command.params}
    for name, info in declared().items():
        assert str(getattr(flags[name], "help", "")).startswith(info.help), name
        assert flag(name) in flags[name].opts
        assert getattr(flags[name], "envvar", None) in (info.env or None, None), name
        for function in (make_plan, api.run):
            words = str(function.__doc__) + str(inspect.signature(function))
            assert re.search(rf"\b{name}\b", words), f"{function.__name__} does not mention {name}"
    assert set(make_plan("method", "split-digits").table()) <= set(declared())


def test_environment_variables_rank_between_call_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[run]\nprecision = "bf16"\ndevice = "cuda"\nfew_shot = true\n')
    monkeypatch.setenv("CLBENCH_DEVICE", "cpu")
    plan = make_plan("method", "split-digits", config_file=config, few_shot=False)
    assert (plan.precision, plan.device) == ("bf16", "cpu") and "stream.shots" not in plan.values
    monkeypatch.setenv("CLBENCH_PRECISION", "fp32")
    assert make_plan("method", "split-digits", config_file=config).precision == "fp32"
    assert make_plan("method", "split-digits", config_file=config, precision="bf16").precision == "bf16"


def test_equal_runs_have_equal_options() -> None:
    same = RunOptions(order_seed=4, init_seed=4, data_seed=4, few_shot=True, setting=("online",)).settled()
    assert same == RunOptions(seed=4) and same.seeds == {"order": 4, "init": 4, "data": 4}
    other = RunOptions(seed=4, init_seed=5).settled()
    assert other.table()["init_seed"] == 5 and "seed" not in other.table()
    assert RunOptions(seed=0, checkpoint_every=0.0).table()["checkpoint_every"] == 0.0
