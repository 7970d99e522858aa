"""A stranger's path: `clbench new`, a wheel, a fresh environment, a run, a check, a row in the leaderboard."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import cl
from cl.loggers.mlflow import allowed
from tests.help import mlflow_files, wandb_files
from tests.help.environments import build, copy_sources, install, make_environment, run, script

pytestmark = [pytest.mark.slow, pytest.mark.skipif(cl.CHECKOUT is None, reason="needs the repository")]

NAME = "streaming-lda"
BACKBONE = "vit_micro_patch4_32.tinyimagenet_distill"
NEW = {
    NAME: ("strategy",),
    "their-trained": ("strategy", "--template", "trained"),
    "their-replay": ("strategy", "--template", "replay"),
    "their-wrapper": ("strategy", "--template", "wrapper"),
    "two-digits": ("stream",),
    "their-metric": ("metric",),
    "their-logger": ("logger",),
}
"""What `clbench new` writes, by name, with its arguments."""

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
        [project.entry-points."clbench.metrics"]
        acme-worst = "acme:Worst"
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

        from cl import MetricPlugin
        from cl.loggers import Logger
        from cl.strategies.simplecil import SimpleCIL
        from cl.streams.digits import SplitDigits
        from timm.models.vision_transformer import VisionTransformer


        class Mean(SimpleCIL):
            '''Class means of Acme.

            Paper: none
            Trains: nothing
            Stores: class means
            Cost: one forward pass per image
            Differences from the paper: none
            '''


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


        class Worst(MetricPlugin):
            '''Errors on the worst task.

            Formula: max_i (1 - R[T,i])
            Source: Acme
            '''

            higher_is_better = False

            def compute(self, matrix):
                last = matrix.accuracy[-1][matrix.evaluated()[-1]] if matrix.steps else []
                return 1 - min(last, default=float("nan"))


        class Lines(Logger):
            "One line per scalar."

            def start(self, run):
                self.lines = (run["folder"] / "acme.txt").open("a")

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
    for name, (kind, *template) in NEW.items():
        run(script(python), "new", kind, name, *template, cwd=folder)
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


@pytest.mark.parametrize("name", NEW)
def test_its_own_tests_pass(python: Path, tmp_path: Path, name: str) -> None:
    passed = {"strategy": 12, "stream": 10, "metric": 6 + 1, "logger": 7 + 1}[NEW[name][0]]
    packages = python.parents[2] / f"clbench-{name}"
    home = {"CLBENCH_HOME": str(tmp_path / "home"), **ALONE}
    shown = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", packages / "tests", cwd=tmp_path, **home)
    assert f"{passed} passed" in shown


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
    assert everything.count("[acme 1.5]") == 5


def test_one_package_with_all_four_doors_is_checked_run_and_ranked(python: Path, tmp_path: Path) -> None:
    """A strategy, a stream, a metric and a logger of one package; W&B and MLflow hold the same curves, offline."""
    clbench, home = script(python), {"CLBENCH_HOME": str(tmp_path / "home"), **ALONE}
    doors = {"acme/mean": "strategy", "acme:4": "stream", "acme-worst": "metric", "acme-lines": "logger"}
    for name, kind in doors.items():
        shown = run(clbench, "check", name, cwd=tmp_path, **home)
        assert f"{kind} '{name}': " in shown and "failed" not in shown.splitlines()[-1], shown
    others = [name for name in ("wandb", "mlflow") if importlib.util.find_spec(name)]
    loggers = ",".join(["acme-lines", *others])
    command = ["run", "-s", "acme/mean,linear-probe", "--stream", "acme:4", "-b", "acme_vit@random"]
    command += ["--set", "stream.train_per_class=7", "--logger", loggers]
    records = [json.loads(line) for line in run(clbench, *command, "--json", "-q", cwd=tmp_path, **home).splitlines()]
    rows = json.loads(run(clbench, "leaderboard", "results", "--metric", "acme-worst", "--json", cwd=tmp_path, **home))
    assert {row["strategy"] for row in rows} == {"acme/mean", "linear-probe"}
    assert rows[0]["rank"] == 1 and rows[0]["mean"] <= rows[1]["mean"], "lower is better"
    assert {row["board"] for row in rows} == {1}
    found = {row["strategy"]: row["mean"] for row in rows}
    for record in records:
        last, count = record["result"]["accuracy"]["cil_seen"]["correct"][-1], record["result"]["count"]
        expected = 1 - min(right / images for right, images in zip(last, count, strict=True))
        assert found[record["result"]["strategy"]["name"]] == pytest.approx(expected)
    assert rows[0]["ci_low"] < rows[0]["mean"] < rows[0]["ci_high"] and rows[0]["drawn"] == "images"
    compared = run(clbench, "compare", "acme/mean", "linear-probe", "--metric", "acme-worst", cwd=tmp_path, **home)
    assert "acme-worst in percent" in compared
    assert "acme-worst" in run(clbench, "metrics", find(tmp_path, "acme.txt")[0].parent, cwd=tmp_path, **home)

    for lines in find(tmp_path, "acme.txt"):
        told: dict[str, list[tuple[int, Any]]] = {}
        for line in lines.read_text().splitlines()[:-1]:
            name, value, step = line.rsplit(" ", 2)
            told.setdefault(name, []).append((int(step), pytest.approx(float(value))))
        assert "metrics/cil_seen/A_last_sample" in told and any(name.startswith("accuracy/") for name in told)
        assert ("loss/task 3/train" in told) == ("linear-probe" in lines.parts)
        if "wandb" in others:
            assert wandb_files.curves(lines.parent) == told
        if "mlflow" in others:
            found_there = mlflow_files.curves(tmp_path / "results" / "mlruns", lines.parent)
            assert found_there == {allowed(name): points for name, points in told.items()}


def find(folder: Path, name: str) -> list[Path]:
    return sorted(folder.rglob(name))
