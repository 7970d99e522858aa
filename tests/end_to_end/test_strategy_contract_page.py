"""The page "The strategy contract": its example keeps the contract, and its tables name what the class has."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cl
from cl import registry, strategy
from cl.errors import Incompatible
from cl.plan.plan import make_plan
from cl.stream import ImageSet, View
from cl.testing import check_strategy

PAGE = (Path(__file__).parents[2] / "docs" / "strategy-contract.md").read_text(encoding="utf-8")
QUICK = {"stream.train_per_class": 12, "stream.test_per_class": 6}


HEADER = """
from dataclasses import dataclass
import torch
from torch import nn
from torch.nn import functional as F
from cl.strategy import *
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the class that the page shows, as a registered strategy."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if block.startswith("class "))
    path = tmp_path_factory.mktemp("page") / "careful_head.py"
    path.write_text(HEADER + code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("careful_head", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "careful_head", module)
        spec.loader.exec_module(module)
        registry.strategies.register("careful-head", module.CarefulHead)
        yield "careful-head"
        registry.strategies.unregister("careful-head")


def test_the_example_keeps_the_contract(example: str) -> None:
    check_strategy(example)


def test_the_example_runs_where_it_says(example: str, tmp_path: Path) -> None:
    held = cl.run(example, "split-digits", options=QUICK, results=tmp_path).record
    free = cl.run(example, "split-digits", options={**QUICK, "hold": 0}, results=tmp_path).record
    with pytest.raises(Incompatible, match="is online, which careful-head cannot learn"):
        make_plan(example, "split-digits", setting="online")
    assert make_plan(example, "split-digits", setting="online", options={"hold": 0}).options.hold == 0
    assert held["measurement"]["report"]["importance_sum"] > 0
    assert held["result"]["accuracy"] != free["result"]["accuracy"]


def test_its_tables_name_what_there_is() -> None:
    def rows(heading: str) -> set[str]:
        section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        return {name for cell in cells for name in re.findall(r"`(?:self\.)?(\w+)", cell)}

    declared = rows("What you declare")
    assert declared == {name for name, kind in strategy.Strategy.__annotations__.items() if "ClassVar" in str(kind)} - {
        name for name in strategy.Strategy.__annotations__ if name.startswith("_")
    }
    given = rows("What you call")
    known = set(dir(strategy.Strategy)) | set(strategy.Strategy.__annotations__) | {"backbone"}
    assert given <= known and {"fit", "compute", "encode", "batches", "rng", "draws"} <= given
    assert rows("What you implement") - {"setup", "learn", "predict"} <= {name for name in dir(View)} | set(
        View.__annotations__
    )
    assert {"labels", "pixels", "subset"} <= set(dir(ImageSet))
