"""`clbench plot`: figures of the runs in results folders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from cl.cli.reading import read_results
from cl.cli.shared import filter_option, top_option
from cl.results.plots import DATA_FORMAT, FORMATS, KINDS, THEMES

_EPILOG = """\b
Examples:
  clbench plot results                                  every figure, as SVG, in ./plots
  clbench plot results --kind curves,cost --format svg,png --theme light,dark
  clbench plot results --kind matrix --format json      the numbers behind the figures
  clbench plot results --kind rank                      forgetting against the rank of LoRA
  clbench plot results --kind curves --filter preset=small --top 8 --width column --format pdf

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
@click.option("--format", "formats", default="svg", show_default=True,
              help="svg, png, pdf, json (the numbers), or several.")  # fmt: skip
@click.option("--theme", default="light", show_default=True, help="light, dark, transparent, or several.")
@click.option("--rule", help="Prediction rule.  [default: the strictest rule of each run]")
@filter_option("Draw only runs")
@top_option
@click.option("--title", metavar="TEXT", help="Title of every figure; '' for none.  [default: stream and backbone]")
@click.option(
    "--width", metavar="WIDTH", help="Width of the whole figure: 85mm, 3.25in, column (3.25in), page (6.75in)."
)
@click.option("--font-size", type=click.FloatRange(4, 40), metavar="POINTS",
              help="Size of type.  [default: 10; 8 with --width]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the list of files as JSON.")
def command(
    folders: tuple[Path, ...], kind: str, out: Path, formats: str, theme: str, rule: str | None,
    filters: tuple[str, ...], top: int | None, title: str | None, width: str | None, font_size: float | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Draw the runs below the folders (default: the results folder); seeds are averaged.

    One figure per stream definition and backbone, or per row for `matrix` and `confusion`. Only complete runs are
    drawn; limited runs (--limit, --max-tasks) get their own, marked figures. Of more than 12 rows the best 12 have
    colours and labels. The same records and matplotlib give the same bytes.
    """

    from cl.cli.lengths import inches_of
    from cl.errors import UsageError, counted, printable
    from cl.results.leaderboard.filters import patterns_of
    from cl.results.plots import Page, plots_of
    from cl.results.plots.architecture import LEAST
    from cl.results.plots.fonts import missing

    kinds, suffixes = several("kind", KINDS, kind), several("format", (*FORMATS, DATA_FORMAT), formats)
    themes = several("theme", THEMES, theme)
    inches = None if width is None else inches_of(width, "--width")
    page = Page(inches, font_size or (10 if inches is None else 8), title)
    wanted = patterns_of(filters)
    results = read_results(folders)
    places = [file.parent for file in results.files]
    plots = plots_of(results.records, kinds, rule, folders=places, filters=wanted, top=top)
    needs = {
        "architecture": f", which needs one configuration on {LEAST} or more networks",
        "tasks": ", which needs runs that are told the task; try --rule til_masked",
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
                path = plot.save(out / f"{plot.name}{ending}.{suffix}", THEMES[name], page)
                written.append({"kind": plot.kind, "title": plot.data["title"], "theme": name, "file": str(path)})
                if not as_json:
                    click.echo(path)
    if as_json:
        click.echo(json.dumps(written, indent=1))
    boxes = missing("".join(plot.text(page) for plot in plots)) if set(suffixes) & {"png", "pdf"} else ""
    if boxes:
        letters = f"{counted(len(boxes), 'letter')} of these texts, such as {printable(boxes[:5])}"
        fix = "Install one that does, such as Noto Sans CJK, or write SVG."
        click.echo(f"No font of this machine has {letters}; boxes stand for them. {fix}", err=True)
    return 0
