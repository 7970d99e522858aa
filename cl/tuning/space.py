"""What is searched: options of a method, and of one that it wraps, with a scale of their own or one of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cl import registry
from cl.errors import UsageError, did_you_mean
from cl.options import OptionInfo, fitting, options_of
from cl.plan.grids import Declared
from cl.scales import Scale, parse_scale

DIGITS = 5
"""Significant digits of a value that is proposed, so that files and commands show the very value."""


@dataclass(frozen=True)
class Space:
    """Scales by option key, in order. Values of the study are plain: a list among the values is known by its text."""

    scales: Mapping[str, Scale]

    def distributions(self) -> dict[str, Any]:
        """The same as distributions of Optuna."""
        return {key: _distribution(scale) for key, scale in self.scales.items()}

    def options(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """The values of options for values of the study."""
        return {key: _of_study(scale, plain[key]) for key, scale in self.scales.items()}

    def plain(self, options: Mapping[str, Any]) -> dict[str, Any] | None:
        """Values of the study for values of options; None unless all of them lie on the scales."""
        if any(key not in options or not scale.holds(options[key]) for key, scale in self.scales.items()):
            return None
        return {key: _plain(options[key]) for key in self.scales}

    def about(self) -> dict[str, str]:
        """The scales as text."""
        return {key: str(scale) for key, scale in self.scales.items()}


def bases_of(strategy: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The method that a wrapper wraps, and the one which that wraps, by the keys that name them: `base`, `base.base`.

    `values` are those of a plan, by option key. Empty for a method that is no wrapper.
    """
    found: dict[str, str] = {}
    key, method = "base", strategy
    while any(info.nested == "base" for info in options_of(registry.strategies.get(method).Options).values()):
        method = found[key] = values[key]
        key = f"base.{key}"
    return found


def declared_by(strategy: str, bases: Mapping[str, str]) -> dict[str, OptionInfo]:
    """The options of a method by key, with those of the methods that it wraps: `base.lr`."""
    methods = {"": strategy, **{f"{key}.": base for key, base in bases.items()}}
    return {
        prefix + key: info
        for prefix, method in methods.items()
        for key, info in options_of(registry.strategies.get(method).Options).items()
    }


def space_of(
    strategy: str, stream: str, *, searches: Mapping[str, str], options: Mapping[str, str] | None = None,
    bases: Mapping[str, str] | None = None,
) -> Space:  # fmt: skip
    """The scales of a method: those it declares for options that `options` leaves open, and `searches` in their place.

    `bases` are the methods that a wrapper wraps, see `bases_of`; what they declare is searched too. Raises `UsageError`
    for an unknown option, a scale that does not fit it, and if nothing is left to search.
    """
    options, bases = options or {}, bases or {}
    declared = declared_by(strategy, bases)
    found = {key: info.search for key, info in declared.items() if info.search is not None and key not in options}
    fixed = {key: fitting(scale, declared[key], key) for key, scale in found.items()}
    declarations = Declared(strategy, stream, {**options, **bases}, {})
    for key, text in searches.items():
        if key in options:
            raise UsageError(f"{key} is given by --set and by --search; choose one.")
        if key.startswith("stream."):
            raise UsageError(f"--search {key}: the stream is what trials are judged on; set its options with --set.")
        info = declarations.find(key)
        if info is None or info.nested is not None:
            hint = did_you_mean(key, list(declared)) or f" `clbench info {strategy}` shows them."
            raise UsageError(f"--search: {strategy} has no option '{key}'.{hint}")
        fixed[key] = fitting(parse_scale(text), info, key)
    if not fixed:
        raise UsageError(f"{strategy} declares no search scale; give one, such as --search 'lr=log(1e-4,1e-1)'.")
    return Space(fixed)


def _distribution(scale: Scale) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if scale.kind == "among":
        return CategoricalDistribution([_plain(value) for value in scale.values])
    if isinstance(scale.low, int) and isinstance(scale.high, int):
        return IntDistribution(scale.low, scale.high, log=scale.kind == "log")
    return FloatDistribution(float(scale.low), float(scale.high), log=scale.kind == "log")


def _of_study(scale: Scale, plain: Any) -> Any:
    if scale.kind == "among":
        return next(value for value in scale.values if _plain(value) == plain and type(_plain(value)) is type(plain))
    if isinstance(plain, int):
        return plain
    return min(max(float(f"{plain:.{DIGITS}g}"), float(scale.low)), float(scale.high))


def _plain(value: Any) -> Any:
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value
