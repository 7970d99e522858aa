"""One configuration on many networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.results.plots import plots_of
from cl.results.plots.architecture import _matched, _series, _variants
from tests.help.figures import only, runs, texts

Make = Callable[..., dict[str, Any]]


def on(make: Make, backbone: str, parameters: int, last: list[int], strategy: str = "finetune") -> list[dict[str, Any]]:
    """Runs on a network of this name and size."""
    records = runs(make, strategy, last, result__backbone__name=f"{backbone}@random")
    for record in records:
        record["result"]["backbone"] |= {"parameters": parameters, "dim": 8}
        record["run_id"] += backbone
    return records


def test_names_that_differ_in_one_number_are_a_series() -> None:
    found = _series(["cnn_x1_32", "cnn_x16_32", "cnn_x4_32", "cnn_x4_32_gap", "mlp_2x256_28", "mlp_4x256_28", "lenet"])
    assert found == [
        {"pattern": "cnn_x*_32", "points": [[1, "cnn_x1_32"], [4, "cnn_x4_32"], [16, "cnn_x16_32"]]},
        {"pattern": "mlp_*x256_28", "points": [[2, "mlp_2x256_28"], [4, "mlp_4x256_28"]]},
    ]


def test_names_with_one_more_word_are_variants() -> None:
    names = {"cnn_x4_32", "cnn_x4_32_gap", "cnn_x4_32_bn", "cnn_x8_32", "resnet18_32_nogap"}
    assert _variants(names) == [["cnn_x4_32", "cnn_x4_32_bn", "cnn_x4_32_gap"]]


def test_networks_of_nearly_equal_size_are_matched() -> None:
    sizes = {"a": 100, "b": 115, "c": 120, "d": 130, "e": 300, "f": 310}
    networks = [{"name": name, "parameters": size} for name, size in sizes.items()]
    assert _matched(networks) == [["a", "b", "c"], ["b", "c", "d"], ["e", "f"]]


def test_a_figure_for_each_row_on_several_networks(make_record: Make) -> None:
    records = on(make_record, "cnn_x1_32", 90_000, [40, 42]) + on(make_record, "cnn_x4_32", 1_500_000, [60, 62])
    records += on(make_record, "cnn_x4_32_gap", 1_500_000, [50, 50])
    records += on(make_record, "cnn_x1_32", 90_000, [30], strategy="alone")
    data = only(records, "architecture").data
    assert data["title"].startswith("finetune on ")
    assert [row["name"] for row in data["rows"]] == ["cnn_x1_32", "cnn_x4_32", "cnn_x4_32_gap"]
    assert [row["accuracy"] for row in data["rows"]] == [41.0, 61.0, 50.0]
    assert data["rows"][0]["forgetting"] == pytest.approx(53.0) and data["rows"][0]["seeds"] == 2
    assert data["rows"][0]["learning"] == pytest.approx((99 + 89 + 41) / 3, abs=0.1)
    assert [each["pattern"] for each in data["series"]] == ["cnn_x*_32"]
    assert data["variants"] == [["cnn_x4_32", "cnn_x4_32_gap"]] and data["matched"] == [["cnn_x4_32", "cnn_x4_32_gap"]]


def test_two_networks_have_no_such_figure(make_record: Make) -> None:
    records = on(make_record, "cnn_x1_32", 90_000, [40]) + on(make_record, "cnn_x4_32", 1_500_000, [50])
    assert plots_of(records, ["architecture"]) == []


def test_it_is_drawn_with_every_network_named(make_record: Make, tmp_path: Path) -> None:
    records = [r for i, n in enumerate(("cnn_x1_32", "cnn_x4_32", "cnn_x4_32_gap", "lenet5_28")) for r in
               on(make_record, n, 10 ** (4 + i), [40 + i])]  # fmt: skip
    plot = only(records, "architecture")
    words = [text for text, _ in texts(plot)[0]]
    for label in ("lenet5_28  43.0", "cnn_x*_32  41.0", "cnn_x4_32_gap  42.0", "parameters, millions", "forgetting, %"):
        assert any(label in word for word in words), label
    assert b"architecture" in plot.save(tmp_path / "x.svg").read_bytes()
    plain = only([r for i, n in enumerate("abc") for r in on(make_record, n, 10 * (i + 1), [40 + i])], "architecture")
    assert not plain.data["series"] and plain.save(tmp_path / "y.png").is_file()
