"""`clbench new`: what it writes, and what it refuses to write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cl import registry
from cl.cli import call
from cl.cli.commands.new import KINDS, LONGEST, TEMPLATES, package
from cl.errors import UsageError
from cl.plan.presets import load_presets
from cl.registry import Distribution, Entry
from cl.tables import read_toml
from cl.testing import LOGGER_CHECKS, METRIC_CHECKS, STREAM_CHECKS

RULES = "E,F,I,UP,B,SIM,RUF"
ALL = [*(("strategy", template) for template in TEMPLATES), *((kind, None) for kind in KINDS if kind != "strategy")]
"""Every kind with every template of it."""


def written(kind: str, template: str | None, name: str, folder: Path) -> Path:
    chosen = ["--template", template] if template else []
    assert call(["new", kind, name, "--folder", str(folder), *chosen]) == 0
    return folder


@pytest.mark.parametrize(("kind", "template"), ALL)
@pytest.mark.parametrize("name", ["x", "my-own-method-2", "a" * LONGEST])
def test_what_is_written_is_clean_and_says_where_the_class_is(
    kind: str, template: str | None, name: str, tmp_path: Path
) -> None:
    folder = written(kind, template, name, tmp_path / "mine")
    for command in (["check", "--no-cache", "--select", RULES], ["format", "--no-cache", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    project = read_toml(folder / "pyproject.toml")["project"]
    assert project["name"] == f"clbench-{name}"
    module, _, cls = project["entry-points"][f"clbench.{KINDS[kind]}"][name].partition(":")
    assert f"class {cls}" in (folder / "src" / Path(*module.split("."))).with_suffix(".py").read_text()
    assert not [path for path in folder.rglob("*") if path.is_file() and "$" in path.read_text()]


@pytest.mark.parametrize(("kind", "template"), ALL)
def test_the_template_keeps_the_contract(
    kind: str, template: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It passes its own tests; `test_plugin_wheel` runs the slower checks of strategies too."""
    name = f"from-template-{ALL.index((kind, template))}"
    folder = written(kind, template, name, tmp_path / "mine")
    monkeypatch.syspath_prepend(str(folder / "src"))
    names: registry.Registry[object] = getattr(registry, KINDS[kind])
    (target,) = read_toml(folder / "pyproject.toml")["project"]["entry-points"][names.group].values()
    monkeypatch.setitem(names._entries(), name, [Entry(name, target, Distribution("mine", "0.1.0"))])
    quick = {
        "strategy": ["documented", "runs", "declarations", "pure", "frozen", "state-round-trip"],
        "stream": list(STREAM_CHECKS),
        "metric": [*METRIC_CHECKS, "formula"],
        "logger": [*LOGGER_CHECKS, "resumed"],
    }[kind]
    plain = ["-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path)]
    assert pytest.main([*plain, "-k", " or ".join(quick), str(folder / "tests")]) == pytest.ExitCode.OK
    assert f"{len(quick)} passed" in capsys.readouterr().out
    if kind == "strategy":
        (preset,) = load_presets(name)
        assert preset.options and preset.source


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("My-Method", "cannot be a name: use small letters"),
        ("two words", "cannot be a name"),
        ("a/b", "cannot be a name"),
        ("-a", "cannot be a name"),
        ("a" * (LONGEST + 1), f"at most {LONGEST} characters"),
        ("slca", r"There is a strategy 'slca' already \(clbench .*\); choose another name"),
        ("lambda", "'lambda' means something in Python or in the template"),
        ("none", "'none' means something"),
        ("strategy", "'strategy' means something"),
    ],
)
def test_names_that_cannot_be(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        package("strategy", name)


def test_only_a_strategy_has_templates() -> None:
    with pytest.raises(UsageError, match="--template is for a strategy; leave it out for a metric"):
        package("metric", "mine", "replay")
    assert package("strategy", "mine") == package("strategy", "mine", "frozen") != package("strategy", "mine", "replay")
    with pytest.raises(UsageError, match=r"There is a metric 'stability' already \(clbench\)"):
        package("metric", "stability")


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clbench-mine").mkdir()  # an empty folder is as good as none
    assert call(["new", "strategy", "mine", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["folder"] == "clbench-mine" and "pip install --editable clbench-mine" in written["next"]
    assert all((tmp_path / "clbench-mine" / path).is_file() for path in written["files"])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert call(["new", "strategy", "mine"]) == 2
    assert capsys.readouterr().err == (
        "Error: clbench-mine exists and is not an empty folder; choose another with --folder.\n"
    )
    (tmp_path / "file").write_text("")
    assert call(["new", "strategy", "mine", "--folder", "file"]) == 2
    assert before.items() <= {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}.items()
