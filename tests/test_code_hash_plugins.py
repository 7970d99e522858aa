"""The code hash of plugins, of modules, and of classes registered at run time."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from cl.code_hash import modules_sha256
from cl.registry import Registry
from cl.source import source_path

pytestmark = pytest.mark.usefixtures("isolated")

Plugin = Callable[..., Path]

METHOD = """
    from __future__ import annotations
    raise RuntimeError("imported")
    from cl import Strategy, option
    from .losses import loss as criterion, scale
    import acme_pkg.tables as tables

    SIZES = {"a": 1}
    SIZES["b"] = 2

    class Method(Strategy):
        '''A method.'''
        rate: float = option(0.5, "the rate")

        def learn(self, view, scale=scale):
            unused = 1
            return f"{criterion(view)}" f"{unused:>{SIZES['a']}}" + tables.NAMES[0]
"""
LOSSES = """
    def loss(x):
        unused = [2 * each for each in x]
        return [helper(aside) for aside in unused]
    def aside(x): return x
    def helper(x): return x
    def unused(x): return x
    scale = 1
"""


def acme(plugin: Plugin, name: str, **edits: tuple[str, str]) -> str | None:
    """Hash of the method with some text replaced, by file."""
    sources = {"methods": METHOD, "losses": LOSSES, "tables": 'NAMES = ["x"]\n', "__init__": ""}
    for file, (old, new) in edits.items():
        assert old in sources[file]
        sources[file] = sources[file].replace(old, new)
    modules = {f"{name}.{file}": dedent(text).replace("acme_pkg", name) for file, text in sources.items()}
    plugin(name, modules, {"clbench.strategies": {name: f"{name}.methods:Method"}})
    found = Registry[object]("clbench.strategies", "strategy").source_sha256(name)
    assert name not in sys.modules
    return found


def test_a_plugin_is_followed_through_its_own_package_without_being_imported(plugin: Plugin) -> None:
    usual = acme(plugin, "acme_0")
    # the same in every Python, and whatever the package is called
    assert usual == "58adc1d1f47d56fedac152942b0aa8e928166a9676cc483c55c4fe02a94fc8af"
    same = [
        ("losses", "def unused(x): return x", "def unused(x): return 2 * x"),
        ("losses", "def aside(x): return x", "def aside(x): return 2 * x"),
        ("methods", '"the rate"', '"a rate"'),
    ]
    for number, (file, old, new) in enumerate(same):
        assert acme(plugin, f"acme_same{number}", **{file: (old, new)}) == usual, new
    other = [
        ("losses", "def helper(x): return x", "def helper(x): return 2 * x"),
        ("losses", "scale = 1", "scale = 2"),
        ("tables", '"x"', '"y"'),
        ("methods", 'SIZES["b"] = 2', 'SIZES["b"] = 3'),
        ("methods", "0.5", "0.6"),
        ("methods", "rate: float", "rate: int"),
        ("methods", "from cl import Strategy, option", "from cl import option\n    from torch import Strategy"),
    ]
    found = [acme(plugin, f"acme_other{number}", **{file: (old, new)}) for number, (file, old, new) in enumerate(other)]
    assert len({usual, *found}) == len(other) + 1


def test_modules_next_to_a_method_belong_to_it_and_other_distributions_do_not(plugin: Plugin) -> None:
    def make(distribution: str, mine: int, theirs: int) -> str | None:
        plugin(f"their-{distribution}", {f"their_{distribution}": f"def far(): return {theirs}\n"}, {})
        source = (
            "from my_parts_{0} import near\nfrom their_{0} import far\nclass A:\n    def f(self): return near(far())\n"
        )
        parts = f"def near(): return {mine}\n"
        modules = {f"mine_{distribution}": source.format(distribution), f"my_parts_{distribution}": parts}
        plugin(distribution, modules, {"clbench.strategies": {distribution: f"mine_{distribution}:A"}})
        return Registry[object]("clbench.strategies", "strategy").source_sha256(distribution)

    one, other, near = make("one", 1, 1), make("two", 1, 2), make("six", 2, 1)
    assert one is not None and near != one
    assert other != one  # which distribution it is from
    path = source_path("their_one")
    assert path is not None
    path.write_text("def far(): return 55\n")
    assert Registry[object]("clbench.strategies", "strategy").source_sha256("one") == one


def test_what_cannot_be_found_or_parsed_is_hashed_whole(plugin: Plugin) -> None:
    made = "A = 1\nglobals()['Made'] = type('Made', (), {})  # made at import\n"
    modules = {
        "made": made,
        "broken": "class A(:\n",
        "made2": made.replace("# made", "# or"),
        "made3": made + "B = 2\n",
    }
    plugin("odd", modules, {"clbench.strategies": {name: f"{name}:Made" for name in (*modules, "absent")}})
    found = Registry[object]("clbench.strategies", "strategy")
    hashes = {name: found.source_sha256(name) for name in (*modules, "absent")}
    assert hashes["made"] == hashes["made2"] and hashes["absent"] is None
    assert len({*hashes.values()}) == 4


def test_modules_are_hashed_whole_without_their_comments(plugin: Plugin) -> None:
    plugin("tables", {"table_a": "X = 1\n", "table_b": "# X\nX = 1\n", "table_c": "X = 2\n"}, {})
    assert modules_sha256(["table_a"]) == modules_sha256(["table_b"]) != modules_sha256(["table_c"])
    with pytest.raises(FileNotFoundError, match="no source of table_d"):
        modules_sha256(["table_d"])


def load(path: Path, text: str) -> ModuleType:
    path.write_text(dedent(text))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def loaded() -> Iterator[None]:
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith("runtime_"):
            del sys.modules[name]


@pytest.mark.usefixtures("loaded")
def test_a_class_registered_from_a_file_is_found_in_it(tmp_path: Path) -> None:
    text = "def helper():\n    return 1\nclass Mine:\n    def learn(self): return helper()\nclass Other:\n    pass\n"
    names: Registry[object] = Registry("clbench.strategies", "strategy")

    def sha(text: str) -> str | None:
        names.register("mine", load(tmp_path / "runtime_mine.py", text).Mine, replace=True)
        return names.source_sha256("mine")

    first = sha(text)
    assert first is not None and sha(f"# a comment\n{text}class Third: pass\n") == first
    assert sha(text.replace("return 1", "return 2")) != first

    class Local:
        """In this very file, within a function."""

    names.register("local", Local)
    assert names.source_sha256("local") not in (None, first)


def test_a_class_of_a_notebook_is_hashed_from_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.bases.fine_tuning import FineTuning

    notebook = ModuleType("runtime_notebook")  # without a file, as __main__ is there
    monkeypatch.setitem(sys.modules, "runtime_notebook", notebook)
    names: Registry[object] = Registry("clbench.strategies", "strategy")
    vars(notebook)["FineTuning"] = FineTuning

    def run(number: int, text: str) -> None:
        cell = f"<cell {number}>"
        linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
        exec(compile(text, cell, "exec"), vars(notebook))

    def sha() -> str | None:
        names.register("mine", vars(notebook)["Mine"], replace=True)
        return names.source_sha256("mine")

    base = "class Base(FineTuning):\n    def setup(self, info): return 1\n"
    mine = "class Mine(Base):\n    def learn(self, view): return 1\n"
    run(1, base)
    run(2, mine)
    first = sha()
    run(3, f"# again\n\n{mine}print")
    assert first is not None and sha() == first
    run(4, mine.replace("1", "2"))
    second = sha()
    run(5, base.replace("1", "2"))
    run(6, mine)
    third = sha()
    assert len({first, second, third}) == 3
    monkeypatch.setattr("cl.code_hash.source_path", lambda module: None)  # our base class is in the hash as well
    assert sha() not in (None, third)
