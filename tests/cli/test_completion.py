"""Completion in a real bash, as readline would ask for it, and what the shells' scripts and completers are made of."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import cl
from cl import registry
from cl.cli import call
from cl.cli.commands.run import command as run_command
from cl.cli.completers import _fields, _find, _options, complete_key
from cl.options import options_of

ROOT = Path(cl.__file__).parent.parent
needs_bash = pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash")

CASES = [
    ("clbench compl", ["completion"]),
    ("clbench run -s sl", ["slca"]),
    ("clbench run -s slca,jo", ["slca,joint"]),
    ("clbench run -s slca --stream split-d", ["split-digits"]),
    ("clbench run -s slca --stream = split-d", ["split-digits"]),  # how readline splits --stream=split-d
    ("clbench run --stream fold", ["folder:"]),
    ("clbench run -s slca --set ca_l", ["ca_lr="]),
    ("clbench run -s slca,finetune --set slca.ca_l", ["slca.ca_lr="]),
    ("clbench run -s slca --backbone test_vit,vit_micro", ["test_vit,vit_micro_patch4_32"]),
    ("clbench run -s slca --existing skip", ["skip-running"]),
    ("clbench run -s slca --preset pi", ["pilot"]),
    ("clbench info split-d", ["split-digits"]),
    ("clbench info F_ch", ["F_chaudhry"]),
    ("clbench data wh", ["where"]),
    ("clbench data get cifar", ["cifar10", "cifar100"]),
    ("clbench cache clean dec", ["decoded"]),
    ("clbench config -s sl", ["slca"]),
    ("clbench run -s nothing-like-it", []),
]


@needs_bash
def test_bash_completes(tmp_path: Path) -> None:
    program = tmp_path / "clbench"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cl.cli "$@"\n')
    program.chmod(0o755)
    lines = ['eval "$(clbench completion bash)"', "complete -p clbench"]
    for words, _ in CASES:
        count = len(words.split()) - 1
        lines.append(f"COMP_WORDS=({words}); COMP_CWORD={count}; COMPREPLY=()")
        lines.append('_clbench_completion_bash clbench; echo "${COMPREPLY[@]}"')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0 and done.stderr == ""
    declared, *replies = done.stdout.splitlines()
    assert "-F _clbench_completion_bash" in declared
    assert [reply.split() for reply in replies] == [expected for _, expected in CASES]


@pytest.mark.parametrize(
    ("shell", "expected"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef clbench"), ("fish", "complete ")]
)
def test_every_shell_gets_its_script(shell: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["completion", shell]) == 0
    assert expected in capsys.readouterr().out
    assert call(["completion", "--help"]) == 0
    assert f"clbench completion {shell}" in capsys.readouterr().out


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["completion", "csh"]) == 2
    assert "bash" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["clbench run -s slca --set l", "clbench run -s slca --preset p", "clbench info s"])
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


def test_a_source_that_says_nothing_gives_nothing() -> None:
    assert list(_options(_find("no.such.module", "X"))) == []
    assert list(_fields(_find("cl.errors", "NoSuchClass"))) == []


def test_names_that_do_not_exist_are_no_reason_to_fail() -> None:
    context: Any = click.Context(run_command)
    context.params = {"strategy": ("nothing", "slca"), "stream": None}
    assert "lr=" in [item.value for item in complete_key(context, run_command.params[0], "l")]
