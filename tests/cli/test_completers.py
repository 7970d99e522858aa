"""What the shell may offer: names, presets and option keys, found without importing a method or torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import cl
from cl import registry
from cl.cli.commands.run import command as run_command
from cl.cli.completers import _fields, _find, _options, complete_key
from cl.options import options_of


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("clbench run --strategy sl", "slca"),
        ("clbench run --strategy finetune,sl", "finetune,slca"),
        ("clbench run --stream split-d", "split-digits"),
        ("clbench li", "list"),
        ("clbench leaderboard --metric F_ch", "F_chaudhry"),
    ],
)
def test_names_complete_in_the_shell(words: str, expected: str) -> None:
    environment = {"_CLBENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    root = Path(cl.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "cl.cli"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": str(root)},
        check=False,
    )
    assert f"plain,{expected}" in done.stdout.splitlines(), done.stderr


def test_a_probe_is_a_pack_at_hand_or_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    (tmp_path / "images").mkdir()
    for name in ("split-birds.npz", "images/split-cats_train.npz", "images/split-cats_test.npz", "dogs.npz"):
        (tmp_path / name).touch()
    probe = next(parameter for parameter in run_command.params if parameter.name == "probe")
    found = [item.value for item in probe.shell_complete(click.Context(run_command), "split-")]
    assert found[:2] == ["split-birds", "split-cats"] and "split-digits" in found and "dogs" not in found


ROOT = Path(cl.__file__).parent.parent


@pytest.mark.parametrize(
    "words",
    ["clbench run -s slca --set l", "clbench run -s slca --preset p", "clbench info s", "clbench run --probe s"],
)
def test_completion_imports_nothing_heavy(words: str) -> None:
    code = (
        "import sys, atexit; from cl.cli import main;"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); main()"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_CLBENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and done.stdout
    assert {"torch", "timm", "avalanche", "pandas", "sklearn"}.isdisjoint(done.stderr.split())


@pytest.mark.parametrize("name", ["finetune", "joint", "linear-probe", "simplecil", "slca"])
def test_keys_read_from_the_source_are_those_of_the_class(name: str) -> None:
    entry = registry.strategies.entry(name)
    found = dict(_options(_find(entry.module, entry.attribute)))
    declared = options_of(registry.strategies.get(name).Options)
    assert found == {key: info.help for key, info in declared.items()}


@pytest.mark.parametrize("name", ["split-digits", "split-cifar100", "folder:", "imagenet-r", "pacs"])
def test_keys_of_streams_are_found_through_imports_and_base_classes(name: str) -> None:
    entry = registry.streams.entry(name)
    assert {key for key, _ in _options(_find(entry.module, entry.attribute))} == set(
        options_of(registry.streams.get(name).Options)
    )


def test_a_source_without_options_gives_none() -> None:
    assert list(_options(_find("no.such.module", "X"))) == []
    assert list(_fields(_find("cl.errors", "NoSuchClass"))) == []


def test_unknown_names_do_not_stop_completion() -> None:
    context: Any = click.Context(run_command)
    context.params = {"strategy": ("nothing", "slca"), "stream": None}
    assert "lr=" in [item.value for item in complete_key(context, run_command.params[0], "l")]
