"""A stranger's path: `clbench new`, a wheel, a fresh environment, a run, a check, a row in the leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

import cl
from tests.help.environments import build, copy_sources, install, make_environment, run, script

pytestmark = [pytest.mark.slow, pytest.mark.skipif(cl.CHECKOUT is None, reason="needs the repository")]

NAME = "streaming-lda"
BACKBONE = "vit_micro_patch4_32.tinyimagenet_distill"
ALONE = {"CLBENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

ACME = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools>=64"]
        build-backend = "setuptools.build_meta"
        [project]
        name = "acme"
        version = "1.5"
        [project.entry-points."clbench.strategies"]
        "acme/mean" = "acme:Mean"
        [project.entry-points."clbench.streams"]
        "acme:" = "acme:Acme"
        [project.entry-points."clbench.backbones"]
        acme_vit = "acme:acme_vit"
        [project.entry-points."clbench.loggers"]
        acme-lines = "acme:Lines"
        [tool.setuptools]
        packages = ["acme"]
        package-data = {"*" = ["presets/*/*.toml"]}
        """,
    "acme/presets/acme/mean.toml": """
        [[preset]]
        stream = "acme:*"
        source = "acme"
        options.stream.train_per_class = 7
        """,
    "acme/__init__.py": """
        from dataclasses import replace

        from cl.loggers import Logger
        from cl.strategies.simplecil import SimpleCIL
        from cl.streams.digits import SplitDigits
        from timm.models.vision_transformer import VisionTransformer


        class Mean(SimpleCIL):
            "Class means of Acme."


        class Acme(SplitDigits):
            "Digits in as many tasks as is said after the colon."

            def build(self, options, *, argument="", **more):
                return super().build(replace(options, tasks=int(argument), increment=None), **more)


        def acme_vit(pretrained=False, num_classes=0, **settings):
            "A small ViT of Acme, which timm does not know."
            shape = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}
            model = VisionTransformer(num_classes=num_classes, **shape)
            model.pretrained_cfg = {"input_size": (3, 8, 8)}
            return model


        class Lines(Logger):
            "One line per scalar."

            def start(self, run):
                self.lines = (run["folder"] / "acme.txt").open("w")

            def scalar(self, name, value, step):
                print(name, value, step, file=self.lines)

            def close(self, status):
                print(status, file=self.lines)
                self.lines.close()
        """,
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheels of clbench, of what `clbench new` writes, and of Acme."""
    folder = tmp_path_factory.mktemp("stranger")
    python = make_environment(folder / "environment")

    def install_wheel(sources: Path) -> None:
        install(python, *build(sources, tmp_path_factory.mktemp("dist"), "--wheel").glob("*.whl"))

    install_wheel(copy_sources(folder / "repository"))
    for kind, name in (("strategy", NAME), ("stream", "two-digits")):
        run(script(python), "new", kind, name, cwd=folder)
        install_wheel(folder / f"clbench-{name}")
    install_wheel(write(folder / "acme", ACME))
    return python


def test_from_new_to_a_row_of_the_leaderboard(python: Path, tmp_path: Path) -> None:
    clbench = script(python)
    (listed,) = json.loads(run(clbench, "list", "strategies", NAME, "--json", cwd=tmp_path))
    assert listed["distribution"] == f"clbench-{NAME} 0.1.0" and listed["summary"].startswith("Class means compared")

    home = {"CLBENCH_HOME": str(tmp_path / "home"), **ALONE}
    command = ["run", "-s", f"{NAME},simplecil", "--stream", "split-digits", "--json", "-q"]
    mine, simplecil = (json.loads(line) for line in run(clbench, *command, cwd=tmp_path, **home).splitlines())
    assert mine["status"] == "complete" and mine["result"]["strategy"]["distribution"] == f"clbench-{NAME} 0.1.0"
    assert mine["result"]["strategy"]["preset"] == "default"
    assert mine["result"]["config"]["shrinkage"] == {"value": 0.003, "origin": f"preset {NAME}#1"}
    assert mine["result"]["metrics"]["cil_seen"]["A_last_sample"] > 0.9
    assert simplecil["result"]["backbone"]["name"] == mine["result"]["backbone"]["name"] == BACKBONE

    board = run(clbench, "leaderboard", "results", cwd=tmp_path)
    cells = [[cell.strip() for cell in line.split("|")] for line in board.splitlines() if line.startswith("|")]
    assert [row[1:3] for row in cells if row[2] in (NAME, "simplecil")] == [["1", NAME], ["2", "simplecil"]]
    assert "12 passed" in run(clbench, "check", NAME, cwd=tmp_path, **home)


@pytest.mark.parametrize(("name", "checks"), [(NAME, 12), ("two-digits", 10)])
def test_its_own_tests_pass(python: Path, tmp_path: Path, name: str, checks: int) -> None:
    packages = python.parents[2] / f"clbench-{name}"
    home = {"CLBENCH_HOME": str(tmp_path / "home"), **ALONE}
    shown = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", packages / "tests", cwd=tmp_path, **home)
    assert f"{checks} passed" in shown


def test_the_stream_of_the_template_is_a_stream(python: Path, tmp_path: Path) -> None:
    assert "stream 'two-digits': 10 passed." in run(script(python), "check", "two-digits", cwd=tmp_path, **ALONE)


def test_every_kind_of_plugin_works_from_a_wheel(python: Path, tmp_path: Path) -> None:
    clbench, home = script(python), {"CLBENCH_HOME": str(tmp_path / "home"), **ALONE}
    command = ["run", "-s", "acme/mean", "--stream", "acme:4", "-b", "acme_vit@random", "--logger", "acme-lines"]
    record = json.loads(run(clbench, *command, "--json", "-q", cwd=tmp_path, **home))
    assert record["result"]["stream"]["n_tasks"] == 4 and record["result"]["backbone"]["dim"] == 16
    assert record["result"]["config"]["stream.train_per_class"] == {"value": 7, "origin": "preset acme/mean#1"}
    (lines,) = tmp_path.rglob("acme.txt")
    *scalars, status = lines.read_text().splitlines()
    last = record["result"]["metrics"]["cil_seen"]["A_last_sample"]
    assert f"metrics/cil_seen/A_last_sample {last} 4" in scalars and status == "complete"
    everything = run(clbench, "list", cwd=tmp_path)
    for name in ("acme/mean", "acme:", "acme_vit", "acme-lines"):
        assert name in everything
    assert everything.count("[acme 1.5]") == 4
