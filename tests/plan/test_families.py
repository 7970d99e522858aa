"""Families and declared facts of strategies."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import pytest

from cl import registry
from cl.errors import UsageError
from cl.plan.families import FAMILIES, NETWORKS, OTHER, Facts, by_family, facts, facts_of, family_of
from cl.plan.plan import make_plan
from cl.protocol import TaskSize
from cl.running.build import build_stream
from cl.running.rehearsal import rehearse

BUILT_IN = [name for name in registry.strategies if registry.strategies.distribution(name).name == "clbench"]

EXAMPLES = {
    "vit": ("vit_micro_patch4_32@random",),
    "cnn": ("resnet20_cifar@random", "cnn_x1_32@random", "resnet50_32@random"),
    "mlp": ("mlp_2x100_28@random",),
}

OPTIONS: dict[str, dict[str, Any]] = {
    "aper": {"tuning": "none"},
    "ranpac": {"tuning": "none"},
    "slca": {"fresh_norm": False},
    "cofima": {"fresh_norm": False},
    "slca-pp": {"fresh_norm": False},
    "hft": {"select": "model"},
    "ear": {"depths": 1},
}
"""Options with which a method fits networks that it refuses with its defaults."""


def test_every_strategy_declares_a_known_family_and_its_facts() -> None:
    for name in BUILT_IN:
        found = facts(name)
        assert found.family in FAMILIES and found.networks and found.gradients, name
    listed = by_family()
    assert sorted(name for names in listed.values() for name in names) == sorted(registry.strategies)
    assert "l2p" in listed["prompts"] and "icarl" in listed["replay"] and next(iter(listed)) == "baselines"


def test_docstrings_are_read_and_wrong_words_are_refused() -> None:
    text = "It learns.\n\n    Family: mine\n    Networks: vit, clip, random\n    Gradients: parts\n    Images: kept\n"
    assert facts_of(text, "x") == Facts("mine", ("vit", "clip"), True, "parts", True)
    assert facts_of("It learns.", "x") == Facts(OTHER, None, None, None, None)
    assert facts_of("It.\n\nNetworks: cnn\n", "x").keeps_images is False
    for line in ("Networks: rnn", "Gradients: some", "Images: no"):
        with pytest.raises(UsageError, match=f"x says '{line}'; choose from"):
            facts_of(f"It.\n\n{line}\n", "x")
    assert family_of("not-installed") == OTHER


def test_methods_that_say_they_keep_images_are_those_whose_work_does() -> None:
    task = TaskSize(1, 10, 500, 10, 500, 10)
    for name in BUILT_IN:
        method = registry.strategies.get(name)
        work = method.work(method.Options(), task)
        if work.kept_images:
            assert facts(name).keeps_images, name
        elif facts(name).keeps_images:  # these state no work of their memory
            assert name in ("avalanche/icarl", "avalanche/replay", "grace", "joint", "softnet"), name


def test_gradients_agree_with_the_work_that_a_method_declares() -> None:
    for name in BUILT_IN:
        method = registry.strategies.get(name)
        works = [method.work(method.Options(), TaskSize(n, 10, 500, 10, 500 * n, 10 * n)) for n in (0, 1)]
        if all(work.known == "declared" for work in works) and _declares(method):
            trained, tuned = (sum(getattr(work, kind) for work in works) for kind in ("trained", "tuned"))
            expected = {"none"} if not trained + tuned else {"parts"} if not trained else {"whole"}
            assert facts(name).gradients in expected, name


def _declares(method: type) -> bool:
    """Whether the class, or its base, states its work with passes of its own and not those of fine-tuning."""
    source = textwrap.dedent(inspect.getsource(method.work))  # type: ignore[attr-defined]
    names = {node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.keyword)}
    return bool(names & {"trained", "tuned", "looked_up"})


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "grace"])
def test_declared_networks_are_those_that_the_setup_takes(name: str) -> None:
    declared = facts(name).networks
    assert declared is not None and set(declared) <= set(NETWORKS)
    for kind, backbones in EXAMPLES.items():
        assert (kind in declared) == any(_fits(name, backbone) for backbone in backbones), kind


def _fits(name: str, backbone: str) -> bool:
    """Whether the setup accepts a backbone, with the defaults or with the options that the error names."""
    for options in ({}, OPTIONS.get(name, {})):
        plan = make_plan(name, "split-digits", backbone, options=options)
        try:
            rehearse(plan, build_stream(plan))
        except UsageError:
            continue
        return True
    return False
