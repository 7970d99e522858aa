"""The strategies that are killed: one of every family."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from cl import bases, registry
from cl.strategy import Strategy
from tools.soak.families import FAMILIES
from tools.soak.kills import METHODS


def test_every_family_has_one_that_is_killed() -> None:
    found = {}
    for path in Path(bases.__file__).parent.glob("[!_]*.py"):
        module = importlib.import_module(f"cl.bases.{path.stem}")
        own = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
        found[path.stem] = tuple(each for each in own if issubclass(each, Strategy))
    assert set(FAMILIES) == {name for name, classes in found.items() if classes}
    for family, scenario in FAMILIES.items():
        assert issubclass(registry.strategies.get(scenario.strategy), found[family]), family
        assert scenario in METHODS.values()
