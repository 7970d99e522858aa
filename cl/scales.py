"""Search scales: the values among which `clbench tune` looks for the best of an option.

    lr: float = option(0.01, "learning rate", gt=0, search=scales.log(1e-3, 1e-1))

A scale is part of no result, so the hash of a method's code does not cover it.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from cl.errors import UsageError


class Scale(NamedTuple):
    """Where the values of an option lie: `kind` is "log" or "linear" from `low` to `high`, or "among" the `values`."""

    kind: str
    low: float = 0.0
    high: float = 0.0
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.kind != "among":
            return f"{self.kind}({self.low:.12g}, {self.high:.12g})"
        return f"among({', '.join(map(_text, self.values))})"

    def holds(self, value: Any) -> bool:
        """Whether a value lies on the scale."""
        if self.kind == "among":
            return any(value == each and type(value) is type(each) for each in self.values)
        return isinstance(value, int | float) and self.low <= value <= self.high


def log(low: float, high: float) -> Scale:
    """Values from `low` above 0 to `high`, equally likely in every factor; for rates and weights of losses."""
    return Scale("log", low, high)


def linear(low: float, high: float) -> Scale:
    """Values from `low` to `high`, all equally likely."""
    return Scale("linear", low, high)


def among(*values: Any) -> Scale:
    """One of these values, which have no order."""
    return Scale("among", values=values)


def parse_scale(text: str) -> Scale:
    """A scale from text such as "log(1e-4, 1e-1)"; the values of "among(...)" stay texts.

    A list among the values is in brackets. Raises `UsageError` for anything else.
    """
    found = re.fullmatch(r"\s*(log|linear|among)\s*\((.*)\)\s*", text, re.DOTALL)
    inside = [part.strip() for part in re.findall(r"\[[^\[\]]*\]|[^,\[\]]+", found[2])] if found else []
    inside = [part for part in inside if part]
    if found is None or not inside:
        raise UsageError(f"A scale is log(LOW,HIGH), linear(LOW,HIGH) or among(VALUE,...), not {text[:100]!r}.")
    if found[1] == "among":
        return among(*inside)
    try:
        low, high = map(float, inside)
    except ValueError:
        raise UsageError(f"{found[1]} takes two numbers, such as {found[1]}(1e-4,1e-1), not {text[:100]!r}.") from None
    return Scale(found[1], low, high)


def problem_of(scale: Scale) -> str:
    """What is wrong with a scale, whatever its option; empty if nothing is."""
    if scale.kind == "among":
        return "" if len(scale.values) > 1 else "needs two values or more"
    if not (math.isfinite(scale.low) and math.isfinite(scale.high) and scale.low < scale.high):
        return "needs two finite numbers, the lower one first"
    return "needs numbers above 0" if scale.kind == "log" and scale.low <= 0 else ""


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
