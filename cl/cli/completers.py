"""Shell completion of names, presets and option keys, without importing a method or torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

Items = list[CompletionItem]
_ALWAYS = {"stream.": ("cl.settings", "SettingOptions"), "backbone.": ("cl.backbone.options", "BackboneOptions")}
"""Options that do not depend on the names given."""


def _matching(names: Iterable[tuple[str, str]], incomplete: str) -> Items:
    return [CompletionItem(name, help=about or None) for name, about in names if name.startswith(incomplete)]


def complete_dataset(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Known datasets, and datasets in official files, whose modules are not imported for their titles."""
    from cl.data import releases
    from cl.data.catalog import DATASETS

    titles = dict.fromkeys(releases.names(), "") | {name: declared.title for name, declared in DATASETS.items()}
    return _matching(titles.items(), incomplete)


def complete_probe(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Packs in the folders of data, and streams: what `--probe` takes."""
    from cl.declared.obtain import SUBFOLDERS
    from cl.paths import data_path, home

    folders = [root / sub for root in [*data_path(), home() / "data"] for sub in ("", *SUBFOLDERS)]
    packs = {re.sub("_(train|test)$", "", file.stem) for folder in folders for file in folder.glob("*.npz")}
    found = _matching(((name, "") for name in sorted(packs)), incomplete)
    return found + complete("streams")(ctx, parameter, incomplete)


def complete_metric(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Metrics."""
    from cl.records.metrics import METRICS

    return _matching(((name, metric.title) for name, metric in METRICS.items()), incomplete)


def complete_anything(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """All names that `clbench info` describes: strategies, streams, backbones and metrics."""
    from cl.cli.completers import complete

    kinds = ("strategies", "streams", "backbones")
    registered = [item for kind in kinds for item in complete(kind)(ctx, parameter, incomplete)]
    return registered + complete_metric(ctx, parameter, incomplete)


def complete_preset(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Named presets of the strategies on the command line."""
    from cl.plan.presets import load_presets

    presets = [preset for name in _given(ctx, "strategy") for preset in load_presets(name) if preset.name]
    return _matching({str(preset.name): preset.source for preset in presets}.items(), incomplete)


def complete_key(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Keys of --set for the strategies and streams on the command line, METHOD.key, and of the backbone."""
    from cl import registry

    found: dict[str, str] = {}
    methods = _given(ctx, "strategy")
    for known, given, prefix in (
        (registry.strategies, methods, ""),
        (registry.streams, _given(ctx, "stream"), "stream."),
    ):
        for name in given:
            entry = known.entry(name)
            for key, about in _options(_find(entry.module, entry.attribute)):
                found[f"{prefix}{key}="] = about
                if given is methods and (len(methods) > 1 or incomplete.startswith(f"{name}.")):
                    found[f"{name}.{key}="] = about
    for prefix, (module, name) in _ALWAYS.items():
        for key, about in _fields(_find(module, name)):
            found[f"{prefix}{key}="] = about
    return _matching(found.items(), incomplete)


def _given(ctx: click.Context, name: str) -> list[str]:
    """Names already on the command line, with comma lists split; unknown names are ignored."""
    from cl import registry

    known = registry.strategies if name == "strategy" else registry.streams
    texts = ctx.params.get(name) or ()
    return [each for text in texts for each in text.split(",") if each in known]


# ------------------------------------------------------------------------------------- options as their source has them


class _Class(NamedTuple):
    module: str
    node: ast.ClassDef

    def find(self, expression: ast.expr) -> _Class | None:
        """The class that an expression in this module's source names."""
        return _find(self.module, ast.unparse(expression))


def _options(method: _Class | None) -> Iterator[tuple[str, str]]:
    """Keys and help of a method's Options, its own or those it inherits."""
    if method is None:
        return
    for item in method.node.body:
        if isinstance(item, ast.ClassDef) and item.name == "Options":
            yield from _fields(_Class(method.module, item))
            return
        if not isinstance(item, ast.Assign | ast.AnnAssign) or item.value is None:
            continue
        target = item.targets[0] if isinstance(item, ast.Assign) else item.target
        if ast.unparse(target) == "Options":
            yield from _fields(method.find(item.value))
            return
    for base in method.node.bases:
        yield from _options(method.find(base))


def _fields(options: _Class | None) -> Iterator[tuple[str, str]]:
    """Keys and help of an options dataclass: `lr: float = option(0.01, "learning rate")`."""
    if options is None:
        return
    for base in options.node.bases:
        yield from _fields(options.find(base))
    for item in options.node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and isinstance(item.value, ast.Call):
            help_texts = [part.value for part in item.value.args[1:2] if isinstance(part, ast.Constant)]
            yield item.target.id, " ".join(map(str, help_texts))


def _find(module: str, name: str) -> _Class | None:
    """A class by its module and name, through `from module import name`; None if the source does not tell."""
    from cl.source import source_path

    source = source_path(module)
    if source is None:
        return None
    first, _, rest = name.partition(".")
    for item in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(item, ast.ClassDef) and item.name == first:
            inner = [part for part in item.body if isinstance(part, ast.ClassDef) and part.name == rest]
            return _Class(module, item) if not rest else _Class(module, inner[0]) if inner else None
        if isinstance(item, ast.ImportFrom) and item.module and not item.level:
            for alias in item.names:
                if (alias.asname or alias.name) == first and item.module != module:
                    return _find(item.module, ".".join(filter(None, (alias.name, rest))))
    return None


def complete(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """A shell completion of registered names of some kinds, with their summaries; supports comma lists."""

    def items(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from cl import registry

        known: list[registry.Registry[Any]] = [getattr(registry, kind) for kind in kinds]
        head, comma, last = incomplete.rpartition(",")
        return [
            CompletionItem(head + comma + name, help=names.summary(name))
            for names in known
            for name in names
            if name.startswith(last)
        ]

    return items
