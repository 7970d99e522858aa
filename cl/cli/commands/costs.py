"""`clbench costs`: what runs cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.shared import filter_option
from cl.cli.text import room, say

if TYPE_CHECKING:
    from cl.results.costs import Costs

_EPILOG = """\b
Examples:
  clbench costs results
  clbench costs results --filter stream=split-cifar100 --filter strategy=slca,l2p
  clbench costs results/split-digits/slca --json

\b
FLOPs, parameters and bytes are counted and can be compared anywhere. Seconds, peak memory and energy depend on the
machine: compare them within a letter. Energy is of the whole device, other processes included, as its counter tells."""

NOT_MEASURED = "not measured"


@click.command("costs", epilog=_EPILOG, short_help="what runs cost: FLOPs, parameters, memory, time, energy")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@filter_option("Only runs")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folders: tuple[Path, ...], filters: tuple[str, ...], as_json: bool) -> int:
    """Compare the costs of runs, one table per stream and backbone; seeds are averaged, the cheapest first.

    Every table names what its costs were measured with: versions, device, threads and precision.
    """
    from cl.cli.reading import read_indexed
    from cl.errors import UsageError
    from cl.results.costs import costs
    from cl.results.leaderboard.filters import patterns_of

    found = costs(read_indexed(folders)[0], patterns_of(filters))
    if not found:
        raise UsageError("No complete run passes the filter; `clbench costs` without it shows all.")
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=1, allow_nan=False))
        return 0
    say("\n\n".join("\n".join(_lines(each)) for each in found))
    return 0


def _lines(found: Costs) -> list[str]:
    from cl.errors import printable
    from cl.results.fitted import fitted

    heads = ["strategy", "runs", "TFLOPs", "trained", "kept MB", "of it images", "peak MB", "learning s", "total s",
             "energy kJ", "with"]  # fmt: skip
    rows = [_cells(row) for row in found.rows]
    unknown = all(_energy(row) == NOT_MEASURED for row in found.rows)
    if unknown:  # said below
        place = heads.index("energy kJ")
        heads, *rows = [each[:place] + each[place + 1 :] for each in (heads, *rows)]
    lines = [printable(found.board), *fitted(heads, rows, room(), left=("strategy", "with"))]
    lines += [printable(f"{letter}: {text}") for letter, text in found.environments.items()]
    if len(found.environments) > 1:
        lines.append("Seconds, peak memory and energy of different letters must not be compared.")
    if len(found.counted_by) > 1:
        lines.append(f"FLOPs were counted by {' and '.join(found.counted_by)}: do not compare them across these.")
    if unknown:
        lines.append("Energy was not measured: no counter could be read (RAPL on Linux, NVML with nvidia-ml-py).")
    return lines


def _cells(row: dict[str, Any]) -> list[str]:
    kept = [row[f"kept_{kind}"] for kind in ("samples", "statistics", "parameters")]
    peak = row["peak_device"] or row["peak_rss"]
    tuning = "" if row["tuning_tflops"] is None else f" + {row['tuning_tflops']:.4g} tuning"
    return [
        ", ".join(filter(None, [f"{row['strategy']} {row['options']}".rstrip(), row["continues"]])),
        str(row["n_runs"]),
        _number(row["tflops"], ".4g") + tuning,
        _number(row["trained"], ",.0f"),
        _number(None if None in kept else sum(kept) / 1e6, ".4g"),
        _number(None if kept[0] is None else kept[0] / 1e6, ".4g"),
        _number(None if peak is None else peak / 1e6, ".0f"),
        _number(row["learning_seconds"], ".1f"),
        _number(row["total_seconds"], ".1f"),
        _energy(row),
        row["measured_with"],
    ]


def _energy(row: dict[str, Any]) -> str:
    """By device: `1.2 CPU + 3.4 GPU`."""
    parts = [
        f"{row[f'{kind}_joules'] / 1e3:.4g} {name}"
        for kind, name in (("processor", "CPU"), ("accelerator", "GPU"))
        if row[f"{kind}_joules"] is not None
    ]
    return " + ".join(parts) or NOT_MEASURED


def _number(value: float | None, form: str) -> str:
    return NOT_MEASURED if value is None else format(value, form)
