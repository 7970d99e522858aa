"""The names that we use of avalanche-lib (0.6), imported in one place and without its output."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from cl.errors import ClbenchError

_NOISY = tuple(
    os.path.dirname(spec.origin) + os.sep
    for spec in map(importlib.util.find_spec, ("avalanche", "qpsolvers"))
    if spec is not None and spec.origin
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep avalanche-lib off stdout, and its warnings (no QP solver, no loggers, deprecations) off stderr."""
    show = warnings.showwarning

    def show_others(message: Any, category: Any, filename: str, *rest: Any, **named: Any) -> None:
        if not filename.startswith(_NOISY):
            show(message, category, filename, *rest, **named)

    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.showwarning = show_others  # a filter would not do: avalanche-lib resets the filters
        yield


try:
    with quiet():
        from avalanche.benchmarks.scenarios import CLScenario
        from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience, benchmark_from_datasets
        from avalanche.benchmarks.scenarios.deprecated.generators import nc_benchmark  # makes its classic benchmarks
        from avalanche.benchmarks.scenarios.supervised import with_classes_timeline
        from avalanche.benchmarks.scenarios.task_aware import with_task_labels
        from avalanche.benchmarks.utils.classification_dataset import (
            TaskAwareSupervisedClassificationDataset,
            _make_taskaware_classification_dataset,
        )
        from avalanche.models import NCMClassifier
        from avalanche.training.plugins import EvaluationPlugin
        from avalanche.training.storage_policy import ReservoirSamplingBuffer
        from avalanche.training.supervised import EWC, ICaRL, LwF, Naive, Replay, StreamingLDA
        from avalanche.training.templates import SupervisedTemplate
        from avalanche.training.utils import ParamData
except ImportError as error:
    raise ClbenchError(
        f"avalanche-lib cannot be imported ({error}); install version 0.6 with `pip install 'avalanche-lib>=0.6'`."
    ) from error

make_dataset = _make_taskaware_classification_dataset

__all__ = [
    "EWC",
    "CLScenario",
    "DatasetExperience",
    "EvaluationPlugin",
    "ICaRL",
    "LwF",
    "NCMClassifier",
    "Naive",
    "ParamData",
    "Replay",
    "ReservoirSamplingBuffer",
    "StreamingLDA",
    "SupervisedTemplate",
    "TaskAwareSupervisedClassificationDataset",
    "benchmark_from_datasets",
    "make_dataset",
    "nc_benchmark",
    "quiet",
    "with_classes_timeline",
    "with_task_labels",
]
