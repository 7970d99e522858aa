"""Source files of modules, found and read without importing anything."""

from __future__ import annotations

import ast
import os
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


def source_path(module: str) -> Path | None:
    """The source file of a module, located as an import would locate it but without running code."""
    spec = _spec_of(module)
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin and origin.endswith(".py") else None


def can_be_found(module: str) -> bool:
    """Whether an import would find the module, also if it has no source file."""
    return module in sys.modules or _spec_of(module) is not None


def _spec_of(module: str) -> ModuleSpec | None:
    path: Any = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        loaded = sys.modules.get(name)
        if loaded is not None and depth < len(parts):
            path = getattr(loaded, "__path__", None)
        else:
            spec = _find_spec(name, path)
            if spec is None:
                return None
            path = spec.submodule_search_locations
    return spec


def _find_spec(name: str, path: Any) -> ModuleSpec | None:
    # importlib.util.find_spec would import the parent packages, and a parent may import torch.
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(name, path) if find is not None else None
        except (ImportError, OSError, ValueError, AttributeError):  # of a finder of another package, or a strange name
            continue
        if spec is not None:
            return spec
    return None


UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)
"""What reading and parsing a source file may raise: no access, no Python, a wrong encoding, a NUL, deep nesting."""


def parsed(source: Path) -> ast.Module:
    """The syntax tree of a source file in its own encoding; raises one of `UNREADABLE`."""
    return ast.parse(source.read_bytes(), filename=str(source))


def docstring_in(source: Path, attribute: str) -> str:
    """The docstring of a class or function in a source file; empty if it has none, or if the file is no Python."""
    try:
        node: ast.AST | None = parsed(source)
    except UNREADABLE:
        return ""
    for part in attribute.split("."):
        body = getattr(node, "body", [])
        node = next(
            (
                item
                for item in body
                if isinstance(item, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and item.name == part
            ),
            None,
        )
    return (ast.get_docstring(node) or "") if isinstance(node, ast.ClassDef | ast.FunctionDef) else ""


def raised_at(error: BaseException, own: Path | None) -> str:
    """Where an error was raised, file:line: the last place in the file `own`, else in its package, else anywhere.

    If code of another file raised it, called from there, that place follows in brackets.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    last = frames[-1]
    where = last
    if own is not None:
        file = os.path.realpath(own)
        folder = os.path.dirname(file) + os.sep
        in_package = os.path.isfile(folder + "__init__.py")
        mine = [each for each in frames if os.path.realpath(each.filename) == file]
        near = [each for each in frames if in_package and os.path.realpath(each.filename).startswith(folder)]
        where = (mine or near or [last])[-1]
    found = f"{where.filename}:{where.lineno}"
    return found if where is last else f"{found} (which called {last.filename}:{last.lineno})"
