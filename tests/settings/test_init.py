"""Settings combined: the contract of streams, known streams, options and their errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.options import Layer
from cl.plan.plan import make_plan
from cl.settings import SettingOptions, needed, resolve_stream, transform
from cl.settings.class_incremental import IncrementalOptions
from cl.testing import check_stream
from tests.help.toy_streams import counts, digest, setting, toy

GOLDEN = {
    ("long-tailed",): "37de71878610b336",
    ("i-blurry",): "0cc32d4c0d484e53",
    ("si-blurry",): "30be71984788722e",
    ("online",): "33038cfe11e3e6cd",
    ("online", "i-blurry"): "f15442a37526625d",
}


@pytest.mark.parametrize("names", list(GOLDEN))
@pytest.mark.parametrize("seed", [0, 7])
def test_every_setting_keeps_the_contract_of_streams(names: tuple[str, ...], seed: int) -> None:
    stream = setting(toy(), *names, seed=seed)
    check_stream(stream)
    assert stream.dataset.fingerprints == toy().dataset.fingerprints
    assert np.array_equal(np.sort(stream.test_rows(range(5))[0]), np.sort(toy().test_rows(range(5))[0]))


def test_without_a_setting_nothing_changes() -> None:
    stream = toy()
    assert transform(stream, SettingOptions(), 0) is stream
    plan = make_plan("simplecil", "split-cifar100")
    assert plan.config_hash == "e0220a18" and not [key for key in plan.values if key.startswith("stream.set")]


def test_settings_combine_and_a_tail_is_cut_before_it_is_blurred() -> None:
    stream = setting(toy((500,) * 10), "online", "i-blurry", "long-tailed", chunk=7)
    assert stream.setting == "online i-blurry long-tailed class-incremental"
    assert stream.options["setting"] == ["long-tailed", "i-blurry", "online"] and stream.options["chunk"] == 7
    assert sorted(counts(stream).sum(0), reverse=True) == [int(500 * 100 ** (-k / 9)) for k in range(10)]


def test_options_come_from_the_layers_of_the_stream() -> None:
    layers: list[Layer] = [("file", {"tasks": 2}), ("call", {"setting": "online,i-blurry", "chunk": "5"})]
    family, chosen, settings = resolve_stream(IncrementalOptions, layers)
    assert family.tasks == 2 and chosen.setting == ("online", "i-blurry") and chosen.chunk == 5
    assert {key for key in settings if settings[key].origin == "call"} == {"stream.setting", "stream.chunk"}
    assert {"stream.disjoint", "stream.blur", "stream.evaluate_every"} <= set(settings)  # what is in force is recorded
    assert "stream.imbalance" not in settings
    assert needed(chosen) == ("blurry", "online")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chunk": 5}, "add --setting online"),
        ({"setting": "i-blurry", "imbalance": 3}, "add --setting long-tailed"),
        ({"setting": "i-blurry,si-blurry"}, "choose either"),
        ({"setting": "foggy"}, "one of long-tailed, i-blurry, si-blurry, online"),
        ({"setting": "online", "chunk": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_stream(IncrementalOptions, [("call", values)])


def test_plans_import_neither_numpy_nor_torch_for_settings() -> None:
    code = "import sys, cl.settings; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_known_streams_so_that_records_stay_comparable_between_versions() -> None:
    assert {names: digest(setting(toy(), *names)) for names in GOLDEN} == GOLDEN
