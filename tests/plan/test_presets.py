"""Presets: which of them apply, files that are malformed, and the presets that are shipped."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from cl import registry
from cl.errors import UsageError
from cl.plan import presets
from cl.plan.plan import make_plan

ELSEWHERE = {"mini-imagenet", "objectnet", "omnibenchmark", "vtab", "split-domainnet"}
"""Streams that presets know and nobody ships: a user's own declaration may have these names."""


@pytest.mark.usefixtures("methods")
def test_presets_match_stream_and_backbone() -> None:
    assert make_plan("method", "split-digits", "vit_base_patch16_224").options.lr == 0.4
    assert make_plan("method", "split-digits", preset="other").options.lr == 0.5
    assert make_plan("method", "split-digits", preset="other").preset == "other"
    assert make_plan("validating", "split-digits").untuned
    with pytest.raises(UsageError, match=r"no preset 'othr' for split-digits .*Did you mean other"):
        make_plan("method", "split-digits", preset="othr")
    with pytest.raises(UsageError, match="It has none; leave --preset out"):
        make_plan("validating", "split-digits", preset="x")


@pytest.mark.usefixtures("methods")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = 1", "unknown key 'lr'. Known: preset."),
        ('[[preset]]\nsource = "x"\nstreem = "a"', "unknown key 'streem'. Did you mean stream"),
        ("[[preset]]\n[preset.options]\nlr = 1", "preset 1 lacks 'source'; add it"),
        ('[[preset]]\nsource = "x"\nstream = 3', "preset 1: stream must be text or a list of text, not 3"),
        ('[[preset]]\nsource = "x"\nstream = []', "take a pattern or a list of patterns"),
        ('[[preset]]\nsource = ""', "say where the values come from"),
        ('[[preset]]\nsource = "x"\noptions = { lrr = 3 }', "no option 'lrr' (set by preset method#1)"),
    ],
)
def test_malformed_presets_are_usage_errors(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "method.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        make_plan("method", "split-digits")
    assert says in str(caught.value)


def test_every_preset_names_a_stream_that_exists() -> None:
    streams = {*registry.streams, *ELSEWHERE}
    for strategy in registry.strategies:
        for preset in presets.load_presets(strategy):
            for pattern in preset.stream:
                family = pattern.startswith("avalanche/")  # whose names Avalanche gives
                assert family or any(fnmatchcase(name, pattern) for name in streams), (strategy, preset.name, pattern)


@pytest.mark.parametrize("stream", ["imagenet-r", "imagenet-a", "cub-200"])
def test_the_papers_values_hold_on_the_papers_streams(stream: str) -> None:
    strategies = {"imagenet-r": ("slca", "dualprompt", "norga", "mos", "ranpac"), "imagenet-a": ("mos", "ease")}
    for strategy in strategies.get(stream, ("slca", "aper")):
        assert presets.choose(strategy, stream, "vit_base_patch16_224.augreg_in21k"), strategy
