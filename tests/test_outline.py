"""The outline of a class: what it declares, without the import of its module."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.options import options_of
from cl.outline import outline

NAMES = ("Options", "rules", "settings", "access", "val_fraction", "version")
HEAD = """from __future__ import annotations
import torch
from cl.options import option
from dataclasses import dataclass
"""


@pytest.mark.parametrize("name", sorted(registry.strategies))
def test_the_outline_of_every_method_is_what_its_import_declares(name: str) -> None:
    found, method = outline(registry.strategies.entry(name).target, NAMES), registry.strategies.get(name)
    assert found is not None and found is not method
    assert inspect.getdoc(found) == inspect.getdoc(method)
    assert [getattr(found, key) for key in NAMES[1:]] == [getattr(method, key) for key in NAMES[1:]]
    assert options_of(found.Options) == options_of(method.Options)
    assert [field.name for field in fields(found.Options)] == [field.name for field in fields(method.Options)]


@pytest.fixture
def outlined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Outlines class `M` of a module with this source."""
    monkeypatch.syspath_prepend(tmp_path)

    def outlined(source: str, *names: str) -> Any:
        (tmp_path / "written.py").write_text(HEAD + source)
        return outline("written:M", names)

    return outlined


def test_a_base_class_is_evaluated_without_what_nobody_asked_for(outlined: Any) -> None:
    source = (
        "class Base:\n"
        "    'About it.'\n"
        "    kind, net, other = 'one', torch.ones, 2\n"
        "    def learn(self): torch.ones(1)\n"
        "class M(Base):\n"
        "    steps = {}\n"
    )
    assert outlined(source.format("(1, 2)"), "steps", "kind").kind == "one"
    assert outlined(source.format("(1, Base.other)"), "steps") is None


def test_only_what_is_wanted_is_evaluated(outlined: Any) -> None:
    source = (
        "KINDS = {'one': torch.ones, 'two': lambda x: x}\n"
        "class M:\n"
        "    'About it.'\n"
        "    @dataclass(frozen=True)\n"
        "    class Options:\n"
        "        kind: str | None = option('one', 'a kind', choices=tuple(KINDS))\n"
        "        def __post_init__(self): torch.ones(1)\n"
        "    net = torch.nn.Linear(1, 1)\n"
        "    _one = 1\n"
        "    steps = (_one, 2)\n"
        "    def learn(self): torch.ones(1)\n"
    )
    method = outlined(source, "Options", "steps")
    assert method.__doc__ == "About it." and method.steps == (1, 2)
    kind = options_of(method.Options)["kind"]
    assert (kind.default, kind.constraints, kind.help) == ("one", {"choices": ("one", "two")}, "a kind")
    assert kind.annotation == str | None
    for call in (method.Options, method().learn):
        with pytest.raises(RuntimeError, match="a stub"):
            call()


def test_members_of_an_enumeration_and_an_assigned_docstring_are_kept(outlined: Any) -> None:
    source = (
        "from enum import Enum\n"
        "class Kind(Enum):\n    ONE = 1\n    TWO = 2\n    def twice(self): return 2 * self.value\n"
        "class M:\n    __doc__ = 'Assigned.'\n    steps = tuple(each.value for each in Kind)\n    def f(self): ...\n"
    )
    method = outlined(source, "steps")
    assert (method.steps, method.__doc__) == ((1, 2), "Assigned.")


@pytest.mark.parametrize(
    "source",
    [
        "class M:\n    steps = torch.ones\n",
        "class M:\n    steps = (torch.pi,)\n",
        "class M:\n    steps = len(torch.__version__)\n",
        "class M:\n    steps = sorted(torch.kinds)\n",
        "class M:\n    steps = (1,)\nM.steps = (2,)\n",
        "class M:\n    steps = (1,)\nsetattr(M, 'steps', (2,))\n",
        "class M:\n    steps = (1,)\n    steps += (2,)\n",
        "class M:\n    if torch.ones:\n        steps = (1,)\n",
        "class M:\n    steps = (1,)\nclass M:\n    steps = (2,)\n",
        "K = [1]\nK.append(2)\nclass M:\n    steps = tuple(K)\n",
        "K = {1: 1}\nK[2] = 2\nclass M:\n    steps = tuple(K)\n",
        "if torch.ones:\n    class M:\n        steps = (1,)\n",
        "@torch.compile\nclass M:\n    steps = (1,)\n",
        "class M(torch.nn.Module):\n    steps = (1,)\n",
        "class B:\n    def __init_subclass__(cls): cls.steps = (2,)\nclass M(B):\n    steps = (1,)\n",
        "KINDS = {}\n@kind('a')\ndef f(): pass\nclass M:\n    steps = tuple(KINDS)\n",
        "from dataclasses import field\nclass M:\n    @dataclass\n    class Options:\n"
        "        a: list = field(default_factory=lambda: torch.kinds)\n"
        "    steps = Options\n",
        "class M:\n    steps = property(lambda self: 1)\n",
        "class M:\n    @property\n    def steps(self): return 1\n",
        "def M(): pass\n",
        "M = torch.nn.Module\n",
        "class M(\n",
        "",
    ],
)
def test_what_only_an_import_can_tell_has_no_outline(outlined: Any, source: str) -> None:
    assert outlined(source, "steps") is None


def test_a_plugin_is_imported(plugin: Any) -> None:
    module = (
        "from cl.strategy import Strategy, option\n"
        "from dataclasses import dataclass\n"
        "from cl.training.augment import RECIPES, Recipe\n"
        "RECIPES['swirl'] = Recipe()\n"
        "class Mine(Strategy):\n"
        "    @dataclass(frozen=True)\n"
        "    class Options:\n"
        "        augment: str = option('swirl', 'how', choices=tuple(RECIPES))\n"
        "    def learn(self, view): ...\n"
        "    def predict(self, inputs, task=None): ...\n"
    )
    from cl.training.augment import RECIPES

    try:
        plugin("acme", {"acme_methods": module}, {"clbench.strategies": {"mine": "acme_methods:Mine"}})
        strategies: Any = registry.Registry("clbench.strategies", "strategy")
        method = strategies.declared("mine", "Options")
        assert "swirl" in options_of(method.Options)["augment"].constraints["choices"]
        assert method is sys.modules["acme_methods"].Mine
    finally:
        RECIPES.pop("swirl", None)


def test_the_outline_of_a_method_imports_neither_torch_nor_timm() -> None:
    code = (
        "import sys\n"
        "from cl import registry\n"
        "for name in registry.strategies:\n"
        "    registry.strategies.declared(name, 'Options', 'rules')\n"
        "assert not {'torch', 'timm'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
