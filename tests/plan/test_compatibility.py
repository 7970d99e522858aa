"""Which strategies fit which streams, known before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cl
from cl import registry
from cl.errors import Incompatible, UsageError
from cl.family import Family
from cl.options import nested, option
from cl.plan.compatibility import check, check_probe, setting_of, version_of


def options_of(strategy: str, **values: object) -> object:
    return registry.strategies.get(strategy).Options(**values)


def stream_options(stream: str, **values: object) -> object:
    return registry.streams.get(stream).Options(**values)


def test_the_setting_of_a_stream_follows_its_options() -> None:
    assert setting_of("split-digits", stream_options("split-digits")) == "class-incremental"
    assert setting_of("split-digits", stream_options("split-digits", shots=5)) == "few-shot class-incremental"
    assert setting_of("pacs", stream_options("pacs")) == "domain-incremental"


def test_a_declared_stream_has_the_version_of_its_declaration() -> None:
    assert version_of("split-digits") == "1"
    assert version_of("pacs") not in ("1", version_of("nevis-real"))


def test_a_refusal_names_what_the_strategy_can_learn() -> None:
    with pytest.raises(Incompatible) as caught:
        check("wsn", options_of("wsn"), "pacs", stream_options("pacs"))
    assert str(caught.value).startswith("Stream pacs is domain-incremental, which wsn cannot learn with these options")
    assert "task-incremental" in str(caught.value) and caught.value.exit_code == 2
    check("wsn", options_of("wsn"), "split-digits", stream_options("split-digits"))


def test_the_settings_of_a_run_are_checked_too() -> None:
    digits = stream_options("split-digits")
    check("simplecil", options_of("simplecil"), "split-digits", digits, ["online", "blurry"])
    with pytest.raises(Incompatible, match="is online, which slca cannot learn"):
        check("slca", options_of("slca"), "split-digits", digits, ["online"])


class Anywhere:
    """A wrapper that fits every stream."""

    @dataclass(frozen=True)
    class Options:
        base: str = option("finetune", "what to wrap")
        base_options: Mapping[str, Any] = nested("base", "its options")

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        return True


def test_a_wrapper_fits_if_its_base_does() -> None:
    pacs = stream_options("pacs")
    registry.strategies.register("anywhere", Anywhere)
    try:
        check("anywhere", Anywhere.Options("ewc", {"accumulate": "online"}), "pacs", pacs)
        with pytest.raises(Incompatible, match="domain-incremental, which ewc cannot learn with these options"):
            check("anywhere", Anywhere.Options("ewc", {"accumulate": "convex"}), "pacs", pacs)
    finally:
        registry.strategies.unregister("anywhere")


def test_the_check_loads_no_torch_of_its_own() -> None:
    code = "import sys; from cl.plan import compatibility; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(cl.__file__).parent.parent)


@pytest.mark.parametrize("strategy", ["wsn", "independent", "mos", "ease", "l2p", "hide-prompt", "norga"])
def test_methods_without_one_network_are_not_probed(strategy: str) -> None:
    with pytest.raises(Incompatible, match=rf"^{strategy} does not predict with one network, .*; leave --probe out"):
        check_probe("tinyimagenet_60", strategy, options_of(strategy))
    check_probe(None, strategy, options_of(strategy))


def test_a_wrapper_is_probed_if_its_base_can_be() -> None:
    check_probe("tinyimagenet_60", "momentum", options_of("momentum"))
    assert not registry.strategies.get("wsn").one_network
    with pytest.raises(Incompatible, match=r"^wsn does not"):
        check_probe("tinyimagenet_60", "momentum", options_of("momentum", base="wsn"))


@pytest.mark.parametrize("name", ["", "/a/b.npz", "../b", "folder:x", "a b", "-a"])
def test_a_probe_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="takes the name of a dataset"):
        check_probe(name, "simplecil", options_of("simplecil"))
    with pytest.raises(UsageError, match="name its dataset with --probe"):
        check_probe(None, "simplecil", options_of("simplecil"), last_only=True)


# ------------------------------------------------------------------------------------- several classes per image


class Several(Family):
    """A stream that says that images of two of its tasks have several classes."""

    @classmethod
    def multi_label_of(cls, options: Any, argument: str = "") -> tuple[str, ...]:
        return ("one", "two", "three", "four")


@pytest.fixture
def several() -> Iterator[str]:
    registry.streams.register("several", Several)
    yield "several"
    registry.streams.unregister("several")


def test_several_classes_per_image_are_for_methods_that_say_so(several: str) -> None:
    with pytest.raises(Incompatible) as caught:
        check("slca", options_of("slca"), several, Several.Options())
    assert str(caught.value) == (
        "slca learns one class per image, and images of one, two, three and 1 more of several may have several; "
        "leave such tasks out with --set stream.multi_label=skip."
    )
    check("independent", options_of("independent"), several, Several.Options())
    with pytest.raises(Incompatible, match="lines learns one class per image"):
        check("lines", options_of("lines"), several, Several.Options())


def test_only_the_learners_of_nevis_say_so() -> None:
    able = {
        name for name in registry.strategies.names() if getattr(registry.strategies.get(name), "multi_label", False)
    }
    assert able == {"independent", "finetune-previous", "finetune-dynamic", "pretrained"}
