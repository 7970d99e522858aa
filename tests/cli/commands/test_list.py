"""`clbench list`: what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from cl import registry
from cl.cli import call
from cl.cli.app import cli
from tests.help.broken_plugins import install

pytestmark = pytest.mark.usefixtures("toy")


def test_list_shows_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list"]) == 0
    shown = capsys.readouterr().out
    for expected in ("Strategies:", "slca", "folder:PATH", "vit_micro_patch4_32", "F_chaudhry", "[registered at run"):
        assert expected in shown
    assert call(["list", "metrics", "A_*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert all(item["name"].startswith("A_") and item["summary"] for item in found)
    assert call(["list", "s*ca"]) == 0
    assert "slca" in capsys.readouterr().out


def test_strategies_are_listed_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert heads[:3] == ["Baselines", "Frozen features", "Prompts"] and heads[-1] == "Other"
    place = {line.split()[0]: number for number, line in enumerate(lines)}
    assert place["Prompts:"] < place["l2p"] < place["Adapters:"] and place["Other"] < place["toy"]
    assert call(["list", "strategies", "l2p", "--json"]) == 0
    assert [item["family"] for item in json.loads(capsys.readouterr().out)] == ["prompts"]


def test_list_names_both_owners_of_a_collision(
    plugin: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("acme", {"acme_again": ""}, {"clbench.strategies": {"slca": "acme_again:X"}})
    monkeypatch.setattr(registry, "strategies", registry.Registry("clbench.strategies", "strategy"))
    assert call(["list", "strategies"]) == 0
    assert "'slca' is provided by" in capsys.readouterr().out


def test_metrics_of_packages_are_listed_after_those_of_clbench(
    plugin: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "class Worst:\n    '''The worst task.'''\n"
    plugin("acme", {"acme_metrics": source}, {"clbench.metrics": {n: "acme_metrics:Worst" for n in ("worst", "BWT")}})
    monkeypatch.setattr(registry, "metrics", registry.Registry("clbench.metrics", "metric"))
    assert call(["list", "metrics"]) == 0
    *_, reserved, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"BWT +broken: a metric of clbench has this name; rename it  \[acme 1.5\]", reserved)
    assert re.fullmatch(r"worst +The worst task\.  \[acme 1.5\]", last)


def test_built_in_declarations_are_listed_and_hold_what_they_say() -> None:
    from cl import registry

    listed = CliRunner().invoke(cli, ["list", "streams"]).output
    for name in ("*.toml", "nevis", "nevis-large", "nevis-real", "nevis-short", "nevis-tiny", "pacs"):
        assert re.search(rf"^{re.escape(name)} +\w+", listed, re.MULTILINE)
    real = registry.streams.get("nevis-real").declaration()
    assert len(real.datasets) == 29 and all(entry.sha256 for entry in real.datasets)
    keys = [(entry.year, entry.name) for entry in real.datasets]
    assert keys == sorted(keys)
    assert [e.name for e in registry.streams.get("pacs").declaration().datasets] == [
        "photo",
        "art_painting",
        "cartoon",
        "sketch",
    ]


@pytest.mark.parametrize(
    "command", [["list"], ["list", "strategies", "--json"], ["env"], ["env", "--json"], ["info", "slca"]]
)
def test_broken_plugins_stop_no_command_that_does_not_use_them(
    command: list[str], plugin: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(plugin)
    monkeypatch.setattr(registry, "strategies", registry.Registry("clbench.strategies", "strategy"))
    monkeypatch.setattr(registry, "streams", registry.Registry("clbench.streams", "stream"))
    assert call(command) == 0
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    if command[0] != "info":
        assert "bad_syntax.py, line 1" in shown.out and "broken: " in shown.out
        assert "broken: there is no module bad_absent" in shown.out
        assert "its metadata cannot be read" in (shown.out if command[0] == "env" else shown.err)
    assert call(["info", "bad/exits"]) == 1
    assert "'bad/exits' of bad 1.5 cannot be imported" in capsys.readouterr().err
