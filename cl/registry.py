"""One lazy, typed registry over entry points: strategies, streams, backbones, metrics, loggers and executors.

Names, distributions and summaries are known without importing a single method, so `clbench list` loads no torch.
In a source checkout the built-ins are read from pyproject.toml: a new file plus one line there is enough, no
reinstall.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

from cl import code_hash, paths
from cl.errors import ClbenchError, ContractError, UsageError, did_you_mean
from cl.outline import outline
from cl.source import UNREADABLE, can_be_found, docstring_in, parsed, raised_at, source_path
from cl.tables import read_toml

T = TypeVar("T")

DISTRIBUTION = "clbench"
_PREFIX_ENDS = (":", "/")
_FEW = 20
"""So many names fit a sentence."""
_SUFFIX = "*"  # first character of a family such as "*.toml", which matches every name that ends in ".toml"


class Distribution(NamedTuple):
    """The installed distribution that provides a name, and its version."""

    name: str
    version: str


@dataclass(frozen=True)
class Entry:
    """One registered name: its target and its distribution."""

    name: str
    target: str  # "module:attribute"
    distribution: Distribution
    value: Any = None  # set for names registered at run time

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    @property
    def attribute(self) -> str:
        return self.target.partition(":")[2]


def own_version() -> str:
    """The version of clbench: the checkout's, else the installed distribution's."""
    if paths.CHECKOUT is not None:
        return str(read_toml(paths.CHECKOUT / "pyproject.toml")["project"]["version"])
    from importlib import metadata

    return metadata.version(DISTRIBUTION)


class Registry(Generic[T]):
    """The names of one kind of plugin, found through entry points and loaded on demand."""

    def __init__(self, group: str, kind: str, methods: tuple[str, ...] = ()) -> None:
        self.group = group
        self.kind = kind
        self.broken: dict[str, str] = {}
        """Distributions whose metadata cannot be read, and why; known once names were asked for."""
        self._methods = methods  # what the class of a plugin must have
        self._found: dict[str, list[Entry]] | None = None
        self._registered: dict[str, Entry] = {}

    def names(self) -> list[str]:
        """All names, sorted; prefix families end in ':' or '/'. Imports nothing."""
        return sorted({*self._entries(), *self._registered})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._lookup(name) is not None

    def get(self, name: str) -> T:
        """The object registered under `name`, importing its module.

        Raises `UsageError` for an unknown name or one that two distributions provide, `ClbenchError` when the plugin
        cannot be imported.
        """
        entry = self.entry(name)
        if entry.value is not None:
            return cast(T, entry.value)
        try:
            value: Any = importlib.import_module(entry.module)
            for part in entry.attribute.split("."):
                value = getattr(value, part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # any error at import, SystemExit too, is a bug of the plugin's distribution
            raise ClbenchError(
                f"{self.kind} '{entry.name}' of {' '.join(entry.distribution)} cannot be imported from {entry.target}: "
                f"{type(error).__name__}: {error}."
            ) from error
        lacks = [name for name in self._methods if not hasattr(value, name)]
        if lacks or (self._methods and not isinstance(value, type)):
            is_class = isinstance(value, type)
            what = f"a class without {', '.join(lacks)}" if is_class else f"of type {type(value).__name__}, no class"
            whose = f"{self.kind} '{entry.name}' of {' '.join(entry.distribution)}"
            raise ContractError(f"{whose} is no {self.kind}: {entry.target} is {what}.")
        return cast(T, value)

    def declared(self, name: str, *names: str) -> T:
        """The class registered under `name`, of which only the attributes `names` and the docstring may be used.

        A class of clbench is read from its source file (see `cl.outline`), without the import of torch. A plugin is
        imported, because its import may change what clbench declares. Raises the errors of `get`.
        """
        entry = self.entry(name)
        ours = entry.distribution.name == DISTRIBUTION and entry.module not in sys.modules and entry.value is None
        found = outline(entry.target, names) if ours else None
        return cast(T, found) if found is not None else self.get(name)

    def split(self, name: str) -> tuple[str, str | None]:
        """The registered name and the argument: for a prefix family such as `folder:` the text after it, for a suffix
        family such as `*.toml` the whole text.

        Raises `UsageError` for an unknown name, or for a family without its argument.
        """
        entry = self.entry(name)
        if entry.name.startswith(_SUFFIX):
            return entry.name, name
        if not entry.name.endswith(_PREFIX_ENDS):
            return entry.name, None
        argument = name[len(entry.name) :]
        if not argument:
            raise UsageError(f"{self.kind} '{name}' needs something after it, such as {entry.name}NAME.")
        return entry.name, argument

    def entry(self, name: str) -> Entry:
        """Where `name` is found; raises `UsageError` for an unknown name or one that two distributions provide."""
        candidates = self._lookup(name)
        if candidates is None:
            raise UsageError(f"There is no {self.kind} '{name}'.{self._hint(name)}")
        if len(candidates) > 1:
            owners = " and ".join(" ".join(entry.distribution) for entry in candidates)
            raise UsageError(f"{self.kind.capitalize()} '{name}' is provided by {owners}; uninstall one of them.")
        return candidates[0]

    def _hint(self, name: str) -> str:
        """What to use for an unknown name: a similar one, one of the few there are, or the command that lists all."""
        names = self.names()
        if similar := did_you_mean(name, names):
            return similar
        if len(names) > _FEW:
            return f" `clbench list {self.group.partition('.')[2]}` names all {len(names)}."
        return f" Known: {', '.join(names) or 'none'}."

    def distribution(self, name: str) -> Distribution:
        """Name and version of the distribution that provides `name`; raises `UsageError` as `entry` does."""
        return self.entry(name).distribution

    def summary(self, name: str) -> str:
        """First line of the docstring, read from the source file without importing it; empty if there is none.

        Raises `UsageError` as `entry` does.
        """
        return self.docstring(name).partition("\n")[0].strip()

    def docstring(self, name: str) -> str:
        """The docstring, read from the source file without importing it; raises `UsageError` as `entry` does."""
        entry = self.entry(name)
        if entry.value is not None:
            import inspect

            return inspect.getdoc(entry.value) or ""
        source = source_path(entry.module)
        return docstring_in(source, entry.attribute) if source is not None else ""

    def problem(self, name: str) -> str | None:
        """Why the plugin `name` cannot work, as far as its source tells without importing it; None if nothing is known.

        Raises `UsageError` as `entry` does.
        """
        entry = self.entry(name)
        if entry.value is not None or entry.distribution.name == DISTRIBUTION:
            return None
        if not entry.attribute:
            return f"its entry point '{entry.target}' is not of the form module:class"
        source = source_path(entry.module)
        if source is None:
            return None if can_be_found(entry.module) else f"there is no module {entry.module}"
        try:
            parsed(source)
        except SyntaxError as error:
            return f"{source}, line {error.lineno}: {error.msg}"
        except UNREADABLE as error:
            return f"{source} cannot be read: {error}"
        return None

    def source(self, name: str) -> Path | None:
        """The source file that defines `name`, found without importing it; raises `UsageError` as `entry` does."""
        entry = self.entry(name)
        if entry.value is not None:
            path = getattr(sys.modules.get(entry.module), "__file__", None)
            return Path(path) if path else None
        return source_path(entry.module)

    def source_sha256(self, name: str) -> str | None:
        """Hash of the code that `name` computes with, read without importing it; None if there is no source, or none
        that is Python.

        See `cl.code_hash`. Raises `UsageError` as `entry` does.
        """
        try:
            return self._source_sha256(self.entry(name), name)
        except UNREADABLE:
            return None

    def _source_sha256(self, entry: Entry, name: str) -> str | None:
        if entry.value is None:
            return code_hash.code_sha256(entry.target)
        path = self.source(name)
        if path is not None:
            return code_hash.code_sha256(entry.target, lambda each: path if each == entry.module else source_path(each))
        return code_hash.cells_sha256(entry.value) if isinstance(entry.value, type) else None

    def register(self, name: str, value: T, *, replace: bool = False) -> None:
        """Register an object for this process (notebooks, tests).

        `replace` allows a name that this process has registered, so that a notebook cell can be run again; raises
        `UsageError` if the name is taken.
        """
        if name in self.names() and not (replace and name in self._registered):
            raise UsageError(f"{self.kind.capitalize()} '{name}' exists already; choose another name.")
        module = getattr(value, "__module__", "__main__")
        attribute = getattr(value, "__qualname__", type(value).__name__)
        owner = Distribution("registered at run time", "")
        self._registered[name] = Entry(name, f"{module}:{attribute}", owner, value)

    def unregister(self, name: str) -> None:
        """Remove a name registered for this process; unknown names are ignored."""
        self._registered.pop(name, None)

    def _lookup(self, name: str) -> list[Entry] | None:
        known = {**self._entries(), **{key: [entry] for key, entry in self._registered.items()}}
        if name in known:
            return known[name]
        families = [key for key in known if key.endswith(_PREFIX_ENDS) and name.startswith(key)]
        if not families:
            families = [key for key in known if key.startswith(_SUFFIX) and name.endswith(key[1:])]
        return known[max(families, key=len)] if families else None

    def _entries(self) -> dict[str, list[Entry]]:
        if self._found is None:
            found: dict[str, list[Entry]] = {}
            for entry in _scan(self.group, self.broken):
                found.setdefault(entry.name, []).append(entry)
            self._found = found
        return self._found


def _scan(group: str, broken: dict[str, str]) -> Iterator[Entry]:
    """Entry points of every installed distribution, each distribution once; others are added to `broken`."""
    from importlib import metadata

    seen: set[str] = set()
    if paths.CHECKOUT is not None:
        project = read_toml(paths.CHECKOUT / "pyproject.toml")["project"]
        seen.add(DISTRIBUTION)
        owner = Distribution(DISTRIBUTION, str(project["version"]))
        for name, target in project.get("entry-points", {}).get(group, {}).items():
            yield Entry(name, target, owner)
    for distribution in metadata.distributions():
        try:
            if group not in (distribution.read_text("entry_points.txt") or ""):  # parsing all of them is slow
                continue
            points = [point for point in distribution.entry_points if point.group == group]
            if not points:
                continue
            owner = Distribution(str(distribution.metadata["Name"] or "unnamed"), str(distribution.version or ""))
        except Exception as error:  # metadata is a file that anything may have written
            broken[_place_of(distribution)] = f"its metadata cannot be read ({type(error).__name__}: {error})"
            continue
        if owner.name in seen:  # the same distribution found twice on sys.path: the first one is imported
            continue
        seen.add(owner.name)
        for point in points:
            if point.name:
                yield Entry(point.name, point.value, owner)
            else:
                broken[" ".join(owner)] = f"it has an entry point without a name ({point.value})"


def _place_of(distribution: Any) -> str:
    """The folder of a distribution's metadata, which names it if the metadata cannot."""
    return str(getattr(distribution, "_path", None) or distribution.locate_file(""))


strategies: Registry[Any] = Registry("clbench.strategies", "strategy", ("Options", "learn", "predict"))
streams: Registry[Any] = Registry("clbench.streams", "stream", ("Options", "build"))
backbones: Registry[Any] = Registry("clbench.backbones", "backbone")
metrics: Registry[Any] = Registry("clbench.metrics", "metric", ("compute", "higher_is_better"))
"""Metrics of other packages; `cl.records.metrics.METRICS` has all metrics."""
loggers: Registry[Any] = Registry("clbench.loggers", "logger", ("start", "scalar", "close"))
executors: Registry[Any] = Registry("clbench.executors", "executor", ("execute", "requires"))


def place_in_plugin(error: BaseException) -> str:
    """Where the code of a plugin was when an error was raised, FILE:LINE; "" if no plugin's code was running."""
    running = [os.path.realpath(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    for names in (strategies, streams, backbones, metrics, loggers, executors):
        for entry in (each for candidates in names._entries().values() for each in candidates):
            source = None if entry.distribution.name == DISTRIBUTION else source_path(entry.module)
            if source is not None and os.path.realpath(source) in running:
                return raised_at(error, source)
    return ""
