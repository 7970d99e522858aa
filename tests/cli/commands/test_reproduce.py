"""`clbench reproduce`: the verdict, its exit code, and the list."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.results import reproduction
from cl.results.reproduction import Expected, configurations
from tests.help.reproduction import TOY, ours


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Callable[[Expected | None], None]:
    """Ship the toy alone, with these expected values."""

    def ship(expected: Expected | None) -> None:
        monkeypatch.setattr(reproduction, "configurations", lambda: {"toy": TOY})
        monkeypatch.setattr(reproduction, "expectations", lambda: {"toy": expected} if expected else {})

    return ship


def test_a_run_inside_outside_and_without_an_interval(
    shipped: Callable[[Expected | None], None], capfd: pytest.CaptureFixture[str]
) -> None:
    shipped(None)
    assert call(["reproduce", "toy", "-q", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    values = {int(seed): value for seed, value in found["measured"]["seeds"].items()}
    assert found["verdict"] == "no expected interval" and set(values) == {3, 4} and found["expected"] is None
    record = json.loads(Path(found["records"][0]).read_text(encoding="utf-8"))
    assert record["result"]["metrics"]["cil_seen"]["A_last_sample"] == values[3]
    assert record["result"]["config"]["stream.tasks"]["origin"] == "configuration toy"

    shipped(ours(s3=values[3], s4=values[4]))  # complete already: only compared
    assert call(["reproduce", "toy", "-q"]) == 0
    out = capfd.readouterr().out
    assert "verdict   inside" in out and "on        a desk, fp32" in out and "drift     0.00 points" in out
    assert "reported  nothing with these weights and this protocol" in out

    shipped(ours(s3=values[3] - 0.2, s4=values[3] - 0.2))
    assert call(["reproduce", "toy", "-q", "--seed", "3"]) == 5
    text = capfd.readouterr()
    assert "verdict   outside" in text.out and "drift     20.00 points" in text.out
    assert text.err.count("\n") == 1 and "toy is outside its expected interval" in text.err


def test_a_failed_run_gives_its_own_code_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch, shipped: Callable[[Expected | None], None], capfd: pytest.CaptureFixture[str]
) -> None:
    from cl.errors import DataError
    from cl.executors import base

    def fail(*_: Any, **__: Any) -> None:
        raise DataError("The data is not here.")

    shipped(ours(s3=0.5, s4=0.5))
    monkeypatch.setattr(base, "execute", fail)
    assert call(["reproduce", "toy", "-q"]) == 3
    assert capfd.readouterr().out == ""


def test_list_says_what_was_verified_where_and_what_was_not(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(["reproduce", "--list"]) == 0
    verified, _, open_ones = capfd.readouterr().out.partition("Not yet run:")
    assert "cifar100-slca" in verified and "AMD EPYC, 1 thread, bf16" in verified
    assert "vitb16-slca" in open_ones and "reported 91.53 ± 0.28" in open_ones and "vitb16" not in verified
    assert call(["reproduce", "--list", "--json"]) == 0
    items = {item["name"]: item for item in json.loads(capfd.readouterr().out)}
    assert list(items) == list(configurations()) and items["vitb16-slca"]["verified_on"] is None


def test_dry_run_touches_nothing(
    tmp_path: Path, shipped: Callable[[Expected | None], None], capfd: pytest.CaptureFixture[str]
) -> None:
    shipped(None)
    assert call(["reproduce", "toy", "--dry-run"]) == 0
    out = capfd.readouterr().out
    assert out.count("would start") == 2 and "[configuration toy]" in out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name a configuration; clbench reproduce --list shows them."),
        (["digits-simplcil"], "There is no configuration 'digits-simplcil'"),
        (["cifar100-slca", "--seed", "7"], "cifar100-slca has no seed 7; choose among 1993, 1996"),
        (["cifar100-slca", "--seed", "x"], "--seed"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(["reproduce", *arguments]) == 2
    text = capfd.readouterr()
    assert words in text.err and text.err.count("\n") == 1 and text.out == ""


@pytest.mark.slow
def test_the_fastest_shipped_configuration_is_inside_its_interval(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(["reproduce", "digits-simplecil", "-q", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["verdict"] == "inside"
