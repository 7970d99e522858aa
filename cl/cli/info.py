"""`clbench info`: all about a strategy, a stream, a backbone, a metric or a logger."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from cl.cli.completers import complete_anything

_EPILOG = """\b
Examples:
  clbench info slca                  what it is, its options, the paper's presets
  clbench info split-cifar100
  clbench info vit_base_patch16_224.augreg_in21k
  clbench info F_chaudhry            formula and source of a metric"""


@click.command("info", epilog=_EPILOG, short_help="options, presets, rules, formula")
@click.argument("name", shell_complete=complete_anything)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> int:
    """Describe the strategy, stream, backbone, metric or logger NAME."""
    found = _find(name)
    if as_json:
        click.echo(json.dumps(found, indent=1, default=str))
        return 0
    click.echo(f"{found['name']} ({found['kind']})")
    if found.get("doc"):
        click.echo(f"\n{found['doc']}")
    facts = {key: value for key, value in found.get("facts", {}).items() if value not in (None, "", [])}
    if facts:
        click.echo()
        width = max(map(len, facts))
        for key, value in facts.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            click.echo(f"{key:<{width}}  {text}")
    _print_options(found.get("options", []))
    _print_presets(found.get("presets", []))
    if found.get("bibtex"):
        click.echo(f"\n{found['bibtex']}")
    return 0


def _find(name: str) -> dict[str, Any]:
    """What is known about `name`; raises `UsageError` with the nearest names when nothing is."""
    from cl import registry
    from cl.errors import UsageError
    from cl.results.metrics import METRICS

    if name in registry.strategies:
        return _strategy(name)
    if name in registry.streams:
        return _stream(name)
    if name in METRICS:
        return _metric(name)
    if name in registry.loggers:
        return _logger(name)
    known = [*registry.strategies, *registry.streams, *registry.backbones, *METRICS, *registry.loggers]
    hint = registry.did_you_mean(name, known)
    # Asking timm takes seconds, so a name that is nearly one of ours is not looked up there.
    backbone = None if hint and name not in registry.backbones else _backbone(name)
    if backbone is None:
        kinds = "strategy, stream, backbone, metric or logger"
        raise UsageError(f"There is no {kinds} '{name}'.{hint or ' Try `clbench list`.'}")
    return backbone


def _strategy(name: str) -> dict[str, Any]:
    from cl import registry
    from cl.presets import load_presets
    from cl.references import bibtex

    method = registry.strategies.get(name)
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
    from cl.data.catalog import DATASETS

    family = registry.streams.get(name)
    facts = {"Version": family.version, "From": " ".join(registry.streams.distribution(name)).strip()}
    declared = DATASETS.get(getattr(family, "dataset", ""))
    if declared is not None:
        facts |= {"Data": declared.title, "Licence": declared.licence, "Cite": declared.citation}
    return {
        "name": name,
        "kind": "stream",
        "doc": inspect.getdoc(family) or "",
        "facts": facts,
        "options": _options(family.Options, "stream."),
    }


def _backbone(name: str) -> dict[str, Any] | None:
    """A registered or timm backbone, from its declared configuration; no weights are read or fetched."""
    import timm

    from cl import registry
    from cl.backbone.options import BackboneOptions

    arch, _, tag = name.partition("@")[0].partition(".")
    doc = ""
    if arch in registry.backbones:
        registry.backbones.get(arch)  # registers itself with timm
        doc = registry.backbones.docstring(arch)
    if not timm.is_model(arch):
        return None
    declared = timm.get_pretrained_cfg(f"{arch}.{tag}" if tag else arch)
    config: dict[str, Any] = declared.to_dict() if declared is not None else {}
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{arch}.*")]
    facts = {
        "Tags": [each for each in tags if each],
        "Input": "x".join(map(str, config.get("input_size") or ())),
        "Mean": list(config.get("mean") or ()),
        "Std": list(config.get("std") or ()),
        "Interpolation": config.get("interpolation"),
        "Licence": config.get("license"),
        "Weights": config.get("hf_hub_id") or config.get("url") or config.get("file"),
    }
    return {
        "name": name,
        "kind": "backbone",
        "doc": doc,
        "facts": facts,
        "options": _options(BackboneOptions, "backbone."),
    }


def _metric(name: str) -> dict[str, Any]:
    from cl.results.metrics import METRICS

    metric = METRICS[name]
    better = "higher" if metric.higher_is_better else "lower"
    facts = {"Formula": metric.formula, "Source": metric.source, "Better": better, "Needs": list(metric.needs)}
    return {"name": name, "kind": "metric", "doc": metric.title, "facts": facts}


def _logger(name: str) -> dict[str, Any]:
    from cl import registry

    facts = {
        "Needs": [f"pip install '{package}'" for package in registry.loggers.get(name).requires.values()],
        "From": " ".join(registry.loggers.distribution(name)).strip(),
        "Source": str(registry.loggers.source(name) or ""),
    }
    return {"name": name, "kind": "logger", "doc": registry.loggers.docstring(name), "facts": facts}


def _options(options_class: type, prefix: str) -> list[dict[str, Any]]:
    from cl.config import describe_constraints, jsonable, options_of

    return [
        {
            "key": prefix + key if info.nested is None else f"{info.nested}.KEY",
            "type": info.type_name if info.nested is None else "",
            "default": jsonable(info.default) if info.nested is None else "",
            "accepts": describe_constraints(info.constraints),
            "help": info.help,
        }
        for key, info in options_of(options_class).items()
    ]


def _print_options(options: list[dict[str, Any]]) -> None:
    if not options:
        return
    click.echo("\nOptions (--set KEY=VALUE):")
    width = max(len(option["key"]) for option in options)
    for option in options:
        default = option["default"]
        shown = ",".join(map(str, default)) if isinstance(default, list) else default
        accepts = f"; {option['accepts']}" if option["accepts"] else ""
        about = f"  [{option['type']}, default {str(shown).lower() if shown is None else shown}{accepts}]"
        click.echo(f"  {option['key']:<{width}}  {option['help']}{about if option['type'] else ''}")


def _print_presets(presets: list[dict[str, Any]]) -> None:
    if not presets:
        return
    click.echo("\nPresets (unnamed ones apply by themselves where they match, in this order):")
    for preset in presets:
        name = f"--preset {preset['name']}: " if preset["name"] else ""
        click.echo(f"  {name}{'|'.join(preset['stream'])} with {'|'.join(preset['backbone'])}")
        click.echo(f"    source: {preset['source']}")
        values = ", ".join(f"{key}={value}" for key, value in preset["options"].items())
        click.echo(f"    {values or 'the defaults'}")
