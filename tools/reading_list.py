"""How much to read to understand a method: files, lines of code, and imported modules of `cl`.

    python tools/reading_list.py [CHECKOUT]

Counts the definitions of the method's own file and the definitions that they use in base classes and parts. The
contract (`cl.strategy` and its re-exports) is the same for all methods and is not counted. Lines of code exclude
imports, docstrings, comments, blank lines and `Options`.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import defaultdict
from functools import cache
from pathlib import Path

READ = ("cl.bases", "cl.parts", "cl.strategies", "cl.avalanche")
"""Packages that contain the mathematics of methods."""

READ_BEFORE = tuple(
    f"cl.{name}"
    for name in ("tuning", "regularized", "prompting", "first_session", "per_task", "wrapping", "unlabelled")
)
"""The corresponding modules in version 0.1.0."""

NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def source(root: Path, module: str) -> Path | None:
    """The file of a module in a checkout."""
    place = module.replace(".", "/")
    for base in (place, place.removeprefix("cl/")):
        for path in (root / f"{base}.py", root / base / "__init__.py"):
            if path.is_file():
                return path
    return None


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(root: Path, path: Path) -> dict[str, tuple[str, str]]:
    """Imports of a file from `cl`, by local name: the module, and a name in it (empty: the module itself)."""
    found = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cl":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = (inner, "") if source(root, inner) else (str(node.module), alias.name)
                found[alias.asname or alias.name] = place
    return found


def definitions(path: Path) -> dict[str, ast.stmt]:
    """Top-level classes, functions and constants of a file."""
    found: dict[str, ast.stmt] = {}
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                found[target.id] = node
    return found


def reached(root: Path, path: Path) -> dict[Path, set[ast.stmt]]:
    """Definitions to read, by file: the method's own, and those that they use in base classes and parts."""
    found: dict[Path, set[ast.stmt]] = defaultdict(set)
    todo = [(path, name) for name in definitions(path)]
    while todo:
        file, name = todo.pop()
        node = definitions(file).get(name)
        if node is None:  # re-exported from another file, as in `__init__`
            module, inner = imports(root, file).get(name, ("", ""))
            target = source(root, module) if is_read(module) else None
            todo += [(target, each) for each in ([inner] if inner else definitions(target))] if target else []
        elif node not in found[file]:
            found[file].add(node)
            names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} - {name}
            known = {*definitions(file), *imports(root, file)}
            todo += [(file, each) for each in names & known]
    return {file: nodes for file, nodes in found.items() if nodes}


def is_read(module: str) -> bool:
    """Whether a module contains the mathematics of methods."""
    return any(f"{module}.".startswith(f"{each}.") for each in READ + READ_BEFORE)


def code_lines(path: Path, nodes: set[ast.stmt]) -> int:
    """Lines of code of some definitions of a file."""
    skipped: set[int] = set()
    for node in ast.walk(parsed(path)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or (isinstance(node, ast.ClassDef) and node.name == "Options"):
            assert isinstance(node, ast.Expr | ast.ClassDef) and node.end_lineno is not None
            skipped.update(range(node.lineno, node.end_lineno + 1))
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    code = {line for t in tokens if t.type not in NO_CODE for line in range(t.start[0], t.end[0] + 1)}
    return sum(len((code - skipped) & set(range(node.lineno, (node.end_lineno or 0) + 1))) for node in nodes)


def main() -> None:
    """Print a row per strategy file, and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().checkout.resolve()
    rows = []
    for path in sorted((root / "strategies").glob("[a-z]*.py")):
        files = reached(root, path)
        lines = {file: code_lines(file, nodes) for file, nodes in files.items()}
        modules = {module for module, _ in imports(root, path).values()}
        rows.append((path.stem, len(files), sum(lines.values()), lines[path], len(modules)))
    print(f"{'strategy':20} {'files':>6} {'lines':>6} {'own':>6} {'modules':>8}")
    for name, *numbers in rows:
        print(f"{name:20} {numbers[0]:6} {numbers[1]:6} {numbers[2]:6} {numbers[3]:8}")
    means = [sum(column) / len(rows) for column in list(zip(*rows, strict=True))[1:]]
    print(f"{'mean':20} {means[0]:6.1f} {means[1]:6.0f} {means[2]:6.0f} {means[3]:8.1f}")


if __name__ == "__main__":
    main()
