"""What builds streams: the base class, the one look-up, and classes of somebody's own that do not subclass it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

import cl
from cl import registry
from cl.data.store import Progress
from cl.errors import ContractError, UsageError
from cl.family import Family, argument_of, family_of, make_stream
from cl.plan.compatibility import setting_of, version_of
from cl.plan.plan import make_plan
from cl.protocol import CLASS, DOMAIN, FEW_SHOT
from cl.running.build import build_stream
from cl.settings.class_incremental import ClassIncremental, IncrementalOptions, class_incremental
from cl.streams.cifar import SplitCIFAR10, SplitCIFAR100
from cl.streams.digits import SplitDigits, digits
from cl.streams.folder import Folder


def test_modules_import_no_torch() -> None:
    modules = "cl.streams.digits, cl.streams.cifar, cl.streams.folder, cl.data.catalog, cl.stream, "
    modules += "cl.settings.class_incremental"
    heavy = {"torch", "sklearn", "PIL", "pooch", "requests"}
    code = f"import sys, {modules}; bad = {heavy} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("family", [SplitDigits, SplitCIFAR100, SplitCIFAR10, Folder])
def test_families_say_what_they_are_and_explain_every_option(family: Any) -> None:
    assert family.__doc__.splitlines()[0].strip()
    assert isinstance(family.version, str)
    assert all(field.metadata["help"] for field in fields(family.Options))


NAMES = ("plain", "plain:", "mine")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    for name in NAMES:
        registry.streams.unregister(name)


class Plain:
    """Digits, from a class that knows nothing of `Family` and takes no argument."""

    Options = IncrementalOptions

    def build(self, options: Any, *, order_seed: int, data_seed: int, progress: Progress | None = None) -> Any:
        chosen = replace(options, tasks=options.tasks or 2)
        return class_incremental(
            digits(), chosen, name="plain", version="7", order_seed=order_seed, data_seed=data_seed
        )


def test_a_class_that_is_no_family_is_one_all_the_same() -> None:
    registry.streams.register("plain", Plain)
    assert family_of("plain").__doc__ == Plain.__doc__
    assert setting_of("plain", IncrementalOptions()) == CLASS and version_of("plain") == "1"
    assert setting_of("plain", IncrementalOptions(shots=5)) == FEW_SHOT
    plan = make_plan("simplecil", "plain", options={"stream.tasks": 5})
    assert build_stream(plan).info.n_tasks == 5 and make_stream("plain").info.n_tasks == 2


def test_what_such_a_class_says_itself_counts() -> None:
    class Said(Plain):
        version = "7"

        @classmethod
        def setting_of(cls, options: Any, argument: str) -> str:
            return f"{DOMAIN} {argument}".strip()

        @classmethod
        def version_of(cls, argument: str) -> str:
            return f"7-{argument}"

        def build(self, options: Any, *, argument: str, **given: Any) -> Any:  # type: ignore[override]
            return replace(super().build(options, **given), name=argument)

    registry.streams.register("plain:", Said)
    assert setting_of("plain:zoo", IncrementalOptions()) == f"{DOMAIN} zoo" and version_of("plain:zoo") == "7-zoo"
    assert make_stream("plain:zoo").name == "zoo" and argument_of("plain:zoo") == "zoo"
    with pytest.raises(UsageError, match="needs something after it"):
        make_stream("plain:")


def test_only_classes_are_families() -> None:
    registry.streams.register("plain", digits)
    with pytest.raises(ContractError, match="register a class"):
        family_of("plain")


def test_built_in_families_subclass_family_and_names_fit() -> None:
    for name in registry.streams.names():
        family = registry.streams.get(name)
        assert issubclass(family, Family) and family_of(name) is family
        assert family.name in ("", name), "the registered name is the stream's"
    assert cl.Family is Family and cl.ClassIncremental is ClassIncremental


def test_a_family_without_build_says_so() -> None:
    registry.streams.register("mine", type("Mine", (Family,), {}))
    with pytest.raises(NotImplementedError, match="add `build`"):
        make_stream("mine")
