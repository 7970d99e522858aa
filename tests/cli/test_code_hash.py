"""What marks a method's runs as made by other code: what it computes, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import linecache
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

import cl
from cl import registry
from cl.code_hash import FOLLOWED, code_sha256, modules_sha256
from cl.registry import Registry
from cl.source import source_path

Plugin = Callable[..., Path]
Hashes = dict[str, "str | None"]
OURS = [name for name in registry.strategies if registry.strategies.distribution(name).name == "clbench"]


class Copy:
    """The code of this checkout in another folder, to be edited."""

    def __init__(self, folder: Path) -> None:
        assert cl.CHECKOUT is not None
        self.folder, self.checkout = folder, cl.CHECKOUT
        for name in ("cl", "strategies"):
            shutil.copytree(cl.CHECKOUT / name, folder / name, ignore=lambda at, names: _others(Path(at), names))

    def find(self, module: str) -> Path | None:
        place = module.replace(".", "/")
        for base in (place, place.removeprefix("cl/")):
            for path in (self.folder / f"{base}.py", self.folder / base / "__init__.py"):
                if module.startswith("cl") and path.is_file():
                    return path
        return None

    def edit(self, file: str, old: str, new: str, count: int = 1) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= count, (file, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def hashes(self) -> Hashes:
        return {name: code_sha256(registry.strategies.entry(name).target, self.find) for name in OURS}


def _others(folder: Path, names: list[str]) -> list[str]:
    return [name for name in names if not (name.endswith(".py") or (folder / name).is_dir()) or name == "__pycache__"]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    if cl.CHECKOUT is None:
        pytest.skip("needs a source checkout")
    return Copy(tmp_path / "copy")


@pytest.fixture(scope="module")
def before() -> Hashes:
    return {name: registry.strategies.source_sha256(name) for name in OURS}


def changed(copy: Copy, before: Hashes) -> set[str]:
    after = copy.hashes()
    return {name for name in OURS if before[name] != after[name]}


def test_every_strategy_has_a_hash_of_its_own_wherever_it_lies(copy: Copy, before: Hashes) -> None:
    assert None not in before.values() and len(set(before.values())) == len(OURS) > 30
    assert copy.hashes() == before


def test_modules_that_are_followed_load_no_torch(copy: Copy) -> None:
    import subprocess

    code = "import sys; from cl import registry as r; [r.strategies.source_sha256(n) for n in r.strategies]"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True, cwd=cl.CHECKOUT)


# ------------------------------------------------------------------------------------------- what marks nothing


def test_comments_empty_lines_docstrings_help_and_order_mark_nothing(copy: Copy, before: Hashes) -> None:
    first = "from torch import Tensor, nn\n"
    copy.edit("cl/bases/fine_tuning.py", first, f"# A comment.\n\n\nimport os\n{first}")
    copy.edit("cl/bases/fine_tuning.py", '"""Backbone and one growing linear head', '"""One growing linear head')
    copy.edit("cl/bases/fine_tuning.py", '"epochs per task"', '"passes over " "the images"')
    copy.edit("cl/bases/fine_tuning.py", "epochs: int = option", 'epochs: "int" = option')
    copy.edit("cl/bases/fine_tuning.py", "classes: tuple[int, ...]) -> Tensor:", "classes: 'Sequence[int]'):")
    copy.edit("cl/bases/fine_tuning.py", "o = self.options\n", "o: Any = self.options\n")
    setup = "    def setup(self, info: StreamInfo) -> None:\n"
    moved = "    @property\n    def _memoised(self) -> bool:\n"
    copy.edit("cl/bases/fine_tuning.py", setup, f"    def aaa(self):\n        return 1\n\n{setup}")
    assert "finetune" in changed(copy, before)  # so this file is what is read
    copy.edit("cl/bases/fine_tuning.py", "    def aaa(self):\n        return 1\n\n", "")
    text = (copy.folder / "cl/bases/fine_tuning.py").read_text(encoding="utf-8")
    start = text.index(moved)
    end = text.index("    def _data(self")
    (copy.folder / "cl/bases/fine_tuning.py").write_text(
        text[:start] + text[end:] + "\n" + text[start:end], encoding="utf-8"
    )  # a method at another place
    assert changed(copy, before) == set()


def test_an_empty_line_or_a_comment_in_a_method_marks_nothing(copy: Copy, before: Hashes) -> None:
    path = copy.folder / "strategies/simplecil.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n\n# A comment.\n", encoding="utf-8")
    copy.edit("strategies/simplecil.py", "    def learn(", "\n    # Another.\n    def learn(")
    assert changed(copy, before) == set()
    copy.edit("strategies/simplecil.py", "        return ", "        return 2 * ")
    assert changed(copy, before) == {"simplecil"}


def test_reformatted_files_mark_nothing(copy: Copy, before: Hashes) -> None:
    for path in [*copy.folder.glob("strategies/*.py"), *copy.folder.glob("cl/**/*.py")]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        future = [each for each in body if isinstance(each, ast.ImportFrom) and each.module == "__future__"]
        others = [each for each in body if each not in future]
        others.sort(key=lambda each: isinstance(each, ast.ImportFrom))  # imports last: files need not run
        path.write_text(ast.unparse(ast.Module([*future, *others], [])), encoding="utf-8")
    assert changed(copy, before) == set()


def test_imports_may_be_written_in_any_way(copy: Copy, before: Hashes) -> None:
    copy.edit("strategies/slca.py", "from torch.nn import functional as F\n", "import torch.nn.functional\n")
    copy.edit("strategies/slca.py", "F.cross_entropy", "torch.nn.functional.cross_entropy")
    copy.edit(
        "strategies/slca.py",
        "from cl.parts.statistics import ClassGaussians\n",
        "from cl.parts.statistics import gaussians\n",
    )
    copy.edit("strategies/slca.py", "ClassGaussians(", "gaussians.ClassGaussians(")
    copy.edit(
        "strategies/slca.py", "View, option, sgd\n", "View, option\nfrom cl.training.optim import sgd as descent\n"
    )
    copy.edit("strategies/slca.py", "=sgd(", "=descent(")
    assert changed(copy, before) == set()
    copy.edit("strategies/slca.py", "import torch.nn.functional\n", "import torch.functional\n")
    copy.edit("strategies/slca.py", "torch.nn.functional.", "torch.functional.")
    assert changed(copy, before) == {"slca"}


def test_a_part_may_move_to_another_module(copy: Copy, before: Hashes) -> None:
    (copy.folder / "cl/bases/fine_tuning.py").rename(copy.folder / "cl/bases/tuned.py")
    (copy.folder / "cl/bases/__init__.py").write_text("from .tuned import FineTuning\n")
    (copy.folder / "cl/parts/heads/growing.py").rename(copy.folder / "cl/parts/rows.py")
    copy.edit("cl/parts/heads/__init__.py", "from cl.parts.heads.growing import", "from cl.parts.rows import")
    for path in copy.folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = text.replace("from cl.bases.fine_tuning import", "from cl.bases import")
        path.write_text(
            text.replace("from cl.parts.heads.growing import", "from cl.parts.rows import"), encoding="utf-8"
        )
    assert copy.find("cl.bases.fine_tuning") is None
    assert changed(copy, before) == set()


def test_the_engine_marks_nothing(copy: Copy, before: Hashes) -> None:
    for path in (copy.folder / "cl").rglob("*.py"):
        module = ".".join(path.relative_to(copy.folder).with_suffix("").parts).removesuffix(".__init__")
        if not any(f"{module}.".startswith(f"{name}.") for name in FOLLOWED):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(" + ", " - ").replace("return ", "return 2 * "), encoding="utf-8")
    assert "return 2 * " in (copy.folder / "cl/training/trainer.py").read_text(encoding="utf-8")
    assert changed(copy, before) == set()


# ---------------------------------------------------------------------------------------------- what marks whom


def built_on(module: str, name: str) -> set[str]:
    """The strategies whose class is built on another, by importing them; those of avalanche-lib are built on none."""
    base = getattr(importlib.import_module(module), name)
    return {name for name in OURS if "avalanche" not in name and issubclass(registry.strategies.get(name), base)}


@pytest.mark.parametrize(
    ("module", "name", "old"),
    [
        ("cl.bases.fine_tuning", "FineTuning", "return local_cross_entropy(logits, batch.y, classes)"),
        ("cl.bases.regularized", "Regularized", "return loss if penalty is None else loss + penalty"),
        (
            "cl.bases.prompted",
            "Prompted",
            "return local_cross_entropy(logits, batch.y, classes) + self.extra(queries, task)",
        ),
        ("cl.strategies.hide_prompt", "HiDePrompt", "o = self.options"),
        ("cl.bases.wrapper", "Wrapper", "return self.base.predict(inputs, task)"),
    ],
)
def test_a_base_class_marks_what_is_built_on_it(copy: Copy, before: Hashes, module: str, name: str, old: str) -> None:
    file = str(copy.find(module))
    copy.edit(file, old, f"{old} * 2")
    wanted = built_on(module, name)
    assert changed(copy, before) == wanted and wanted


def test_a_part_marks_its_users(copy: Copy, before: Hashes) -> None:
    copy.edit("cl/parts/losses.py", "def contrastive(", "def contrastive(extra, ")
    assert changed(copy, before) == {"mos", "hide-prompt", "norga"}
    copy.edit("cl/parts/statistics/fisher.py", "def _of_batch(", "def _of_batch(extra, ")  # what the part uses itself
    assert changed(copy, before) == {"mos", "hide-prompt", "norga", "ewc"}


def test_a_constant_and_an_options_default_count(copy: Copy, before: Hashes) -> None:
    copy.edit("strategies/wsn.py", "CHUNK = ", "CHUNK = 2 * ")
    assert changed(copy, before) == {"wsn"}
    copy.edit("strategies/slca.py", "option(256, ", "option(257, ")
    assert changed(copy, before) == {"wsn", "slca"}


def test_a_wrapper_is_no_part_of_its_base_nor_the_base_of_it(copy: Copy, before: Hashes) -> None:
    copy.edit("strategies/finetune.py", "class Finetune(FineTuning):", "class Finetune(FineTuning):\n    extra = 1")
    assert changed(copy, before) == {"finetune", *built_on("cl.strategies.finetune", "Finetune")}
    assert "momentum" not in changed(copy, before)


# ------------------------------------------------------------------------------------------------------- plugins

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


def test_modules_beside_a_method_belong_to_it_and_other_distributions_do_not(plugin: Plugin) -> None:
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


# ------------------------------------------------------------------------------------------ registered at run time


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
