"""`clbench completion`: the scripts of the shells, and completion in a real bash, as readline would ask for it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.cli import call

ROOT = Path(cl.__file__).parent.parent
needs_bash = pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash")

CASES = [
    ("clbench compl", ["completion"]),
    ("clbench run -s sl", ["slca", "slca-pp", "slda", "slm"]),
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
    ("clbench config -s sl", ["slca", "slca-pp", "slda", "slm"]),
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
