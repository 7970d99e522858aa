"""The API reference: which names have a page, as directives that mkdocstrings fills from docstrings."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from cl.source import parsed, source_path


class Page(NamedTuple):
    """A page of the reference; each of `targets` is a name, or a package whose exported names are meant."""

    title: str
    about: str
    targets: Sequence[str]


PAGES = {
    "1-runs": Page(
        "Runs and results",
        "Each is also an attribute of `cl`, or of `cl.results`. [Python API](../python-api.md) shows them at work.",
        (
            "cl.api.run",
            "cl.api.resume",
            "cl.api.load_results",
            "cl.running.build.load_learner",
            "cl.running.result.RunResult",
            "cl.results.store.Results",
            "cl.plan.plan.make_plan",
            "cl.plan.plan.Plan",
        ),
    ),
    "2-strategies": Page(
        "Strategies",
        "Import these from `cl.strategy`, wrappers from `cl.bases.wrapper`. The contract in words is "
        "[The strategy contract](../strategy-contract.md).",
        (
            "cl.strategy.Strategy",
            "cl.strategy.Inputs",
            "cl.stream.View",
            "cl.stream.ImageSet",
            "cl.stream.StreamInfo",
            "cl.protocol.Needs",
            "cl.protocol.TaskSize",
            "cl.protocol.Work",
            "cl.options.option",
            "cl.options.nested",
            "cl.training.optim.Step",
            "cl.training.optim.sgd",
            "cl.training.optim.adam",
            "cl.training.optim.adamw",
            "cl.training.batches.Batch",
            "cl.backbone.model.Backbone",
            "cl.bases.wrapper.Wrapper",
        ),
    ),
    "3-streams": Page(
        "Streams",
        "`cl.Family`, `cl.ClassIncremental` and `cl.Stream`; images are in `cl.data.store`. "
        "[Add a stream](../add-a-stream.md) builds one.",
        (
            "cl.family.Family",
            "cl.settings.class_incremental.ClassIncremental",
            "cl.stream.Stream",
            "cl.stream.Experience",
            "cl.stream.Group",
            "cl.stream.Train",
            "cl.stream.Evaluate",
            "cl.data.store.ImageStore",
            "cl.data.store.Dataset",
        ),
    ),
    "4-metrics-and-loggers": Page(
        "Metrics and loggers",
        "`cl.MetricPlugin` and `cl.Logger`; [Add a metric or a logger](../add-a-metric-or-logger.md) builds both.",
        (
            "cl.records.plugin_metrics.MetricPlugin",
            "cl.records.matrix.AccuracyMatrix",
            "cl.records.metric.Metric",
            "cl.records.metrics.compute_all",
            "cl.records.metrics.metrics_of",
            "cl.loggers.Logger",
            "cl.progress.base.Observer",
        ),
    ),
    "5-checks": Page("Checks", "What `clbench check` runs, for tests of your own.", ("cl.testing",)),
    "6-parts": Page(
        "Parts",
        "Building blocks of methods; import them from the package in the heading's name.",
        (
            "cl.parts.memory.Memory",
            "cl.parts.memory.ReplayBatches",
            "cl.parts.exemplars.Exemplars",
            "cl.parts.losses",
            "cl.parts.heads",
            "cl.parts.attached",
            "cl.parts.statistics",
            "cl.parts.weights",
            "cl.parts.merging",
        ),
    ),
    "7-errors": Page("Errors", "Every error that a user can act on.", ("cl.errors",)),
}
"""The pages by file name, in order."""


def generated() -> dict[str, Callable[[], str]]:
    """Every page of the reference: its address in docs/ and the function that makes it."""
    return {f"api/{name}.md": partial(page, name) for name in PAGES}


def page(name: str) -> str:
    """One page as Markdown, before mkdocstrings fills its directives."""
    title, about, targets = PAGES[name]
    parts = [f"# {title}", about, *(f"::: {target}" for target in names(targets))]
    return "\n\n".join(parts) + "\n"


def names(targets: Sequence[str]) -> list[str]:
    """The full names of all objects of a page, each where it is defined."""
    found: list[str] = []
    for target in targets:
        source = source_path(target)
        found += [target] if source is None else _public(target, parsed(source))
    return list(dict.fromkeys(found))


def _public(module: str, tree: ast.Module) -> list[str]:
    """The names that a module exports by `__all__`, or the public classes and functions that it defines."""
    homes: dict[str, str] = {}
    exported: list[str] | None = None
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            homes |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            homes[node.name] = f"{module}.{node.name}"
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            exported = ast.literal_eval(node.value)
    own = [name for name, home in homes.items() if home == f"{module}.{name}" and not name.startswith("_")]
    wanted = own if exported is None else [name for name in exported if name in homes]
    return [homes[name] for name in wanted]
