"""Class-incremental families of images of the user's choice, whose classes are known once the images are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cl.data.store import Progress
from cl.errors import UsageError
from cl.options import option
from cl.settings.class_incremental import (
    ClassIncremental,
    IncrementalOptions,
    check_options,
    class_incremental,
    with_defaults,
)
from cl.stream import Stream

DEFAULT_TASKS = 5
WITHOUT_NETWORK = 224
"""Side of the images of a stream that is built without a run."""


@dataclass(frozen=True)
class OwnOptions(IncrementalOptions):
    """The options of such families."""

    size: int | None = option(
        None, "side of the square images in pixels; none: what the network sees, see the docstring", ge=1, le=4096
    )
    test_fraction: float = option(
        0.2, "share of test images in every class, for images without a split of their own", gt=0, lt=1
    )
    split_seed: int = option(
        0, "seed of that split, for images without a split of their own; independent of the seeds of a run"
    )


def with_size(options: Any, side: int) -> Any:
    """The options with a size, `side` if they have none; raises `UsageError` for values that do not fit."""
    options = replace(options, size=side) if options.size is None else options
    if not 1 <= options.size <= 4096:
        raise UsageError(f"size={options.size} must be in 1..4096 pixels.")
    if not 0 < options.test_fraction < 1:
        raise UsageError(f"test_fraction={options.test_fraction} must be between 0 and 1.")
    return options


def with_tasks(options: Any, n_classes: int) -> Any:
    """The options with tasks for these classes, 5 or fewer by default; raises `UsageError` if they do not fit."""
    tasks = max(1, min(DEFAULT_TASKS, n_classes - max(options.base - 1, 0)))
    options = with_defaults(options, n_classes, tasks=tasks)
    check_options(options, n_classes)
    return options


class ReadFirst(ClassIncremental):
    """Base of such families: a subclass defines `read` and `title`."""

    Options = OwnOptions
    sized_by_network = True

    def build(
        self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Progress | None = None
    ) -> Stream:
        """As `ClassIncremental.build`, but task sizes are filled in once the images are read."""
        options = with_size(options, self.side_of(argument, WITHOUT_NETWORK))
        dataset = self.read(options, argument, progress)
        if len(dataset.class_names) < 2:
            raise UsageError(f"{self.title(argument)} has a single class; a stream needs at least two.")
        options = with_tasks(options, len(dataset.class_names))
        return class_incremental(
            dataset, options, name=self.title(argument), version=self.version, order_seed=order_seed,
            data_seed=data_seed, extra=self.extra(options, argument), family=self.family,
        )  # fmt: skip

    def extra(self, options: Any, argument: str) -> dict[str, Any]:
        """The size and the split, for the identity."""
        return {"size": options.size, "test_fraction": options.test_fraction, "split_seed": options.split_seed}
