"""Omniglot, class-incremental."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cl.data.store import Dataset, Progress
from cl.settings.class_incremental import ClassIncremental, check_options, with_defaults

FIRST = {1_623: 963, 242: 120}
"""Classes of the first task: OML's meta-training classes, and about half of the pack's."""


class SplitOmniglot(ClassIncremental):
    """Omniglot (1,623 characters, 15 training and 5 test drawings each, 32x32, grey), then 10 classes per task.

    Name: Split Omniglot

    The first task has 963 classes, those of OML's meta-training (Javed & White 2019) in number; `tasks` or `increment`
    without `base` has no large first task. A pack of 242 characters is used if the official archives are not there; a
    run says so, and its first task has 120 classes. Drawers 1 to 15 make the training images.
    """

    name, dataset = "split-omniglot", "omniglot"
    n_classes = 1_623

    def prepared(self, options: Any, argument: str) -> Any:
        from cl.data.catalog import classes_here

        count = classes_here(self.dataset)
        if options.tasks is None and options.increment is None and options.shots is None:
            options = replace(options, base=options.base or FIRST[count], increment=10)
        options = with_defaults(options, count)
        check_options(options, count)
        return options

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data.catalog import load

        return load(self.dataset, progress)
