"""Tests mirror the code: `cl/parts/memory.py` is tested by `tests/parts/test_memory.py`, `strategies/slca.py` by
`tests/strategies/test_slca.py`. A large module may have several files, `test_memory_herding.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"

UNTESTED: dict[str, str] = {}
"""Modules with behaviour that have no test file of their name, and the test that covers them instead."""

ACROSS: dict[str, str] = {
    "docs/test_declare_a_stream_page.py": "a page of the documentation: its example",
    "docs/test_docs.py": "all pages, and the modules of docs/ that make them",
    "docs/test_fidelity.py": "docs/fidelity.py and its page",
    "docs/test_python_api_page.py": "a page of the documentation: its snippets",
    "end_to_end/test_failures.py": "mistakes, broken files and full disks, from the command line to the exit code",
    "end_to_end/test_packaging.py": "wheel, sdist and editable install",
    "test_layout.py": "this file",
}
"""Test files of no single module, and what they test."""


def modules() -> dict[str, Path]:
    """Every module with behaviour by the path of its tests, without `test_` and suffix: `parts/memory`."""
    found = {}
    for folder, prefix in ((ROOT / "cl", ""), (ROOT / "strategies", "strategies/"), (ROOT / "streams", "streams/")):
        for path in sorted(folder.rglob("*.py")):
            module = prefix + path.relative_to(folder).with_suffix("").as_posix().replace("__init__", "init")
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree)):
                found[module] = path
    return found


def test_files() -> dict[str, str]:
    """Every test file, with what it would test by its name: `parts/memory_herding`."""
    files = (path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py")))
    return {path.as_posix(): (path.parent / path.stem.removeprefix("test_")).as_posix() for path in files}


def covers(tested: str, module: str) -> bool:
    return tested == module or tested.startswith(f"{module}_")


@pytest.mark.parametrize("module", sorted(set(modules()) - set(UNTESTED)))
def test_a_module_has_its_test_file(module: str) -> None:
    folder, _, name = module.rpartition("/")
    wanted = f"tests/{folder}/test_{name}.py".replace("//", "/")
    assert any(covers(tested, module) for tested in test_files().values()), f"{modules()[module]} needs {wanted}"


@pytest.mark.parametrize("file", sorted(set(test_files()) - set(ACROSS)))
def test_a_test_file_has_its_module(file: str) -> None:
    assert any(covers(test_files()[file], module) for module in modules()), f"tests/{file} is named for no module"


def test_the_exceptions_are_needed() -> None:
    files, known = test_files(), modules()
    assert not [module for module in UNTESTED if module not in known], "no such module with behaviour"
    assert not [module for module in UNTESTED if any(covers(tested, module) for tested in files.values())]
    assert not [file for file in ACROSS if file not in files]
    assert all(UNTESTED.values()) and all(ACROSS.values()), "an exception needs its reason"
