"""Hash of the code that a method computes with: its class and every base class and part that it uses.

Source files are parsed, never imported, so torch is not loaded and no code of a plugin runs. Starting from the class,
every name is followed to its definition. The hash covers the set of these definitions as syntax trees. Comments,
docstrings, help texts, search scales, formatting, imports and the class method `work`, which only estimates costs, do
not affect it, nor does the file, the order or the alias of a definition. Code that is chosen at run time (the base of a
wrapper, `getattr`) is not followed.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import NamedTuple

from cl.source import source_path

FOLLOWED = (
    "cl.strategies",
    "cl.bases",
    "cl.parts",
    "cl.avalanche",
    "cl.training.optim",
    "cl.training.augment",
    "cl.training.policies",
)
"""Where the mathematics of methods is. All else, the engine, is versioned with the package and tested bit for bit."""

_OURS = "cl"
_DECLARATIONS = ("option", "nested")  # calls whose second argument is a help text
_UNHASHED = ("help", "search")  # arguments of these that change no result
_INSTALLED = ("site-packages", "dist-packages")  # folders that hold modules of many distributions
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Find = Callable[[str], "Path | None"]  # the source file of a module


class Place(NamedTuple):
    """The target of an import: a name in a module, or the module itself if the name is empty."""

    module: str
    name: str = ""


_GLOBAL = Place("", "global")  # the import of a name that a function declares global

Scope = Mapping[str, "Place | None"]
"""Meaning of names inside functions: the import, or None for a variable."""


def code_sha256(target: str, find: Find = source_path) -> str | None:
    """Hash of the definition at "module:attribute" and of everything that it uses; None if there is no source.

    For a nested class the outermost definition counts; if the module defines no such name, the whole module counts.
    """
    module, _, attribute = target.partition(":")
    try:
        reader = Reader(module, find)
        if reader.module(module) is None:
            return None
        place = reader.resolve(Place(module, attribute.partition(".")[0]))
        return _sha256(reader.reached(place) if reader.defines(place) else reader.whole(module))
    except SyntaxError:  # syntax of another Python version: hash the bytes of the file
        path = find(module)
        return _sha256([repr(path.read_bytes())]) if path is not None else None


def cells_sha256(method: type) -> str | None:
    """The same hash for a class defined in a notebook, with everything that its cells and its bases define or import.

    None if the cells are not known.
    """
    bases = [base for base in method.__mro__ if base.__module__ == method.__module__]
    cells = "\n".join(dict.fromkeys(filter(None, map(_cell, bases))))
    if not cells:
        return None
    try:
        reader = Reader("", source_path, _scan(ast.parse(cells), ""))
    except SyntaxError:
        return _sha256([cells])
    others = [Place(base.__module__, base.__name__) for base in method.__mro__ if base not in bases]
    return _sha256(reader.reached(Place("", method.__name__), *filter(reader.defines, others)))


def _cell(method: type) -> str:
    """The source text of a class without a file, found through its first function; empty if it has none."""
    functions = (each for each in vars(method).values() if isinstance(each, FunctionType))
    return next(("".join(linecache.getlines(each.__code__.co_filename)) for each in functions), "")


def modules_sha256(modules: Iterable[str]) -> str:
    """The same hash over all definitions of these modules; raises `FileNotFoundError` for a module without source."""
    texts: list[str] = []
    for module in modules:
        reader = Reader(module, source_path)
        if reader.module(module) is None:
            raise FileNotFoundError(f"There is no source of {module}.")
        texts += reader.whole(module)
    return _sha256(texts)


def _sha256(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(texts))).encode()).hexdigest()


# --------------------------------------------------------------------------------------------------------- one module


@dataclass(frozen=True)
class _Module:
    """A parsed module: its top-level statements, the statements by the names that they bind, and its imports."""

    package: str  # the package that relative imports are resolved against
    statements: list[ast.stmt]
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Place] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


@lru_cache(maxsize=1024)
def _parsed(path: Path, module: str, changed: int, size: int) -> _Module:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _scan(ast.parse(path.read_bytes(), filename=str(path)), package)


def _scan(tree: ast.Module, package: str) -> _Module:
    found = _Module(package, tree.body)
    for statement in tree.body:
        for name, place in _bound([statement], package):
            if place is None:
                found.definitions.setdefault(name, []).append(statement)
            elif name == "*":
                found.stars.append(place.module)
            else:
                found.imports.setdefault(name, place)
    for statement in tree.body:  # X[key] = value and X.name = value are part of X
        for target in getattr(statement, "targets", ()):
            while isinstance(target, ast.Attribute | ast.Subscript):
                target = target.value
            if isinstance(target, ast.Name) and statement not in found.definitions.get(target.id, [statement]):
                found.definitions[target.id].append(statement)
    return found


def _bound(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, Place | None]]:
    """The names that nodes bind in their own scope, each with its import, or None for any other value."""
    for node in nodes:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield node.name, None
        elif isinstance(node, ast.Global):
            yield from ((name, _GLOBAL) for name in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                yield name, Place(alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join(filter(None, [*parents, node.module]))
            for alias in node.names:
                yield alias.asname or alias.name, Place(module, alias.name)
        elif isinstance(node, (*_COMPREHENSIONS, ast.Lambda)):
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    yield inner.target.id, None
        else:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id, None
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                yield node.name, None
            elif isinstance(node, ast.MatchMapping) and node.rest:
                yield node.rest, None
            yield from _bound(ast.iter_child_nodes(node), package)


# ------------------------------------------------------------------------------------------------ from module to module


class Reader:
    """Finds definitions in the method's own package or folder (`home` is its module) and in `FOLLOWED` modules."""

    def __init__(self, home: str, find: Find, cells: _Module | None = None) -> None:
        self._home, self._find, self._cells = home, find, cells
        self._paths: dict[str, Path | None] = {}
        self._modules: dict[str, _Module | None] = {}

    def path(self, module: str) -> Path | None:
        if module not in self._paths:
            self._paths[module] = self._find(module) if module else None
        return self._paths[module]

    def follows(self, module: str) -> bool:
        """Whether definitions of this module are part of the method."""
        package, home = module.partition(".")[0], self._home.partition(".")[0]
        if package == _OURS:
            return module == self._home or any(f"{module}.".startswith(f"{name}.") for name in FOLLOWED)
        if package == home or home == _OURS or module != package:
            return package == home
        path, own = self.path(module), self.path(self._home)
        return bool(path and own and path.parent == own.parent and path.parent.name not in _INSTALLED)

    def is_ours(self, module: str) -> bool:
        return module.partition(".")[0] == _OURS or self.follows(module)

    def module(self, module: str) -> _Module | None:
        """A module that is followed, or any clbench module, which may re-export names of one; None for any other."""
        if module not in self._modules:
            self._modules[module] = self._cells if module == self._home else None
            path = self.path(module) if self.is_ours(module) else None
            if path is not None:
                status = path.stat()
                self._modules[module] = _parsed(path, module, status.st_mtime_ns, status.st_size)
        return self._modules[module]

    def resolve(self, place: Place, depth: int = 0) -> Place:
        """The place where a name is defined, resolved through re-exports; `place` itself if it is not followed."""
        module = self.module(place.module)
        if not place.name or depth > 20 or (module and place.name in module.definitions):
            return place
        imported = module.imports.get(place.name, place) if module else place
        if imported != place:
            return self.resolve(imported, depth + 1)
        is_package = module.package == place.module if module else self.follows(place.module)
        if is_package and place.module and self.path(inner := f"{place.module}.{place.name}") is not None:
            return Place(inner)
        passed_on = (self.resolve(Place(star, place.name), depth + 1) for star in (module.stars if module else ()))
        return next(filter(self.defines, passed_on), place)

    def defines(self, place: Place) -> bool:
        """Whether the place is a definition that is followed."""
        module = self.module(place.module) if self.follows(place.module) else None
        return module is not None and place.name in module.definitions

    def name(self, place: Place) -> str:
        """The name of a reference: the bare name for followed definitions, with its module for all others."""
        if self.is_ours(place.module):
            return place.name or place.module.rpartition(".")[2]
        return f"{place.module}.{place.name}" if place.name else place.module

    def whole(self, name: str) -> set[str]:
        """All statements of a module and all definitions that they use, as text."""
        module = self.module(name)
        return self._reached([(name, each) for each in module.statements] if module else [])

    def reached(self, *places: Place) -> set[str]:
        """A definition and all definitions that it uses, as text."""
        return self._reached([found for place in places for found in self._statements(place)])

    def _statements(self, place: Place) -> list[tuple[str, ast.stmt]]:
        module = self.module(place.module)
        return [(place.module, each) for each in module.definitions.get(place.name, ())] if module else []

    def _reached(self, todo: list[tuple[str, ast.stmt]]) -> set[str]:
        texts: set[str] = set()
        seen: set[Place] = set()
        while todo:
            name, statement = todo.pop()
            module = self.module(name)
            writer = _Writer(self, name, module.package if module else "")
            texts.add(writer.text(statement, {}))
            todo += [found for place in writer.used - seen for found in self._statements(place)]
            seen |= writer.used
        return texts - {""}


# ------------------------------------------------------------------------------------------------------ one definition


class _Writer:
    """Writes a definition as text that is the same in every Python from 3.10 on, and records the names it uses."""

    def __init__(self, reader: Reader, module: str, package: str) -> None:
        self._reader, self._module, self._package = reader, module, package
        self.used: set[Place] = set()

    def text(self, node: ast.AST, scope: Scope) -> str:
        """A node as text, without parts that compute nothing; empty if nothing remains."""
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass) or _is_docstring(node):
            return ""
        if isinstance(node, ast.Name | ast.Attribute) and (place := self._place(node, scope)):
            if self._reader.defines(place):
                self.used.add(place)
            return f"Name({self._reader.name(place)})"
        if isinstance(node, ast.Name):
            return f"Name({node.id})"
        if isinstance(node, ast.Constant):
            return repr(node.value)
        if isinstance(node, ast.JoinedStr):
            return self._fields(node, scope, values=_merged(node.values))
        if isinstance(node, ast.AnnAssign):
            plain = ast.Assign([node.target], node.value) if node.value else ast.Pass()
            return self.text(plain, scope)
        if isinstance(node, ast.arg):
            return node.arg
        if isinstance(node, ast.Call) and self._called(node.func, scope) in _DECLARATIONS:
            named = [each for each in node.keywords if each.arg not in _UNHASHED]
            return self._fields(node, scope, args=[*node.args[:1], *node.args[2:]], keywords=named)
        if isinstance(node, ast.ClassDef):
            return self._class(node, scope)
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            body = node.body if isinstance(node.body, list) else [node.body]
            inner = {**scope, **_variables(node, self._package)}
            return self._fields(node, scope, body=[], returns=None) + self._list(body, inner)
        if isinstance(node, _COMPREHENSIONS):
            targets = _bound((each.target for each in node.generators), "")
            return self._fields(node, {**scope, **dict(targets)})
        return self._fields(node, scope)

    def _fields(self, node: ast.AST, scope: Scope, **instead: object) -> str:
        """Type and fields of a node without empty fields, which differ between Python versions."""
        written = []
        for name in node._fields:
            value = instead[name] if name in instead else getattr(node, name, None)
            if value is not None and value != [] and name not in ("ctx", "type_comment"):
                written.append(f"{name}={self._value(value, scope)}")
        return f"{type(node).__name__}({', '.join(written)})"

    def _value(self, value: object, scope: Scope) -> str:
        if isinstance(value, list):
            return self._list(value, scope)
        if value is None:  # an argument without a default, as opposed to the constant None
            return "-"
        return self.text(value, scope) if isinstance(value, ast.AST) else repr(value)

    def _list(self, values: Iterable[object], scope: Scope) -> str:
        return f"[{', '.join(filter(None, (self._value(each, scope) for each in values)))}]"

    def _class(self, node: ast.ClassDef, scope: Scope) -> str:
        """A class as text, whatever the order of its methods. Annotations count: options are parsed by them."""
        fields, methods = [], []
        for each in node.body:
            if isinstance(each, _FUNCTIONS):
                methods += [] if _is_estimate(each) else [each]
            elif isinstance(each, ast.AnnAssign):
                fields.append(f"{self._annotation(each.annotation, scope)}: {self.text(each.target, scope)} ")
                fields.append(self.text(each.value, scope) if each.value else "")
            else:
                fields.append(self.text(each, scope))
        methods.sort(key=lambda method: method.name)
        inner = f"[{', '.join(filter(None, fields))}]" + self._list(methods, scope)
        return self._fields(node, scope, body=[]) + inner

    def _annotation(self, node: ast.expr, scope: Scope) -> str:
        if any(isinstance(each, ast.Constant) and isinstance(each.value, str) for each in ast.walk(node)):
            with suppress(SyntaxError):  # Literal["two words"]
                node = ast.parse(ast.unparse(node).replace("'", "").replace('"', ""), mode="eval").body
        return self.text(node, scope)

    def _called(self, node: ast.expr, scope: Scope) -> str:
        place = self._place(node, scope)
        return self._reader.name(place) if place else getattr(node, "id", "")

    def _place(self, node: ast.expr, scope: Scope) -> Place | None:
        """The target of a name or of an attribute of an imported module; None for variables and built-ins."""
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                return None
            if node.id in scope:
                place = scope[node.id]
                return self._reader.resolve(place) if place else None
            place = self._reader.resolve(Place(self._module, node.id))
            return place if place != Place(self._module, node.id) or self._reader.defines(place) else None
        if not isinstance(node, ast.Attribute):
            return None
        place = self._place(node.value, scope)
        if place is None or (place.name and self._reader.is_ours(place.module)):
            return None  # an attribute of an object
        inside = f"{place.module}.{place.name}" if place.name else place.module
        return self._reader.resolve(Place(inside, node.attr))


@lru_cache(maxsize=1 << 14)  # most functions are used by several methods
def _variables(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, package: str) -> dict[str, Place | None]:
    """The names that a function binds, arguments included and globals excluded."""
    body = node.body if isinstance(node.body, list) else [node.body]
    bound = list(_bound(body, package))
    found = {each.arg: None for each in ast.walk(node.args) if isinstance(each, ast.arg)} | dict(bound)
    return {name: place for name, place in found.items() if (name, _GLOBAL) not in bound}


def _is_estimate(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method is `Strategy.work`, which no run calls."""
    return method.name == "work" and any(getattr(each, "id", "") == "classmethod" for each in method.decorator_list)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _merged(parts: Iterable[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with constants merged; Python versions split its constant text differently."""
    merged: list[ast.expr] = []
    for part in parts:
        text = part.value if isinstance(part, ast.Constant) else None
        before = merged[-1].value if merged and isinstance(merged[-1], ast.Constant) else None
        if isinstance(text, str) and isinstance(before, str):
            merged[-1] = ast.Constant(before + text)
        elif text != "":
            merged.append(part)
    return merged
