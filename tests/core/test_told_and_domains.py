"""Task- and domain-incremental streams through the loop: which rules answer, what is counted, who is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl import protocol
from cl.declared.declaration import parse
from cl.declared.family import Declared
from cl.declared.options import DeclaredOptions
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.records.matrix import matrix_of
from cl.strategies.ewc import EWC
from cl.strategies.finetune import Finetune
from cl.strategies.l2 import L2
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.mos import MOS
from cl.strategies.pred_kd import PredKD
from cl.strategies.replay import Replay
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.wsn import WSN
from cl.stream import Stream
from tests.conftest import make, run

DIGITS = {"reader": "stream", "stream": "split-digits"}


def digits(setting: str, *entries: dict[str, Any], splits: str = "official", **options: Any) -> Stream:
    """Parts of the digits as datasets of a stream, 6 training and 4 test images of each class."""
    content = {"name": "parts", "setting": setting, "size": 8, "splits": splits}
    declared = parse({**content, "datasets": [{**DIGITS, **entry} for entry in entries]}, Path("parts.toml"))

    class Parts(Declared):
        """Parts of the digits."""

        @classmethod
        def declaration(cls, argument: str = "") -> Any:
            return declared

    chosen = DeclaredOptions(**{"train_per_class": 6, "test_per_class": 4, **options})
    return Parts().build(chosen, order_seed=0, data_seed=0)


LOW = {"name": "low", "classes": ["zero", "one", "two"]}
HIGH = {"name": "high", "classes": ["five", "six"]}
SAME = {"name": "same", "classes": ["two", "one", "zero"]}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def test_where_the_task_is_told_one_rule_answers_within_the_task(tmp_path: Path) -> None:
    stream = digits("task-incremental", LOW, HIGH)
    record = run(make(LinearProbe, epochs=2), stream, tmp_path)
    result = record["result"]
    assert list(result["accuracy"]) == ["til_oracle"] and result["stream"]["setting"] == "task-incremental"
    assert result["rows"][0]["task"] == 0 and [row["event"] for row in result["rows"]] == [1, 3]
    assert result["accuracy"]["til_oracle"]["correct"][0][1] is None, "another task is not tested yet"
    matrix = matrix_of(result, "til_oracle")
    assert matrix.learned.tolist() == [0, 1] and matrix.count.tolist() == [12, 8]
    values = result["metrics"]["til_oracle"]
    assert values["LA"] == pytest.approx(np.mean([matrix.accuracy[0, 0], matrix.accuracy[1, 1]]))
    with np.load(tmp_path / "predictions.npz") as found:
        assert set(found["prediction/til_oracle"][0, :12]) <= {0, 1, 2}
        assert set(found["prediction/til_oracle"][1, 12:]) <= {3, 4}


def test_dev_test_has_the_numbers_of_a_run_that_develops(tmp_path: Path) -> None:
    stream = digits("task-incremental", LOW, HIGH, splits="nevis-halves", split="dev_test", test_per_class=3)
    result = run(make(SimpleCIL), stream, tmp_path)["result"]
    assert {row["split"] for row in result["rows"]} == {"dev_test"} and result["split_count"] == {"dev_test": [9, 6]}
    assert matrix_of(result, "til_oracle").count.tolist() == [9, 6]
    assert result["metrics"]["til_oracle"]["LA"] is not None
    with np.load(tmp_path / "predictions.npz") as found:
        assert found["prediction/til_oracle"].shape == (2, 15)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (Finetune, {"epochs": 1}),
        (LinearProbe, {"epochs": 1}),
        (Replay, {"epochs": 1, "memory_size": 6}),
        (EWC, {"epochs": 1}),
        (L2, {"epochs": 1}),
        (SimpleCIL, {}),
    ],
)
def test_domains_are_learned_one_after_the_other(method: Any, options: dict[str, Any], tmp_path: Path) -> None:
    stream = digits("domain-incremental", LOW, SAME)
    assert method.supports("domain-incremental", method.Options(**options))
    result = run(make(method, **options), stream, tmp_path)["result"]
    assert list(result["accuracy"]) == ["dil"]
    matrix = matrix_of(result, "dil")
    assert matrix.learned.tolist() == [0, 1] and matrix.count.tolist() == [12, 12]
    assert np.isnan(matrix.accuracy[0, 1]) and not np.isnan(matrix.accuracy[1]).any()
    assert result["metrics"]["dil"]["F_chaudhry"] is not None


def test_means_over_domains_are_means_over_all_images(learn: Any) -> None:
    one, two = make(SimpleCIL), make(SimpleCIL)
    learn(one, digits("domain-incremental", LOW, SAME), 2)
    learn(two, digits("domain-incremental", LOW), 1)
    assert one.prototypes.shape == two.prototypes.shape
    assert np.allclose(one.prototypes, two.prototypes, atol=1e-6), "the same images twice have the same means"


def test_rules_of_a_setting() -> None:
    declared = ("cil_seen", "til_masked")
    assert protocol.rules_on(declared, "class-incremental") == declared
    assert protocol.rules_on(declared, "task-incremental") == ("til_oracle",)
    assert protocol.rules_on(declared, "domain-incremental") == ("dil",)


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("mos", {}),
        ("wsn", {}),
        ("pred-kd", {}),
        ("ewc", {"accumulate": "convex"}),
        ("momentum", {"base": "ewc", "base.accumulate": "convex"}),
    ],
)
def test_who_cannot_learn_domains_is_refused_by_the_plan(strategy: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"pacs is domain-incremental, which .* cannot learn") as caught:
        make_plan(strategy, "pacs", options=settings)
    assert caught.value.exit_code == 2 and "class-incremental" in str(caught.value)


def test_all_are_right_where_the_task_is_told() -> None:
    for method in (MOS, WSN, PredKD, EWC, SimpleCIL):
        assert method.supports("task-incremental", method.Options())


def test_the_plan_of_a_file_knows_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'name = "mine"\nsetting = "domain-incremental"\nsize = 8\n[[datasets]]\nname = "a"\nreader = "stream"\n'
    Path("mine.toml").write_text(text + 'stream = "split-digits"\n')
    plan = make_plan("simplecil", "mine.toml")
    before = plan.config_hash
    assert plan.stream == str((tmp_path / "mine.toml").resolve()), "it can be resumed from anywhere"
    Path("mine.toml").write_text(text.replace("size = 8", "size = 9") + 'stream = "split-digits"\n')
    assert make_plan("simplecil", "mine.toml").config_hash != before, "another declaration is another run"
    with pytest.raises(UsageError, match=r"There is no stream file .*nothing\.toml"):
        make_plan("simplecil", "nothing.toml")
