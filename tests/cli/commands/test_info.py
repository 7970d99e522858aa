"""`clbench info`: all about one strategy, stream, backbone or metric."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cl import registry
from cl.cli import call

pytestmark = pytest.mark.usefixtures("toy")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("toy", ["toy (strategy)", "Rules", "favourite", "class to predict", "int, default 0; at least 0"]),
        ("simplecil", ["Paper: Zhou", "@article{simplecil,"]),
        ("split-digits", ["split-digits (stream)", "stream.tasks"]),
        ("split-cifar100", ["Licence  none stated", "Cite     Krizhevsky"]),
        ("folder:", ["folder: (stream)", "stream.size"]),
        ("F_chaudhry", ["F_chaudhry (metric)", "Formula", "lower"]),
        ("vit_micro_patch4_32", ["vit_micro_patch4_32 (backbone)", "3x32x32", "backbone.normalize"]),
    ],
)
def test_info_describes_everything(name: str, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["info", name]) == 0
    shown = capsys.readouterr().out
    for text in expected:
        assert text in shown
    assert call(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == name


@pytest.mark.parametrize(
    "name", ["slca", "norga", "avalanche/ewc", "split-digits", "F_chaudhry", "tensorboard", "wandb"]
)
def test_info_imports_neither_torch_nor_timm(name: str) -> None:
    code = f"import sys, cl; from cl.cli import call; assert call(['info', {name!r}]) == 0"
    code += "; assert not {'torch', 'timm', 'pandas', 'matplotlib'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_metric_of_a_package_shows_its_docstring_and_its_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = registry.Entry("good", "tests.help.metric_plugins:Errors", registry.Distribution("acme", "1.5"))
    monkeypatch.setitem(registry.metrics._entries(), "good", [entry])
    assert call(["info", "good"]) == 0
    shown = capsys.readouterr().out
    assert "good (metric)" in shown and "Formula: 100 (1 - min_i R[T,i])" in shown
    assert "Better  lower" in shown and "Unit    percent" in shown and "From    acme 1.5" in shown
    assert "metric_plugins.py" in shown
    assert call(["info", "goood"]) == 2 and "Did you mean good" in capsys.readouterr().err


def test_every_strategy_and_stream_has_info(capsys: pytest.CaptureFixture[str]) -> None:
    for name in [*registry.strategies, *registry.streams]:
        assert call(["info", name]) == 0
        assert "(--set KEY=VALUE)" in capsys.readouterr().out or name == "simplecil"
