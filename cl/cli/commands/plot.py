"""`clbench plot`: figures of the runs in results folders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from cl.cli.reading import read_results
from cl.results.plots import DATA_FORMAT, FORMATS, KINDS, THEMES

_EPILOG = """\b
Examples:
  clbench plot results                                  every figure, as SVG, in ./plots
  clbench plot results --kind curves,cost --format svg,png --theme light,dark
  clbench plot results --kind matrix --format json      the numbers behind the figures
  clbench plot results --kind rank                      forgetting against the rank of LoRA

\b
Kinds:
""" + "\n".join(f"  {kind:11} {about}" for kind, about in KINDS.items())


def several(what: str, known: Iterable[str], text: str) -> list[str]:
    """The words of a comma list; raises `UsageError` for an unknown one."""
    from cl.errors import UsageError, did_you_mean

    choices = list(known)
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in words:
        if word not in choices:
            hint = did_you_mean(word, choices) or f" Choose from: {', '.join(choices)}."
            raise UsageError(f"There is no {what} '{word}'.{hint}")
    if not words:
        raise UsageError(f"{what} is empty; choose from: {', '.join(choices)}.")
    return words


@click.command("plot", epilog=_EPILOG, short_help="figures of the runs in results folders")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--kind", default=",".join(KINDS), metavar="KIND[,KIND]", help="Kinds of figures.  [default: all]")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="plots", show_default=True, metavar="FOLDER",
    help="Folder of the figures.",
)  # fmt: skip
@click.option("--format", "formats", default="svg", show_default=True, help="svg, png, json (the numbers), or several.")
@click.option("--theme", default="light", show_default=True, help="light, dark, transparent, or several.")
@click.option("--rule", help="Prediction rule.  [default: the strictest rule of each run]")
@click.option("--json", "as_json", is_flag=True, help="Print the list of files as JSON.")
def command(
    folders: tuple[Path, ...], kind: str, out: Path, formats: str, theme: str, rule: str | None, as_json: bool
) -> int:
    """Draw the runs below the folders (default: the results folder); seeds are averaged.

    One figure per stream definition and backbone, or per row for `matrix` and `confusion`. Only complete runs are
    drawn; limited runs (--limit, --max-tasks) get their own, marked figures. The same records and matplotlib give the
    same bytes.
    """

    from cl.errors import UsageError
    from cl.results.plots import plots_of
    from cl.results.plots.architecture import LEAST

    kinds, suffixes = several("kind", KINDS, kind), several("format", (*FORMATS, DATA_FORMAT), formats)
    themes = several("theme", THEMES, theme)
    results = read_results(folders)
    plots = plots_of(results.records, kinds, rule, folders=[file.parent for file in results.files])
    needs = {
        "architecture": f", which needs one configuration on {LEAST} or more networks",
        "transfer": ", which needs runs of independent and of another learner on one stream, backbone and seed",
    }
    without = [name for name in kinds if name not in {plot.kind for plot in plots}]
    if not plots:
        needed = needs.get(kinds[0], "") if len(kinds) == 1 else ""
        raise UsageError(
            f"These runs have nothing to show as {', '.join(kinds)}{needed}; `--kind curves` shows any run."
        )
    if kind != ",".join(KINDS):  # they were asked for by name
        for name in without:
            click.echo(f"These runs have nothing to show as {name}{needs.get(name, '')}.", err=True)
    written = []
    for plot in plots:
        for suffix in suffixes:
            for name in themes[:1] if suffix == DATA_FORMAT else themes:
                ending = "" if suffix == DATA_FORMAT or name == themes[0] else f"-{name}"
                path = plot.save(out / f"{plot.name}{ending}.{suffix}", THEMES[name])
                written.append({"kind": plot.kind, "title": plot.data["title"], "theme": name, "file": str(path)})
                if not as_json:
                    click.echo(path)
    if as_json:
        click.echo(json.dumps(written, indent=1))
    return 0
