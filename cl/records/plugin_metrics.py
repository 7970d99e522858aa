"""Metrics of other packages, found through the entry-point group `clbench.metrics`, next to those of clbench.

A metric of a plugin is computed when a record is read, never while a run writes one: what is installed cannot change
the hash of a result. Everything that keeps computed values has `Metrics.code_of` in its key.
"""

from __future__ import annotations

import inspect
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np

from cl import registry
from cl.errors import ClbenchError, ContractError, UsageError, sentence
from cl.records.matrix import AccuracyMatrix
from cl.records.metric import INPUTS, Metric
from cl.source import raised_at

log = logging.getLogger("clbench")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*(/[A-Za-z0-9][A-Za-z0-9_.+-]*)?")
_SECTION = re.compile(r"^(Formula|Source):(.*(?:\n(?!\w+:).+)*)", re.MULTILINE)
_PROCESS = uuid.uuid4().hex


class MetricPlugin:
    """A metric: a subclass with a docstring, `higher_is_better` and `compute`, registered under `clbench.metrics`.

    The name is that of its entry point, or `name` of `registry.metrics.register`. The first line of the docstring says
    what it measures; `Formula:` and `Source:` begin sections that `clbench info` shows. It is created without
    arguments.
    """

    higher_is_better: ClassVar[bool]
    """Whether a higher value is better; leaderboards rank by it."""

    unit: ClassVar[str] = ""
    """Empty for a fraction, which tables show in percent; else the unit, and tables show the value as it is."""

    lowest: ClassVar[float] = 0.0
    """The lowest value; `clbench check` compares it with values."""

    highest: ClassVar[float] = 1.0
    """The highest value; infinite without a bound."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Further arguments of `compute`, from `cl.records.metric.INPUTS`; the metric is undefined where one is missing."""

    setting: ClassVar[str] = ""
    """The only setting that the metric is defined for, a name of `cl.protocol`; empty for all."""

    smooth: ClassVar[bool] = True
    """Whether a small change of the counts changes the value. False for a rounded value or a share of tasks above a
    threshold: its intervals then resample seeds only, because test images have no share in it."""

    def compute(self, matrix: AccuracyMatrix, **inputs: Any) -> float:
        """The value for the accuracy matrix of one prediction rule; NaN where it is undefined.

        A pure function: it reads no files, draws no random numbers and changes none of its arguments.
        """
        raise NotImplementedError


class Metrics(Mapping[str, Metric]):
    """Every metric by name: those of clbench in the order of display, then those of plugins that can be used.

    A plugin that cannot be used is left out when all are asked for, with one warning; asked for by name, it raises the
    reason as a `ClbenchError`.
    """

    def __init__(self, built_in: Mapping[str, Metric]) -> None:
        self.built_in = built_in
        self._made: dict[str, tuple[Any, Metric]] = {}

    def __getitem__(self, name: str) -> Metric:
        found = self.built_in.get(name)
        if found is not None:
            return found
        if name not in registry.metrics:
            raise KeyError(name)
        plugin = registry.metrics.get(name)
        if name not in self._made or self._made[name][0] is not plugin:  # a notebook may register it again
            self._made[name] = plugin, _metric_of(name, plugin)
        return self._made[name][1]

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in registry.metrics

    def __iter__(self) -> Iterator[str]:
        return iter([*self.built_in, *self._usable()])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def code_of(self, name: str) -> str:
        """What the values of a metric depend on, apart from clbench: the plugin's version and the hash of its code.

        Empty for a metric of clbench. A plugin without source text gets a key of this process: nothing kept is found.
        """
        if name in self.built_in or name not in registry.metrics:
            return ""
        entry = registry.metrics.entry(name)
        source = registry.metrics.source_sha256(name) or f"{_PROCESS} {id(entry.value)}"
        return f"{' '.join(entry.distribution)} {entry.target} {source}"

    def code_of_all(self) -> str:
        """The same for all metrics of plugins."""
        return "\n".join(f"{name} {self.code_of(name)}" for name in registry.metrics if not _is_doubled(name))

    def _usable(self) -> list[str]:
        found = []
        for name in registry.metrics:
            try:
                if name in self.built_in:
                    raise UsageError(f"{_owned(name)} has the name of a metric of clbench and is not used; rename it.")
                self[name]
            except ClbenchError as error:
                _warn(f"Left out: {sentence(error)}")
            else:
                found.append(name)
        return found


def _is_doubled(name: str) -> bool:
    try:
        registry.metrics.entry(name)
    except UsageError:  # two distributions provide it: it is left out
        return True
    return False


def sections(doc: str) -> tuple[str, dict[str, str]]:
    """The first line of a docstring without its full stop, and its sections `Formula` and `Source` in one line each."""
    title = doc.partition("\n")[0].strip().rstrip(".")
    return title, {match[1]: " ".join(match[2].split()) for match in _SECTION.finditer(doc)}


def _owned(name: str) -> str:
    return f"metric '{name}' of {' '.join(registry.metrics.distribution(name)).strip()}"


def _metric_of(name: str, plugin: Any) -> Metric:
    """The metric of a registered class; raises `ContractError` if its declarations cannot be used."""

    def refuse(what: str) -> None:
        raise ContractError(f"{_owned(name)} cannot be used: {what}.")

    if not _NAME.fullmatch(name):
        refuse("a name has letters, digits and . _ + - only, and at most one slash")
    if not isinstance(plugin.higher_is_better, bool):
        refuse("higher_is_better must be True or False")
    declared = {key: getattr(plugin, key, getattr(MetricPlugin, key)) for key in _DECLARED}
    for key, kinds in _DECLARED.items():
        if not isinstance(declared[key], kinds) or isinstance(declared[key], bool) != (kinds is bool):
            refuse(f"{key} is {declared[key]!r}")
    if unknown := [need for need in declared["needs"] if need not in INPUTS]:
        refuse(f"needs names {unknown[0]!r}, which is none of {', '.join(INPUTS)}")
    title, text = sections(inspect.getdoc(plugin) or "")
    return Metric(
        id=name,
        title=title,
        formula=text.get("Formula", ""),
        source=text.get("Source", ""),
        higher_is_better=plugin.higher_is_better,
        compute=partial(_computed, name, _created(name, plugin).compute),
        recorded=False,
        plugin=True,
        **declared,
    )


_DECLARED: dict[str, Any] = {
    **{"unit": str, "lowest": (int, float), "highest": (int, float)},
    **{"needs": tuple, "setting": str, "smooth": bool},
}
"""What a plugin may declare, with the types."""


def _created(name: str, plugin: Any) -> Any:
    try:
        return plugin()
    except Exception as error:  # code of a plugin: anything may come out of it
        raise _failure(name, error) from error


def _computed(name: str, compute: Callable[..., Any], matrix: AccuracyMatrix, **inputs: Any) -> float:
    """The value as a float; raises `ClbenchError` with the place for whatever the plugin's code raises."""
    try:
        return float(compute(matrix, **inputs))
    except Exception as error:
        raise _failure(name, error) from error


def _failure(name: str, error: Exception) -> ClbenchError:
    place = raised_at(error, registry.metrics.source(name))
    return ClbenchError(
        f"{_owned(name)} failed with {type(error).__name__}: {error}, raised at {place}; correct it "
        f"(`clbench check {name}` helps) or uninstall it."
    )


def value_or_none(metric: Metric, matrix: AccuracyMatrix, inputs: Mapping[str, Any]) -> float:
    """The value of one of all metrics: what fails in a plugin is NaN, with one warning."""
    try:
        return float(metric.compute(matrix, **inputs))
    except ClbenchError as error:
        if not metric.plugin:
            raise
        _warn(f"Undefined: {sentence(error)}")
        return float(np.nan)


@lru_cache(maxsize=256)
def _warn(text: str) -> None:
    log.warning(text)
