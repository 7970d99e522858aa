"""The outline of a class: what it declares (docstring, options, rules), evaluated without importing its module.

A method's module imports torch and timm, which takes seconds. Its source file is parsed instead: the class, its bases
and the constants that they name are built from their syntax trees. Functions are left out: each becomes a stub that
raises. Anything that cannot be evaluated so gives no outline, and the caller imports the module.
"""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import sys
from collections.abc import Iterable
from typing import Any

from cl.code_hash import Place, Reader
from cl.source import source_path

_PLAIN = ("cl.options", "cl.protocol", "cl.errors", "cl.scales", "cl.values")
"""Modules of clbench that are imported: they need neither torch nor timm."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_VALUES = (str, int, float, bool, type(None))

_OF_VALUES = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "NamedTuple", "TypedDict"}
"""Base classes that make members of all attributes of a class."""

_DECORATORS = {
    *("abstractmethod", "cache", "cached_property", "classmethod", "contextlib", "contextmanager", "dataclass"),
    *("functools", "lru_cache", "overload", "property", "runtime_checkable", "staticmethod", "torch"),
}
"""Decorators, or their modules, that change nothing but what they decorate."""


class _NotKnown(Exception):
    """Something that only an import can tell."""


class _Opaque:
    """A function, or an object of a library that is not imported. It may be passed on, but not used."""

    def __getattr__(self, name: str) -> _Opaque:
        if name.startswith("__"):  # such as `__mro_entries__` of a base class
            raise AttributeError(name)
        return self

    def __eq__(self, other: object) -> bool:
        raise _NotKnown

    __hash__ = None  # type: ignore[assignment]
    __bool__ = __str__ = __repr__ = __eq__  # type: ignore[assignment]


_OPAQUE = _Opaque()


def outline(target: str, names: Iterable[str]) -> Any:
    """The class at "module:attribute" with the attributes `names` as the import would give them; its methods raise.

    None if that cannot be known without the import.
    """
    module, _, attribute = target.partition(":")
    try:
        built = _Builder(module, frozenset(names)).value(Place(module, attribute))
        known = isinstance(built, type) and all(_is_known(getattr(built, name)) for name in names)
    except Exception:  # of a file that is no Python, or of a stub in a class body: the import shows its own errors
        return None
    return built if known else None


def _is_known(value: Any) -> bool:
    """Whether a value is made of plain values, or a class whose fields are."""
    if isinstance(value, tuple | list):
        return all(map(_is_known, value))
    if isinstance(value, dict):
        return all(map(_is_known, [*value, *value.values()]))
    if isinstance(value, type):
        fields = getattr(value, "__dataclass_fields__", {}).values()
        return all(_is_known_field(field) for field in fields)
    return isinstance(value, _VALUES)


def _is_known_field(field: Any) -> bool:
    default = field.default_factory() if callable(field.default_factory) else field.default
    return not isinstance(field.type, _Opaque) and _is_known([default, dict(field.metadata)])


class _Builder:
    """Evaluates top-level definitions of modules of clbench, each once."""

    def __init__(self, home: str, names: frozenset[str]) -> None:
        self._reader, self._names = Reader(home, source_path), names
        self._values: dict[Place, Any] = {}

    def value(self, place: Place) -> Any:
        """The value of a name of a module; raises `_NotKnown`."""
        place = self._reader.resolve(place)
        if place not in self._values:
            self._values[place] = self._evaluated(place)
        return self._values[place]

    def _evaluated(self, place: Place) -> Any:
        if place.module in _PLAIN or place.module.partition(".")[0] in sys.stdlib_module_names:
            module = importlib.import_module(place.module)
            return getattr(module, place.name) if place.name else module
        found = self._reader.module(place.module)
        if found is None or not place.name:
            return _OPAQUE
        if not all(map(_only_binds, found.statements)):  # which may change what the module has defined
            raise _NotKnown
        statements = found.definitions.get(place.name, [])
        if len(statements) != 1 or place.name in found.imports:
            raise _NotKnown
        return self._run(statements[0], place)

    def _run(self, statement: ast.stmt, place: Place) -> Any:
        if isinstance(statement, _FUNCTIONS):
            return _OPAQUE
        if isinstance(statement, ast.ClassDef):
            statement = self._without_functions(statement, outermost=True)
        tree = ast.fix_missing_locations(ast.Module([statement], []))
        scope: dict[str, Any] = {"__name__": place.module, "__builtins__": builtins}
        for name in _loaded(tree):
            if (value := self._global(name, place)) is not None:
                scope[name] = value
        exec(compile(tree, f"<outline of {place.module}>", "exec", dont_inherit=True), scope)
        return scope[place.name]

    def _global(self, name: str, place: Place) -> Any:
        """The value of a global name of the module of `place`; None for a built-in or a local variable."""
        module = self._reader.module(place.module)
        if module is not None and name != place.name and (name in module.definitions or name in module.imports):
            return self.value(Place(place.module, name))
        return None

    def _without_functions(self, node: ast.ClassDef, *, outermost: bool) -> ast.ClassDef:
        """The class with stubs for functions; of the outermost one only the wanted attributes and what they name."""
        body: list[ast.stmt] = []
        for each in node.body:
            if isinstance(each, _FUNCTIONS):
                body += ast.parse(f"def {each.name}(*_, **__): raise RuntimeError('a stub')").body
            elif isinstance(each, ast.ClassDef):
                body.append(self._without_functions(each, outermost=False))
            elif _only_binds(each):
                body.append(each)
            else:
                raise _NotKnown
        values = {name for base in node.bases for name in _loaded(base)} & _OF_VALUES
        if outermost and not values and any(isinstance(each, _FUNCTIONS) for each in node.body):
            body = self._wanted(body)
        stripped = copy.copy(node)  # the tree is shared with `cl.code_hash`
        stripped.body = body or [ast.Pass()]
        return stripped

    def _wanted(self, body: list[ast.stmt]) -> list[ast.stmt]:
        kept, names = body, {"__doc__", *self._names}
        while True:
            kept = [each for each in body if not (bound := _assigned(each)) or bound & names]
            more = {name for each in kept for name in _loaded(each)} - names
            if not any(_assigned(each) & more for each in body):
                return kept
            names |= more


def _only_binds(statement: ast.stmt) -> bool:
    """Whether a statement only binds plain names, apart from docstrings and imports for type checkers."""
    if isinstance(statement, ast.Assign):
        targets = [each for target in statement.targets for each in getattr(target, "elts", [target])]
        return all(isinstance(each, ast.Name) for each in targets)
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        roots = [next(each for each in ast.walk(one) if isinstance(each, ast.Name)) for one in statement.decorator_list]
        return all(root.id in _DECORATORS for root in roots)
    if isinstance(statement, ast.If):
        return getattr(statement.test, "id", "") == "TYPE_CHECKING" and not statement.orelse
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass)


def _assigned(statement: ast.stmt) -> set[str]:
    """The names that an assignment binds; none for a function, a class or a docstring, which are kept."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return set()
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _loaded(tree: ast.AST) -> list[str]:
    names = (each for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load))
    return list(dict.fromkeys(each.id for each in names))
