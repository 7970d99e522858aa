"""`clbench list`: all registered names, without importing their modules."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import click

KINDS = ("strategies", "streams", "backbones", "metrics", "loggers", "executors")

_EPILOG = """\b
Examples:
  clbench list                     everything
  clbench list strategies
  clbench list metrics 'F_*'       only what matches
  clbench list --json"""


@click.command("list", epilog=_EPILOG, short_help="strategies, streams, backbones, metrics, loggers and executors")
@click.argument("kind", required=False, metavar="[KIND]", shell_complete=lambda *_: list(KINDS))
@click.argument("pattern", required=False, metavar="[GLOB]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, pattern: str | None, as_json: bool) -> int:
    """List strategies, streams, backbones, metrics, loggers and executors.

    KIND is one of these, GLOB a pattern for names (quote it).
    """
    if kind is not None and kind not in KINDS:
        if pattern is not None:
            from cl.errors import UsageError, did_you_mean

            hint = did_you_mean(kind, list(KINDS))
            raise UsageError(f"There is no kind '{kind}'; choose one of {', '.join(KINDS)}.{hint}")
        kind, pattern = None, kind
    found = {
        each: [item for item in _items(each) if pattern is None or fnmatchcase(item["name"], pattern)]
        for each in ([kind] if kind else KINDS)
    }
    if as_json:
        click.echo(json.dumps(found[kind] if kind else found, indent=1))
    else:
        _print(found, alone=kind is not None)
    from cl.errors import printable

    for place, reason in _broken().items():
        click.echo(printable(f"Left out: plugins of {place}: {reason}."), err=True)
    return 0


def _broken() -> dict[str, str]:
    """Distributions whose metadata cannot be read, as far as names were asked for."""
    from cl import registry

    kinds = (
        *(registry.strategies, registry.streams, registry.backbones),
        *(registry.metrics, registry.loggers, registry.executors),
    )
    return {place: reason for kind in kinds for place, reason in kind.broken.items()}


def _items(kind: str) -> list[dict[str, Any]]:
    from cl import registry
    from cl.errors import UsageError

    names: registry.Registry[Any] = getattr(registry, kind)
    items: list[dict[str, Any]] = []
    ours: set[str] = set()
    if kind == "metrics":  # those of clbench are no entry points
        from cl.records.metrics import BUILT_IN

        ours = set(BUILT_IN)
        items = [{"name": name, "summary": metric.title} for name, metric in BUILT_IN.items()]
    for name in names:
        try:
            owner, problem = names.distribution(name), names.problem(name)
            if name in ours:
                problem = "a metric of clbench has this name; rename it"
            summary = names.summary(name) if problem is None else f"broken: {problem}"
            items.append(
                {"name": name, "summary": summary, "distribution": " ".join(owner).strip(), **_family(kind, name)}
            )
        except UsageError as error:  # two distributions register the name: report it here
            items.append({"name": name, "summary": str(error), "distribution": None, **_family(kind, name)})
    return items


def _family(kind: str, name: str) -> dict[str, str]:
    from cl.plan.families import family_of

    return {"family": family_of(name)} if kind == "strategies" else {}


def _in_families(items: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The items by the heading above them: strategies by family, others without one."""
    from cl.plan.families import FAMILIES, OTHER

    grouped: dict[str, list[dict[str, Any]]] = {name: [] for name in FAMILIES}
    for item in sorted(items, key=lambda item: item.get("family") == OTHER):
        grouped.setdefault(item.get("family", ""), []).append(item)
    about = {name: f"{name.capitalize()}: {words}" for name, words in FAMILIES.items()}
    return [(about.get(family, family.capitalize()), inside) for family, inside in grouped.items() if inside]


def _print(found: dict[str, list[dict[str, Any]]], alone: bool) -> None:
    from cl.cli.text import say
    from cl.errors import printable
    from cl.registry import DISTRIBUTION

    width = max((len(item["name"]) for items in found.values() for item in items), default=0)
    for position, (kind, items) in enumerate(found.items()):
        if not alone:
            click.echo(("\n" if position else "") + f"{kind.capitalize()}:")
        for heading, inside in _in_families(items):
            margin = "" if alone else "  "
            if heading:
                say(f"{margin}{printable(heading)}")
                margin += "  "
            for item in inside:
                owner = item.get("distribution") or ""
                plugin = f"  [{printable(owner)}]" if owner and owner.partition(" ")[0] != DISTRIBUTION else ""
                colon = "ARCH" if kind == "backbones" else "PATH" if item["name"] == "folder:" else "NAME"
                after = {":": colon, "/": "NAME"}.get(item["name"][-1], "")
                name = printable(item["name"]) + after
                start = f"{margin}{name:<{width + 4}}  "
                say(f"{start}{printable(item['summary'])}{plugin}".rstrip(), hang=len(start))
        if kind == "backbones":
            say(f"{'' if alone else '  '}Any timm model works too, as arch.tag, arch@file or arch@random.")
