"""A seeded sample of the mutants that cosmic-ray finds in the modules of methods."""

from __future__ import annotations

import random
from pathlib import Path

import click

from tools.mutants.listed import ROOT, Mutant

MODULES = ("strategies", "cl/bases", "cl/parts")

_ANNOTATIONS = "ReplaceBinaryOperator_BitOr_"
"""These operators change only type annotations, such as `int | None`, which nothing evaluates."""


def sample(number: int, seed: int) -> list[Mutant]:
    """Draw mutants from all modules of methods, each with the tests of its own module."""
    try:
        from cosmic_ray.ast import ast_nodes, get_ast_from_path
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator, operator_names
    except ImportError as error:
        raise click.ClickException("a sample needs cosmic-ray: pip install 'clbench[mutants]'.") from error
    known = {name: get_operator(name) for name in operator_names() if _ANNOTATIONS not in name}
    operators = {name: operator() for name, operator in known.items() if not operator.arguments()}
    found: list[tuple[Path, str, int, int]] = []
    for path in _modules():
        nodes = list(ast_nodes(get_ast_from_path(path))) if tests_of(path) else []
        for name, operator in operators.items():
            lines = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
            found += [(path, name, occurrence, line) for occurrence, line in enumerate(lines)]
    mutants = []
    for path, name, occurrence, line in random.Random(seed).sample(found, min(number, len(found))):
        code, place = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        mutated = mutate_code(code, operators[name], occurrence)
        words = f"{place}:{line} {name.removeprefix('core/')}"
        mutants.append(Mutant(words, place, code, mutated, tests_of(path)))
    return mutants


def _modules() -> list[Path]:
    return sorted(path for folder in MODULES for path in (ROOT / folder).rglob("*.py") if path.stem != "__init__")


def tests_of(path: Path) -> tuple[str, ...]:
    """The test files of a module: those that mirror its path, its oracles, and for a method the defaults."""
    relative = path.relative_to(ROOT)
    folder = (
        ROOT / "tests" / (relative.parent if relative.parts[0] == "strategies" else relative.parent.relative_to("cl"))
    )
    mirrored = [folder / f"test_{path.stem}.py", *folder.glob(f"test_{path.stem}_*.py")]
    oracles = [ROOT / "tests" / "oracles" / f"test_{path.stem}.py"]
    defaults = [ROOT / "tests" / "strategies" / "test_defaults.py"] if relative.parts[0] == "strategies" else []
    files = [*sorted(mirrored), *oracles]
    return tuple(file.relative_to(ROOT).as_posix() for file in [*files, *defaults] if file.is_file())
