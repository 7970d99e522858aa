"""CIFAR-100 and CIFAR-10, class-incremental."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cl.data.store import Dataset, IndexArray, Progress
from cl.errors import UsageError
from cl.options import option
from cl.settings.class_incremental import ClassIncremental, IncrementalOptions


class _SplitCifar(ClassIncremental):
    """The common part of both streams."""

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data.catalog import load

        return load(self.dataset, progress)


class SplitCIFAR100(_SplitCifar):
    """CIFAR-100 (50,000 training and 10,000 test images, 32x32) in 10 tasks of 10 classes (B0-Inc10).

    Name: Split CIFAR-100

    `increment=5` gives B0-Inc5, `base=50` B50-Inc10. Fine labels in CIFAR's alphabetical numbering, official split.
    With `--few-shot`, `lists=topic` gives the sessions of TOPIC: classes in CIFAR's order, and the listed images.
    """

    name, dataset = "split-cifar100", "cifar100"
    n_classes, usual = 100, {"increment": 10}

    @dataclass(frozen=True)
    class Options(IncrementalOptions):
        lists: str = option(
            "none", "few-shot: images of later classes drawn by the data seed, or those of TOPIC's lists, in its order",
            choices=("none", "topic"), unlisted=True,
        )  # fmt: skip

    def prepared(self, options: Any, argument: str) -> Any:
        return super().prepared(_as_listed(options) if _lists(options) else options, argument)

    def listed_rows(self, dataset: Dataset, options: Any) -> Mapping[int, IndexArray] | None:
        if not _lists(options):
            return None
        from cl.data.session_lists import topic_rows

        return {label: np.sort(rows[: options.shots]) for label, rows in topic_rows(dataset).items()}

    def extra(self, options: Any, argument: str) -> dict[str, Any]:
        return {"lists": options.lists, "shots_seed": None} if _lists(options) else {}


def _lists(options: Any) -> bool:
    """Whether published lists choose the images; plain options of any class-incremental stream do not ask for them."""
    return getattr(options, "lists", "none") != "none"


def _as_listed(options: Any) -> Any:
    """The options with TOPIC's tasks; raises `UsageError` for others."""
    from cl.data.session_lists import BASE, INCREMENT, SHOTS

    if options.shots is None or options.shots > SHOTS:
        raise UsageError(f"lists=topic needs few-shot sessions: add --few-shot, or set stream.shots to 1..{SHOTS}.")
    asked = (options.base or BASE, options.increment or INCREMENT, options.tasks)
    own = options.sizes or options.classes_file or options.tasks_file
    if own or asked != (BASE, INCREMENT, None) or options.order not in ("pycil", "natural"):
        raise UsageError(
            f"lists=topic fixes the tasks ({BASE} classes, then {INCREMENT} at a time) and the natural order; leave "
            "base, increment, tasks, sizes, order and files of classes out."
        )
    return replace(options, base=BASE, increment=INCREMENT, order="natural")


class SplitCIFAR10(_SplitCifar):
    """CIFAR-10 (50,000 training and 10,000 test images, 32x32) in 5 tasks of 2 classes.

    Name: Split CIFAR-10
    """

    name, dataset = "split-cifar10", "cifar10"
    n_classes, usual = 10, {"increment": 2}
