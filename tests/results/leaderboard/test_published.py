"""Published numbers: the file is sound, and a run stands beside a number only where weights and protocol agree."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.errors import ClbenchError, ContractError
from cl.options import options_of
from cl.plan.presets import load_presets
from cl.results.leaderboard import published as module
from cl.results.leaderboard.published import TAGS, Number, absent, published, published_for

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference" / "split-cifar100"
RECORD = REFERENCE / "slca" / "vit_micro_patch4_32.tinyimagenet_distill" / "b87cea79" / "seed1993" / "record.json"
IN21K = "vit_base_patch16_224.augreg_in21k"


@pytest.fixture
def result() -> dict[str, Any]:
    """SLCA on ten tasks of CIFAR-100 with its preset, as if with the paper's weights."""
    found: dict[str, Any] = copy.deepcopy(json.loads(RECORD.read_text(encoding="utf-8"))["result"])
    found["backbone"]["name"] = IN21K
    return found


@pytest.fixture
def fresh() -> Iterator[None]:
    published.cache_clear()
    yield
    published.cache_clear()


def why_not(result: dict[str, Any]) -> str:
    """The reasons against SLCA's own row."""
    return next(row.why_not for row in published_for(result) if row.benchmark.id == "cifar100-10" and not row.unlike)


# ------------------------------------------------------------------------------------------------------ the file


def test_every_row_names_a_strategy_a_preset_and_options_that_exist() -> None:
    elsewhere = {"mini-imagenet", "objectnet", "omnibenchmark", "vtab"}  # for a user's own declaration of that name
    for row in published():
        assert row.strategy in registry.strategies and row.tag in TAGS and row.values, row
        presets = {"", "default", *(preset.name for preset in load_presets(row.strategy))}
        assert row.preset in presets, row
        assert set(row.options) <= set(options_of(registry.strategies.get(row.strategy).Options)), row
        assert {*row.benchmark.streams} <= {*registry.streams, *elsewhere}, row
        assert not row.matches, "a row that was compared with nothing matches nothing"
    names = {name for name in registry.strategies if "/" not in name and registry.strategies.distribution(name).name}
    assert names >= set(absent()) and not {row.strategy for row in published()} & set(absent())


def test_numbers_are_those_of_their_sources() -> None:
    rows = {
        (row.strategy, row.benchmark.id, row.preset, row.source[:8], *row.options.values()): row for row in published()
    }

    def values(*key: Any) -> list[str]:
        return [number.text for number in rows[key].values.values()]

    assert values("slca", "cifar100-10", "default", "SLCA (IC") == ["91.53 ± 0.28", "94.09 ± 0.87"]
    assert values("mos", "cifar100-20", "legacy", "MOS (AAA") == ["89.25", "93.30", "3.86"]
    assert values("wsn", "cifar100-10", "default", "WSN (ICM", 0.3) == ["75.98"]
    assert values("softnet", "cifar100-few", "default", "SoftNet ", 0.99) == ["46.63", "57.57", "25.99"]
    assert values("hide-prompt", "imagenet-r-10", "legacy", "HiDe-Pro") == ["75.06 ± 0.12", "76.60 ± 0.01"]


def test_what_is_known_from_memory_alone_is_not_there() -> None:
    texts = {number.text for row in published() for number in row.values.values()}
    remembered = {
        "66.73 ± 1.25",
        "74.56 ± 0.59",
        "54.05 ± 2.66",
        "85.27",
        "68.07",
        "61.57",
        "25.69",
        "9.81",
        "89.30",
        "77.13",
    }
    assert not texts & remembered
    assert not {"3.16", "3.16 ± 0.10", "2.17"} & texts, "HiDe-Prompt's forgetting was never read"


def test_averages_over_sessions_are_those_of_the_curve() -> None:
    curve = [72.62, 67.31, 63.05, 59.39, 56.00, 53.23, 51.06, 48.83, 46.63]
    row = next(row for row in published() if row.options == {"share": 0.99})
    assert row.values["A_inc_sample"].mean * 100 == pytest.approx(sum(curve) / 9, abs=0.005)
    assert row.values["PD"].mean * 100 == pytest.approx(curve[0] - curve[-1], abs=0.005)


def test_it_loads_without_torch() -> None:
    code = "import sys; from cl.results.leaderboard.published import published\n"
    code += "print(len(published()), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(published())), "False"]


@pytest.mark.parametrize("text", ["about 8", "91,5", "", "± 3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="is no number"):
        Number.parse(text)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{strategy = "slca", on = "b", weights = "w", A_lst = "1"}', "unknown key 'A_lst'"),
        ('{strategy = "slca", on = "c", weights = "w", PD = "1"}', "unknown benchmark"),
        ('{strategy = "slca", on = "b", PD = "1"}', "unknown weights"),
    ],
)
def test_a_mistake_in_the_file_names_it(
    row: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None
) -> None:
    path = tmp_path / "published.toml"
    path.write_text(
        '[benchmarks]\nb = {text = "B", streams = []}\n[weights]\nw = {text = "W", names = []}\n'
        f'[[table]]\nsource = "somebody"\ntag = "read"\nrows = [{row}]\n'
    )
    monkeypatch.setattr(module, "FILE", path)
    with pytest.raises(ClbenchError, match=f"published.toml, somebody, row 1.*{words}"):
        published()


# ------------------------------------------------------------------------------------------------ beside a record


def test_a_run_with_the_weights_and_the_preset_of_the_paper_matches(result: dict[str, Any]) -> None:
    best, *others = published_for(result)
    assert best.matches and best.values["A_last_sample"] == Number(0.9153, 0.0028, "91.53 ± 0.28")
    assert others and not any(row.matches for row in others)
    assert {row.strategy for row in others} == {"slca"} and all(
        "split-cifar100" in row.benchmark.streams for row in others
    )


def test_a_split_of_our_own_does_not_match(result: dict[str, Any]) -> None:
    result["stream"]["options"]["split"] = "seeded"
    assert why_not(result) == "this run splits the images as no paper does"


def test_other_weights_do_not_match(result: dict[str, Any]) -> None:
    result["backbone"]["name"] = "vit_micro_patch4_32.tinyimagenet_distill"
    assert why_not(result) == "published with ViT-B/16, ImageNet-21k (AugReg)"


def test_other_tasks_do_not_match(result: dict[str, Any]) -> None:
    groups = result["stream"]["groups"]
    half = [{"name": "", "classes": each["classes"][:5]} for each in groups for _ in range(2)]
    result["stream"]["groups"] = half
    assert why_not(result) == "published for Split CIFAR-100, 10 tasks"


def test_a_number_whose_protocol_was_not_read_never_matches(result: dict[str, Any]) -> None:
    groups = [{"name": "", "classes": list(range(5))} for _ in range(20)]
    result["stream"]["groups"] = groups
    row = next(row for row in published_for(result) if row.benchmark.id == "cifar100-20")
    assert row.why_not == "options of this baseline were not read" and not row.matches


def test_a_last_task_may_be_smaller_but_no_other(result: dict[str, Any]) -> None:
    groups = result["stream"]["groups"]
    groups[-1]["classes"] = groups[-1]["classes"][:6]
    assert why_not(result) == ""
    groups[3]["classes"] = groups[3]["classes"][:6]
    assert why_not(result) == "published for Split CIFAR-100, 10 tasks"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("limited",), True, "this run is limited"),
        (("continues",), {"tasks": 3}, "this run continues another"),
        (("stream", "options", "train_per_class"), 100, "this run has only part of the images"),
        (("stream", "options", "shots"), 5, "published for Split CIFAR-100, 10 tasks"),
        (("strategy", "preset"), None, "this run has no preset"),
        (("strategy", "preset"), "pilot", "published with preset default"),
        (("config", "lr"), {"value": 0.05, "origin": "command line"}, "set by hand here: lr"),
        (("config", "lr"), {"value": 0.05, "origin": "environment"}, "set by hand here: lr"),
        (("config", "lr"), {"value": 0.01, "origin": "configuration vitb16-slca"}, ""),
        (("config", "stream.tasks"), {"value": 10, "origin": "command line"}, ""),
        (("accuracy",), {"til_masked": {}}, "published under rule cil_seen"),
    ],
)
def test_a_deviation_says_which(result: dict[str, Any], path: tuple[str, ...], value: Any, words: str) -> None:
    *parents, key = path
    place = result
    for parent in parents:
        place = place[parent]
    place[key] = value
    assert why_not(result) == words


def test_settings_of_a_row_must_be_the_runs(result: dict[str, Any]) -> None:
    result["strategy"]["name"], result["backbone"]["name"] = "wsn", "wsn_alexnet@random"
    result["accuracy"] = {"til_oracle": {}}
    result["config"] = {"share": {"value": 0.3, "origin": "command line"}}
    matching = [row for row in published_for(result) if row.matches]
    assert [row.options for row in matching] == [{"share": 0.3}], "and a setting of the row is not by hand"


def test_the_other_average_stands_in_only_where_it_is_the_same_number(result: dict[str, Any]) -> None:
    row = published_for(result)[0]
    found = row.number(result, "A_last_task")
    assert found is not None and found.text == "91.53 ± 0.28"
    result["count"] = [100, *([90] * 9)]
    assert row.number(result, "A_last_task") is None and row.number(result, "A_last_sample") is not None
    assert row.number(result, "F_chaudhry") is None
