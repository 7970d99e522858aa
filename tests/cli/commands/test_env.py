"""`clbench env`: what a bug report needs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.cli import call

Shown = pytest.CaptureFixture[str]


def test_env_says_what_a_bug_report_needs(capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join([str(tmp_path), str(tmp_path / "nowhere")]))
    monkeypatch.setenv("CLBENCH_DATAPATH", "oops")
    monkeypatch.setenv("CLBENCH_RUN_SEED", "3")
    assert call(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"torch", "click", "optuna", "pyarrow"} <= set(found["packages"])  # optuna and pyarrow: of extras for users
    assert not {"mypy", "pytest", "mkdocs", "twine", "cosmic-ray"} & set(found["packages"])
    assert found["devices"]["threads"] >= 1
    assert [(folder["use"], folder["exists"]) for folder in found["folders"]] == [
        ("cache", False), ("data", True), ("data", False), ("results", False),
    ]  # fmt: skip
    assert found["folders"][0]["path"] == str(tmp_path / "home") and found["folders"][0]["free"] > 0
    assert set(found["offline"].values()) == {True}
    assert found["variables"]["CLBENCH_RUN_SEED"] == "3"
    assert call(["env"]) == 0
    shown = capsys.readouterr().out
    assert f"data    {tmp_path / 'nowhere'} (does not exist, " in shown
    assert "CLBENCH_DATAPATH=oops  (not a variable of clbench. Did you mean CLBENCH_DATA_PATH" in shown
    assert "CLBENCH_RUN_SEED=3\n" in shown


def test_env_names_plugins_and_collisions(plugin: Any, capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"clbench.strategies": {"acme/one": "acme_m:One", "slca": "acme_m:Two"}}
    plugin("acme", {"acme_m": "class One: pass"}, points)
    monkeypatch.setattr(registry, "strategies", registry.Registry("clbench.strategies", "strategy"))
    assert call(["env", "--json"]) == 0
    plugins = json.loads(capsys.readouterr().out)["plugins"]
    assert plugins["acme 1.5"] == ["strategy acme/one"]
    assert "is provided by" in plugins["collisions"][0]
