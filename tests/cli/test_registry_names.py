from __future__ import annotations

import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import cl
from cl import registry
from cl.errors import ClbenchError, UsageError
from cl.plan import presets
from cl.registry import Distribution, Registry, own_version
from cl.source import source_path
from cl.tables import read_toml

Plugin = Callable[..., Path]


def fresh() -> Registry[object]:
    return Registry("clbench.strategies", "strategy")


def test_built_ins_are_there_with_their_summaries() -> None:
    assert {"finetune", "joint", "linear-probe", "simplecil", "slca"} <= set(registry.strategies)
    assert {"folder:", "split-cifar10", "split-cifar100", "split-digits"} <= set(registry.streams)
    for kind in (registry.strategies, registry.streams, registry.backbones):
        for name in kind:
            if kind.distribution(name).name == "clbench":
                assert kind.summary(name), name
                assert kind.source(name) is not None
    assert registry.strategies.distribution("slca") == Distribution("clbench", own_version())


ELSEWHERE = {"mini-imagenet", "objectnet", "omnibenchmark", "vtab", "split-domainnet"}
"""Streams that presets know and nobody ships: a user's own declaration may have these names."""


def test_every_preset_is_for_a_stream_that_there_is() -> None:
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


def test_unknown_names_say_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"There is no strategy 'SLAC'\. Did you mean slca"):
        registry.strategies.get("SLAC")
    with pytest.raises(UsageError, match="Known: "):
        registry.strategies.get("qqqqqq")


def test_summaries_are_read_without_importing_a_plugin_or_its_parents(plugin: Plugin) -> None:
    boom = 'raise RuntimeError("imported")\n'
    method = f'{boom}class Method:\n    """A method.\n\n    More.\n    """\n'
    plugin(
        "acme",
        {"acme_pkg.__init__": boom, "acme_pkg.sub.__init__": boom, "acme_pkg.sub.methods": method},
        {"clbench.strategies": {"acme/method": "acme_pkg.sub.methods:Method"}},
    )
    names = fresh()
    assert names.summary("acme/method") == "A method."
    assert names.distribution("acme/method") == Distribution("acme", "1.5")
    assert not any(name.startswith("acme_pkg") for name in sys.modules)


def test_a_plugin_that_cannot_be_imported_names_its_distribution(plugin: Plugin) -> None:
    plugin("acme", {"acme_broken": "import no_such_module\n"}, {"clbench.strategies": {"broken": "acme_broken:X"}})
    with pytest.raises(ClbenchError) as caught:
        fresh().get("broken")
    assert "strategy 'broken' of acme 1.5 cannot be imported" in str(caught.value)
    assert "no_such_module" in str(caught.value)
    assert fresh().summary("broken") == ""


def test_two_distributions_with_one_name_are_an_error_that_names_both(plugin: Plugin) -> None:
    plugin("one", {"one_mod": ""}, {"clbench.strategies": {"same": "one_mod:X"}})
    plugin("two", {"two_mod": ""}, {"clbench.strategies": {"same": "two_mod:X"}})
    names = fresh()
    assert "same" in names.names()
    for ask in (names.get, names.summary, names.distribution):
        with pytest.raises(UsageError, match=r"'same' is provided by (one 1\.5 and two 1\.5|two 1\.5 and one 1\.5)"):
            ask("same")


def test_a_plugin_cannot_replace_a_built_in_unnoticed(plugin: Plugin) -> None:
    plugin("acme", {"acme_slca": ""}, {"clbench.strategies": {"slca": "acme_slca:X"}})
    with pytest.raises(UsageError, match=r"clbench .* and acme 1\.5"):
        fresh().get("slca")


def test_families_take_what_follows_their_prefix(plugin: Plugin) -> None:
    assert registry.streams.split("folder:/a/b:c") == ("folder:", "/a/b:c")
    assert registry.streams.split("split-digits") == ("split-digits", None)
    with pytest.raises(UsageError, match=r"'folder:' needs something after it, such as folder:NAME"):
        registry.streams.split("folder:")
    plugin("acme", {"acme_a": ""}, {"clbench.strategies": {"acme/": "acme_a:X", "acme/naive": "acme_a:Y"}})
    assert fresh().entry("acme/ewc").attribute == "X"
    assert fresh().entry("acme/naive").attribute == "Y"


def test_names_can_be_registered_for_a_process() -> None:
    class Mine:
        """Mine alone."""

    names = fresh()
    names.register("mine", Mine)
    assert names.get("mine") is Mine
    assert names.summary("mine") == "Mine alone."
    with pytest.raises(UsageError, match="exists already"):
        names.register("mine", Mine)
    with pytest.raises(UsageError, match="exists already"):
        names.register("slca", Mine)
    names.unregister("mine")
    assert "mine" not in names


def test_sources_and_toml_errors(tmp_path: Path) -> None:
    assert source_path("cl.strategies.slca") is not None
    assert source_path("cl.no_such_module") is None
    assert source_path("no_such_package.module") is None
    path = tmp_path / "x.toml"
    path.write_text("a = ")
    with pytest.raises(UsageError, match=r"x\.toml is not valid TOML"):
        read_toml(path)


def test_a_checkout_knows_its_own_version() -> None:
    assert cl.__version__ == own_version()
    assert cl.CHECKOUT is None or (cl.CHECKOUT / "pyproject.toml").is_file()
