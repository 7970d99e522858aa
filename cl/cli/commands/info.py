"""`clbench info`: details of a strategy, a stream, a backbone, a metric or a logger."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cl.cli.completers import complete_anything
from cl.cli.text import say

_EPILOG = """\b
Examples:
  clbench info slca                  what it is, its options, the paper's presets
  clbench info split-cifar100
  clbench info nevis-real --contact-sheet nevis.png --set stream.size=32
  clbench info vit_base_patch16_224.augreg_in21k
  clbench info F_chaudhry            formula and source of a metric"""


_DECLARED = ("rules", "answers", "settings", "access", "val_fraction", "version")
"""What `info` shows of a method's class, in addition to its docstring and its options."""


@click.command("info", epilog=_EPILOG, short_help="options, presets, rules, formula")
@click.argument("name", shell_complete=complete_anything)
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="For a stream: write a PNG with sample images of every task.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="For a stream: its options, such as stream.tasks=5.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, contact_sheet: Path | None, assignments: tuple[str, ...], as_json: bool) -> int:
    """Describe the strategy, stream, backbone, metric or logger NAME.

    For a stream with available data it also shows the tasks: groups, years, classes and numbers of images.
    """
    found = _find(name)
    if found["kind"] == "stream":
        return _show_stream(name, found, contact_sheet, assignments, as_json)
    if contact_sheet is not None or assignments:
        from cl.errors import UsageError

        raise UsageError(f"--contact-sheet and --set are for streams; {name} is a {found['kind']}.")
    _show(found, as_json)
    return 0


def _show_stream(
    name: str, found: dict[str, Any], sheet: Path | None, assignments: tuple[str, ...], as_json: bool
) -> int:
    """Print facts and tasks of a stream; without its data only facts, unless the tasks were requested."""
    from cl.cli import stream_info
    from cl.errors import DataError, MissingData

    stream = None
    declaration = None if name.endswith((":", "/")) or name.startswith("*") else stream_info.declared(name)
    try:
        if not name.endswith((":", "/")) and not name.startswith("*"):
            stream = stream_info.build(name, assignments)
    except DataError as error:
        if sheet is not None or not isinstance(error, MissingData):  # what is damaged is not merely absent
            raise
        found["facts"]["Tasks"] = f"not known without the data: {error}"
    if stream is not None:
        found["tasks"] = stream_info.tasks(stream, declaration)
        found["facts"]["Notes"] = " ".join(stream_info.notes(stream))
    _show(found, as_json)
    if stream is not None and not as_json:
        stream_info.show(stream, declaration)
    if sheet is not None and stream is not None:
        stream_info.contact_sheet(stream, declaration, sheet)
        click.echo(f"Wrote {sheet}.", err=True)
    return 0


def _show(found: dict[str, Any], as_json: bool) -> None:
    from cl.errors import printable

    if as_json:
        click.echo(json.dumps(found, indent=1, default=str))
        return
    click.echo(f"{found['name']} ({found['kind']})")
    if found.get("doc"):
        say("\n" + "\n".join(map(printable, str(found["doc"]).splitlines())))
    facts = {key: value for key, value in found.get("facts", {}).items() if value not in (None, "", [])}
    if facts:
        click.echo()
        width = max(map(len, facts))
        for key, value in facts.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            say(f"{key:<{width}}  {printable(str(text))}", hang=width + 2)
    _print_options(found.get("options", []), "--executor-set" if found["kind"] == "executor" else "--set")
    _print_presets(found.get("presets", []))
    if found.get("bibtex"):
        click.echo(f"\n{found['bibtex']}")


def _find(name: str) -> dict[str, Any]:
    """The description of `name`; raises `UsageError` with the nearest names if there is none."""
    from cl import registry
    from cl.errors import UsageError
    from cl.records.metrics import BUILT_IN, METRICS

    if name in registry.strategies:
        return _strategy(name)
    if name in registry.streams:
        return _stream(name)
    if name in METRICS:
        return _metric(name)
    if name in registry.loggers:
        return _logger(name)
    if name in registry.executors:
        return _executor(name)
    plugins = (registry.strategies, registry.streams, registry.backbones, registry.loggers, registry.executors)
    known = [*BUILT_IN, *registry.metrics, *(each for kind in plugins for each in kind)]
    hint = registry.did_you_mean(name, known)
    # A timm lookup takes seconds, so it is skipped for a name close to one of ours.
    backbone = None if hint and name not in registry.backbones else _backbone(name)
    if backbone is None:
        kinds = "strategy, stream, backbone, metric, logger or executor"
        raise UsageError(f"There is no {kinds} '{name}'.{hint or ' Try `clbench list`.'}")
    return backbone


def _strategy(name: str) -> dict[str, Any]:
    from cl import registry
    from cl.plan.presets import load_presets
    from cl.plan.references import bibtex

    method = registry.strategies.declared(name, "Options", *_DECLARED)
    presets = [
        {
            "name": preset.name,
            "stream": list(preset.stream),
            "backbone": list(preset.backbone),
            "source": preset.source,
            "options": dict(preset.options),
        }
        for preset in load_presets(name)
    ]
    facts = {
        "Rules": list(method.rules),
        "Answers": list(method.answers) or None,
        "Settings": list(method.settings),
        "Access": "past training data: a bound, not ranked" if method.access == "past" else "present task only",
        "Validation share": method.val_fraction or None,
        "Version": method.version,
        "From": " ".join(registry.strategies.distribution(name)).strip(),
        "Source": str(registry.strategies.source(name) or ""),
    }
    return {
        "name": name,
        "kind": "strategy",
        "doc": inspect.getdoc(method) or "",
        "facts": facts,
        "options": _options(method.Options, ""),
        "presets": presets,
        "bibtex": bibtex(name),
    }


def _stream(name: str) -> dict[str, Any]:
    from cl import registry
    from cl.data.catalog import DATASETS, here
    from cl.family import family_of
    from cl.settings import SettingOptions

    family = family_of(name)
    facts: dict[str, Any] = {"Version": family.version, "From": " ".join(registry.streams.distribution(name)).strip()}
    declared = DATASETS.get(family.dataset)
    if declared is not None:
        facts |= {"Data": declared.title, "Licence": declared.licence, "Cite": declared.citation}
        if declared.part is not None:
            facts["Here"] = here(declared)
        if declared.is_tree:
            names = [*(form.names[0] for form in declared.sources), declared.archive.name]
            facts |= {"Looks for": names, "Downloads": list(declared.archive.urls), "Verified": declared.checked}
    return {
        "name": name,
        "kind": "stream",
        "doc": inspect.cleandoc(family.__doc__ or ""),
        "facts": facts,
        "options": _options(family.Options, "stream.") + _options(SettingOptions, "stream."),
    }


def _backbone(name: str) -> dict[str, Any] | None:
    """A registered or timm backbone, from its declared configuration; no weights are read or downloaded."""
    import timm

    from cl import registry
    from cl.backbone import hub
    from cl.backbone.facts import CLIP
    from cl.backbone.options import BackboneOptions

    arch, _, tag = name.partition("@")[0].partition(".")
    doc = ""
    if hub.is_hub(name):
        found = hub.read(name)
        about = {
            "Architecture": found.architecture,
            "Arguments": [f"{key}={value}" for key, value in found.arguments.items()],
            **_inputs(found.inputs),
            "Weights": hub.repository(name),
        }
        return {
            "name": name, "kind": "backbone", "doc": "", "facts": about,
            "options": _options(BackboneOptions, "backbone."),
        }  # fmt: skip
    if name.startswith(CLIP):
        from cl.backbone import clip

        about = clip.facts(name)
        doc, options = registry.backbones.docstring(arch), _options(BackboneOptions, "backbone.")
        return {"name": name, "kind": "backbone", "doc": doc, "facts": about, "options": options}
    if arch in registry.backbones:
        registry.backbones.get(arch)  # its module may register the configuration with timm
        doc = registry.backbones.docstring(arch)
    elif not timm.is_model(arch):
        return None
    declared = timm.get_pretrained_cfg(f"{arch}.{tag}" if tag else arch)
    config: dict[str, Any] = declared.to_dict() if declared is not None else {}
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{arch}.*")]
    facts = {
        "Tags": [each for each in tags if each],
        **_inputs(config),
        "Weights": config.get("hf_hub_id") or config.get("url") or config.get("file"),
    }
    return {
        "name": name,
        "kind": "backbone",
        "doc": doc,
        "facts": facts,
        "options": _options(BackboneOptions, "backbone."),
    }


def _inputs(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration of timm says of the images, and the licence of the weights."""
    return {
        "Input": "x".join(map(str, config.get("input_size") or ())),
        "Mean": list(config.get("mean") or ()),
        "Std": list(config.get("std") or ()),
        "Interpolation": config.get("interpolation"),
        "Licence": config.get("license"),
    }


def _metric(name: str) -> dict[str, Any]:
    from cl import registry
    from cl.records.metrics import METRICS

    metric = METRICS[name]
    better = "higher" if metric.higher_is_better else "lower"
    facts: dict[str, Any] = {"Formula": metric.formula, "Source": metric.source, "Better": better}
    facts |= {"Unit": metric.unit, "Needs": list(metric.needs)}
    doc = metric.title
    if metric.plugin:
        doc = registry.metrics.docstring(name)
        facts = {key: value for key, value in facts.items() if key not in ("Formula", "Source")}  # the docstring's
        facts["From"] = " ".join(registry.metrics.distribution(name)).strip()
        facts["File"] = str(registry.metrics.source(name) or "")
    return {"name": name, "kind": "metric", "doc": doc, "facts": facts}


def _logger(name: str) -> dict[str, Any]:
    from cl import registry

    facts = {
        "Needs": [f"pip install '{package}'" for package in registry.loggers.get(name).requires.values()],
        "From": " ".join(registry.loggers.distribution(name)).strip(),
        "Source": str(registry.loggers.source(name) or ""),
    }
    return {"name": name, "kind": "logger", "doc": registry.loggers.docstring(name), "facts": facts}


def _executor(name: str) -> dict[str, Any]:
    from cl import registry
    from cl.executors.base import COMMON

    kind = registry.executors.get(name)
    facts = {
        "Needs": [f"pip install '{package}'" for package in kind.requires.values()],
        "From": " ".join(registry.executors.distribution(name)).strip(),
        "Source": str(registry.executors.source(name) or ""),
    }
    options = [each for each in _options(kind, "") if each["key"] not in COMMON]
    doc = registry.executors.docstring(name)
    return {"name": name, "kind": "executor", "doc": doc, "facts": facts, "options": options}


def _options(options_class: type, prefix: str) -> list[dict[str, Any]]:
    from cl.options import jsonable, options_of
    from cl.values import describe_constraints

    return [
        {
            "key": prefix + key if info.nested is None else f"{info.nested}.KEY",
            "type": info.type_name if info.nested is None else "",
            "default": jsonable(info.default) if info.nested is None else "",
            "accepts": describe_constraints(info.constraints),
            "help": info.help,
            **({"search": str(info.search)} if info.search is not None else {}),
        }
        for key, info in options_of(options_class).items()
    ]


def _print_options(options: list[dict[str, Any]], flag: str) -> None:
    if not options:
        return
    click.echo(f"\nOptions ({flag} KEY=VALUE):")
    width = max(len(option["key"]) for option in options)
    for option in options:
        default = option["default"]
        shown = ",".join(map(str, default)) if isinstance(default, list) else default
        accepts = f"; {option['accepts']}" if option["accepts"] else ""
        accepts += f"; tuned in {option['search']}" if "search" in option else ""
        about = f"  [{option['type']}, default {str(shown).lower() if shown is None else shown}{accepts}]"
        say(f"  {option['key']:<{width}}  {option['help']}{about if option['type'] else ''}", hang=width + 4)


def _print_presets(presets: list[dict[str, Any]]) -> None:
    if not presets:
        return
    say("\nPresets (unnamed ones apply by themselves where they match, in this order):")
    say("  None applies to a stream whose setting is not among those above: `clbench run` refuses it.")
    for preset in presets:
        name = f"--preset {preset['name']}: " if preset["name"] else ""
        say(f"  {name}{'|'.join(preset['stream'])} with {'|'.join(preset['backbone'])}")
        say(f"    source: {preset['source']}")
        values = ", ".join(f"{key}={value}" for key, value in preset["options"].items())
        say(f"    {values or 'the defaults'}")
