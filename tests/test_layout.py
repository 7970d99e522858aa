"""Tests mirror the code: `cl/parts/memory.py` is tested by `tests/parts/test_memory.py`, `strategies/slca.py` by
`tests/strategies/test_slca.py`. A large module may have several files, `test_memory_herding.py`.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"

UNTESTED: dict[str, str] = {
    "tools/built_tree": "tests/tools/test_typecheck.py and test_lint_imports_script.py, which run scripts that use it",
}
"""Modules with behaviour that have no test file of their name, and the test that covers them instead."""

UNTESTED_FOLDERS: dict[str, str] = {
    "data/releases/": "tests/data/releases/test_init.py, which reads the miniature of every release",
    "tools/miniatures/datasets/": "the same: it writes every miniature",
}
"""Folders of such modules."""

ACROSS: dict[str, str] = {
    "docs/test_notebook.py": "the notebook in docs/notebooks",
    "docs/test_declare_a_stream_page.py": "a page of the documentation: its example",
    "docs/test_claims_page.py": "docs/claims.py and its page",
    "docs/test_docs.py": "all pages, and the modules of docs/ that make them",
    "docs/test_walks.py": "README and guides: their commands, run in their order",
    "docs/test_paper_page.py": "docs/paper.py and its page",
    "docs/test_fidelity.py": "docs/fidelity.py and its page",
    "docs/test_your_own_images_page.py": "a page of the documentation: its commands",
    "docs/test_python_api_page.py": "a page of the documentation: its snippets",
    "end_to_end/test_failures.py": "mistakes, broken files and full disks, from the command line to the exit code",
    "end_to_end/test_standard_streams.py": "standard streams on miniatures, from the command line to the leaderboard",
    "end_to_end/test_plugin_wheel.py": "a package made by `clbench new`, installed from its wheel",
    "end_to_end/test_packaging.py": "wheel, sdist and editable install",
    "end_to_end/test_public_files.py": "workflows, templates, image and recipe",
    "strategies/test_defaults.py": "the defaults of all methods",
    "strategies/test_image_pipelines.py": "the presets of all methods: how images are cropped, resized and normalised",
    "strategies/test_search_scales.py": "the search scales of all methods, and the presets that were chosen from them",
    "strategies/test_remembered_images.py": "all methods with a memory: its bytes, and no image outside it",
    "test_layout.py": "this file",
    "end_to_end/test_checkout.py": "committed runs: their size and their predictions",
    "end_to_end/test_gpu.py": "benchmarks/gpu, on the CPU",
    "end_to_end/test_precision.py": "accuracies of runs in bf16 and in fp32",
    "end_to_end/test_multi_label.py": "images with several classes, from the command line to figures",
    "end_to_end/test_kill.py": "a run that is killed anywhere and started again: fits, journal, checkpoint and loop",
    "end_to_end/test_version_0_1_0.py": "files of an earlier version",
    "end_to_end/test_strategy_contract_page.py": "a page of the documentation: its example and its tables",
}
"""Test files of no single module, and what they test."""

FOLDERS_ACROSS: dict[str, str] = {
    "oracles": "methods against numbers that their official code computed",
    "benchmarks": "the programs in benchmarks/: that they compute what they say; no test asserts a time",
}
"""Folders of such files."""


@cache
def modules() -> dict[str, bool]:
    """Every module by the path of its tests without `test_`, such as `parts/memory`, and whether it has behaviour."""
    found = {}
    for folder, prefix in (("cl", ""), ("strategies", "strategies/"), ("streams", "streams/"), ("tools", "tools/")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = prefix + path.relative_to(ROOT / folder).with_suffix("").as_posix().replace("__init__", "init")
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found[module] = any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
    return found


@cache
def files_of_tests() -> dict[str, str]:
    """Every test file, with the module that it tests by its name or a longer one: `parts/memory_herding`."""
    files = (path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py")))
    return {path.as_posix(): (path.parent / path.stem.removeprefix("test_")).as_posix() for path in files}


def covers(tested: str, module: str) -> bool:
    return tested == module or tested.startswith(f"{module}_")


def test_every_module_with_behaviour_has_its_test_file() -> None:
    tested = files_of_tests().values()
    wanted = {module for module, behaves in modules().items() if behaves} - set(UNTESTED)
    wanted = {module for module in wanted if module.endswith("/init") or not module.startswith(tuple(UNTESTED_FOLDERS))}
    missing = sorted(module for module in wanted if not any(covers(each, module) for each in tested))
    assert not missing, f"add tests/FOLDER/test_NAME.py for {', '.join(missing)}"


def test_every_test_file_is_named_for_a_module() -> None:
    files = {file: tested for file, tested in files_of_tests().items() if file not in ACROSS}
    files = {file: tested for file, tested in files.items() if file.partition("/")[0] not in FOLDERS_ACROSS}
    stray = sorted(file for file, tested in files.items() if not any(covers(tested, module) for module in modules()))
    assert not stray, f"rename {', '.join(stray)}, or list what it tests in ACROSS"


def test_the_exceptions_are_needed() -> None:
    files = files_of_tests()
    assert not [module for module in UNTESTED if not modules().get(module)], "no such module with behaviour"
    assert not [module for module in UNTESTED if any(covers(tested, module) for tested in files.values())]
    assert not [file for file in ACROSS if file not in files]
    assert not [folder for folder in FOLDERS_ACROSS if not (TESTS / folder).is_dir()]
    assert all(any(module.startswith(folder) for module in modules()) for folder in UNTESTED_FOLDERS)
    exceptions = (UNTESTED, UNTESTED_FOLDERS, ACROSS, FOLDERS_ACROSS)
    assert all(reason for each in exceptions for reason in each.values()), "an exception needs its reason"
