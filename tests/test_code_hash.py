"""What marks a strategy's runs as made by other code: what it computes, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

import cl
from cl import registry
from cl.code_hash import FOLLOWED, code_sha256

pytestmark = pytest.mark.usefixtures("isolated")

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


def test_every_strategy_has_a_hash_of_its_own_in_any_folder(copy: Copy, before: Hashes) -> None:
    assert None not in before.values() and len(set(before.values())) == len(OURS) > 30
    assert copy.hashes() == before


def test_modules_that_are_followed_load_no_torch(copy: Copy) -> None:
    import subprocess

    code = "import sys; from cl import registry as r; [r.strategies.source_sha256(n) for n in r.strategies]"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True, cwd=cl.CHECKOUT)


def test_comments_empty_lines_docstrings_help_and_order_keep_the_hash(copy: Copy, before: Hashes) -> None:
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


def test_what_a_method_says_of_its_costs_is_no_part_of_the_hash(copy: Copy, before: Hashes) -> None:
    said = "    @classmethod\n    def work(cls, options: Any, task: TaskSize) -> Work:\n"
    copy.edit("cl/bases/replayed.py", said, f"{said}        print(Memory, task)\n")
    assert changed(copy, before) == set()
    copy.edit("cl/bases/replayed.py", said, "    def work(self, options: Any, task: TaskSize) -> Work:\n")
    assert "replay" in changed(copy, before)  # a method of that name computes something


def test_where_an_option_is_searched_is_no_part_of_the_hash(copy: Copy, before: Hashes) -> None:
    copy.edit("strategies/slca.py", ", search=scales.log(1e-3, 1e-1)", "", count=2)
    copy.edit("strategies/mos.py", "search=scales.log(1e-3, 1.0)", "search=scales.among(0.1, 1.0)")
    assert changed(copy, before) == set()
    copy.edit("strategies/mos.py", '0.1, "weight of the contrastive term"', '0.2, "weight of the contrastive term"')
    assert changed(copy, before) == {"mos"}


def test_an_empty_line_or_a_comment_in_a_method_keeps_the_hash(copy: Copy, before: Hashes) -> None:
    path = copy.folder / "strategies/simplecil.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n\n# A comment.\n", encoding="utf-8")
    copy.edit("strategies/simplecil.py", "    def learn(", "\n    # Another.\n    def learn(")
    assert changed(copy, before) == set()
    copy.edit("strategies/simplecil.py", "        return ", "        return 2 * ")
    assert changed(copy, before) == {"simplecil"}


def test_reformatted_files_keep_the_hash(copy: Copy, before: Hashes) -> None:
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
    copy.edit("strategies/slca.py", "    sgd,\n)\n", ")\nfrom cl.training.optim import sgd as descent\n")
    copy.edit("strategies/slca.py", "=sgd(", "=descent(")
    assert changed(copy, before) == set()
    copy.edit("strategies/slca.py", "import torch.nn.functional\n", "import torch.functional\n")
    copy.edit("strategies/slca.py", "torch.nn.functional.", "torch.functional.")
    assert changed(copy, before) == {"cofima", "slca", "slca-pp"}


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


def test_a_change_of_the_engine_keeps_every_hash(copy: Copy, before: Hashes) -> None:
    for path in (copy.folder / "cl").rglob("*.py"):
        module = ".".join(path.relative_to(copy.folder).with_suffix("").parts).removesuffix(".__init__")
        if not any(f"{module}.".startswith(f"{name}.") for name in FOLLOWED):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(" + ", " - ").replace("return ", "return 2 * "), encoding="utf-8")
    assert "return 2 * " in (copy.folder / "cl/training/trainer.py").read_text(encoding="utf-8")
    assert changed(copy, before) == set()


def built_on(module: str, name: str) -> set[str]:
    """The strategies built on a class, found by importing them; strategies of avalanche-lib are built on none."""
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
def test_a_change_of_a_base_class_changes_the_hashes_of_what_is_built_on_it(
    copy: Copy, before: Hashes, module: str, name: str, old: str
) -> None:
    file = str(copy.find(module))
    copy.edit(file, old, f"{old} * 2")
    wanted = built_on(module, name)
    assert changed(copy, before) == wanted and wanted


def test_a_change_of_a_part_changes_the_hashes_of_its_users(copy: Copy, before: Hashes) -> None:
    copy.edit("cl/parts/losses.py", "def contrastive(", "def contrastive(extra, ")
    assert changed(copy, before) == {"mos", "hide-prompt", "norga"}
    copy.edit("cl/parts/statistics/fisher.py", "def _of_batch(", "def _of_batch(extra, ")  # what the part uses itself
    assert changed(copy, before) == {"cofima", "dp-hypernetwork", "mos", "hide-prompt", "norga", "ewc", "mas"}


def test_a_constant_and_an_options_default_count(copy: Copy, before: Hashes) -> None:
    copy.edit("cl/parts/weights/mask_coding.py", "PAPER_RATE = ", "PAPER_RATE = 2 * ")
    assert changed(copy, before) == {"wsn"}
    copy.edit("strategies/slca.py", "option(256, ", "option(257, ")
    assert changed(copy, before) == {"cofima", "wsn", "slca", "slca-pp"}


def test_a_wrapper_and_its_base_have_separate_hashes(copy: Copy, before: Hashes) -> None:
    copy.edit("strategies/finetune.py", "class Finetune(FineTuning):", "class Finetune(FineTuning):\n    extra = 1")
    assert changed(copy, before) == {"finetune", *built_on("cl.strategies.finetune", "Finetune")}
    assert "momentum" not in changed(copy, before)
