"""Source files of modules, found and read without importing anything."""

from __future__ import annotations

import ast
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


def source_path(module: str) -> Path | None:
    """The source file of a module, located as an import would locate it but without running code."""
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
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _find_spec(name: str, path: Any) -> ModuleSpec | None:
    # importlib.util.find_spec would import the parent packages, and a parent may import torch.
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, path) if find is not None else None
        if spec is not None:
            return spec
    return None


def docstring_in(source: Path, attribute: str) -> str:
    """The docstring of a class or function in a source file; empty if it has none."""
    node: ast.AST | None = ast.parse(source.read_text(encoding="utf-8"), filename=str(source))
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
