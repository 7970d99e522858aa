"""Search scales of all methods: what a preset named small was chosen from, `clbench tune` can search again."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest

from cl import registry
from cl.options import OptionInfo
from cl.plan.presets import Preset, load_presets
from cl.tuning.space import bases_of, declared_by
from cl.values import parse_value

METHODS = [name for name in registry.strategies if registry.strategies.distribution(name).name == "clbench"]

WITHOUT: dict[str, str] = {
    "finetune-dynamic": "the method searches its own rate in every task",
    "finetune-previous": "the method searches its own rate in every task",
    "independent": "the method searches its own rate in every task",
    "pretrained": "the method searches its own rate in every task",
    "simplecil": "the method has no options",
}
"""Methods that declare no scale."""

OUTSIDE: dict[tuple[str, str], str] = {
    ("finetune", "lr"): "5e-5: Adam on a large ViT",
    ("icarl", "lr"): "2.0: the paper's network is trained from scratch",
    ("l2", "lr"): "5e-5: Adam on a large ViT",
    ("momentum", "base.lr"): "5e-6: for the base zero-shot, whose own scale has it",
}
"""Options with a value, in a preset that is not small, that is not on their scale."""

_TRIED = re.compile(r"\b(\w+)(?: best)?(?: of)? (\d[\d.e-]*(?:, \d[\d.e-]*)+)")
"""Words of a source line such as "lr best of 1e-4, 3e-4 on": an option and the values that were tried."""


def of_method(method: str, preset: Preset | None = None) -> dict[str, OptionInfo]:
    """Options by key with those of the default base, or of the base of a preset."""
    default = registry.strategies.get(method).Options()
    values = {**dataclasses.asdict(default), **(preset.options if preset is not None else {})}
    return declared_by(method, bases_of(method, values))


def is_small(preset: Preset) -> bool:
    return preset.name is not None and (preset.name == "small" or preset.name.endswith("-small"))


def set_by(preset: Preset, known: Mapping[str, OptionInfo]) -> dict[str, Any]:
    """The values of a preset for options of the method, with the type of the option."""
    found = {key: value for key, value in preset.options.items() if key in known}
    return {key: parse_value(known[key].annotation, value, key, known[key].constraints) for key, value in found.items()}


def tried_by(preset: Preset, known: Mapping[str, OptionInfo]) -> dict[str, list[float]]:
    """The values that the source line of a preset says were tried, by option."""
    found = {key: texts for key, texts in _TRIED.findall(preset.source) if key in known}
    return {key: [float(text) for text in texts.split(", ")] for key, texts in found.items()}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_declares_scales_around_its_defaults(method: str) -> None:
    scales = {key: info for key, info in of_method(method).items() if info.search is not None}
    assert bool(scales) == (method not in WITHOUT), WITHOUT.get(method, "declare a scale, or say why there is none")
    for key, info in scales.items():
        assert info.search is not None and info.search.holds(info.default), f"{key}={info.default} is not on its scale"


@pytest.mark.parametrize("method", METHODS)
def test_the_values_of_presets_are_on_the_scales(method: str) -> None:
    outside = set()
    for preset in load_presets(method):
        known = of_method(method, preset)
        for key, value in set_by(preset, known).items():
            if (scale := known[key].search) is not None and not scale.holds(value):
                assert not is_small(preset), f"{preset.origin}: {key}={value} is not on {scale}"
                outside.add((method, key))
    assert outside == {each for each in OUTSIDE if each[0] == method}


@pytest.mark.parametrize("method", [name for name in METHODS if any(map(is_small, load_presets(name)))])
def test_what_a_small_preset_was_chosen_from_can_be_searched_again(method: str) -> None:
    for preset in filter(is_small, load_presets(method)):
        known = of_method(method, preset)
        rates = {key for key in set_by(preset, known) if re.search(r"(^|[._])lr$", key)}
        tried = tried_by(preset, known)
        assert rates or tried, f"{preset.origin} sets nothing that is tuned"
        for key in rates | set(tried):
            assert known[key].search is not None, f"{method} declares no scale of {key}"
        for key, values in tried.items():
            scale = known[key].search
            assert scale is not None and all(map(scale.holds, values)), f"{key} was tried at {values}: {scale}"


def test_source_lines_are_read() -> None:
    texts = {"l2": "reg", "momentum": "tau", "atlas": "coefficient_lr", "ease": "lr", "taps": "lr"}
    for method, key in texts.items():
        tried = [tried_by(each, of_method(method, each)) for each in load_presets(method) if is_small(each)]
        assert any(len(each.get(key, ())) > 2 for each in tried), f"{method}: {tried}"
