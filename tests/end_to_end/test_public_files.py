"""Files for the public: workflows, templates, image, recipe and changes name what is there, and agree."""

from __future__ import annotations

import re
from typing import Any

import pytest

import cl
from cl.tables import read_toml
from tests.help.environments import ROOT

yaml = pytest.importorskip("yaml")

CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base", "xxhash": "python-xxhash"}


def project() -> dict[str, Any]:
    table: dict[str, Any] = read_toml(ROOT / "pyproject.toml")["project"]
    return table


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_workflow_runs_what_ci_runs_and_the_declared_versions() -> None:
    jobs = load(".github/workflows/test.yml")["jobs"]
    called = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("exec ")[1].strip()
    assert any(step.get("run", "").startswith(called) for step in jobs["make-test"]["steps"])
    matrix = jobs["versions"]["strategy"]["matrix"]
    pythons = {*matrix["python"], *(each["python"] for each in matrix["include"])}
    assert {"3.10", "3.11", "3.12", "3.13"} == pythons and project()["requires-python"] == ">=3.10"
    assert {each["os"].partition("-")[0] for each in matrix["include"]} == {"ubuntu", "macos", "windows"}
    extras = set(project()["optional-dependencies"])
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {"dev", "test"} == {name for run in steps for name in re.findall(r'"\.\[(\w+)\]"', run)} <= extras
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for run in steps for name in re.findall(r"make ([\w-]+)", run)} <= set(targets)


def test_templates_are_forms() -> None:
    for name in ("bug", "method-or-stream"):
        form = load(f".github/ISSUE_TEMPLATE/{name}.yml")
        assert form["name"] and form["description"] and len({each["id"] for each in form["body"]}) == len(form["body"])


def test_the_recipe_needs_what_the_package_needs() -> None:
    recipe = load("conda/recipe.yaml")
    assert recipe["context"]["version"] == project()["version"]
    needed = {}
    for text in project()["dependencies"]:
        name, least = text.partition(";")[0].split(">=")
        needed[CONDA.get(name, name)] = f">={least.strip()}"
    given = dict(text.split() for text in recipe["requirements"]["run"] if not text.startswith("python "))
    assert given == needed


def test_the_image_copies_what_the_package_is_built_from() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {f"!{name}" for name in copied} == {line for line in kept if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied) and {"cl", "strategies", "streams"} <= set(copied)


def test_hooks_call_what_make_test_calls() -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(BIN)", ".venv/bin")
    (hooks,) = load(".pre-commit-config.yaml")["repos"]
    for hook in hooks["hooks"]:
        if hook["id"] != "ruff-format":  # ruff check finds what it would change only in part
            assert hook["entry"].removesuffix(" --fix") in made


def test_the_newest_changes_are_those_of_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None and newest[1] == project()["version"] == cl.__version__
