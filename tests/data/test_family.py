"""What builds streams: the base class, the one look-up, and classes of somebody's own that do not subclass it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import cl
from cl import registry
from cl.data.store import Dataset, ImageStore, Progress
from cl.errors import ContractError, UsageError
from cl.family import Family, argument_of, family_of, make_stream
from cl.options import listed, option
from cl.plan.compatibility import setting_of, version_of
from cl.plan.plan import make_plan
from cl.protocol import CLASS, DOMAIN, FEW_SHOT
from cl.running.build import build_stream
from cl.settings.class_incremental import ClassIncremental, IncrementalOptions, class_incremental
from cl.streams.digits import digits

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


class Mine(ClassIncremental):
    """Two grey classes."""

    name, version = "mine", "3"
    n_classes, usual = 2, {"increment": 1}

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), np.uint8)
        store = ImageStore.from_arrays(pixels, np.repeat([0, 1], 4))
        return Dataset("mine", store, store, ("a", "b"), origin="made here")


def test_a_class_incremental_family_says_names_sizes_and_images() -> None:
    registry.streams.register("mine", Mine)
    stream = make_stream("mine", order_seed=3)
    assert (stream.name, stream.version, stream.setting) == ("mine", "3", CLASS)
    assert stream.info.classes_per_task == (1, 1) and stream.options["increment"] == 1
    assert make_stream("mine", IncrementalOptions(tasks=1)).info.classes_per_task == (2,)
    same = class_incremental(
        Mine().read(None, "", None),
        IncrementalOptions(increment=1),
        name="mine",
        version="3",
        order_seed=3,
        data_seed=0,
    )
    assert same.id == stream.id


def test_options_are_checked_before_images_are_read() -> None:
    class Unread(Mine):
        def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
            raise AssertionError("read")

    with pytest.raises(UsageError, match="tasks=3 does not fit 2 classes"):
        Unread().build(IncrementalOptions(tasks=3), order_seed=0, data_seed=0)


def test_a_family_without_build_says_so() -> None:
    registry.streams.register("mine", type("Mine", (Family,), {}))
    with pytest.raises(NotImplementedError, match="add `build`"):
        make_stream("mine")


def test_unlisted_options_stand_in_records_only_where_they_were_chosen() -> None:
    @dataclass(frozen=True)
    class Options:
        old: int = option(1, "old")
        new: int = option(2, "new", unlisted=True)

    assert listed(Options()) == {"old": 1} and listed(Options(new=3)) == {"old": 1, "new": 3}
