"""The tables and figures that READMEs show: pure functions of the records in results/reference.

`python docs/figures.py` rewrites the tables between the two marks in README.md and in the READMEs next to the records,
and the figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cl.protocol import default_rule
from cl.records.record import config_hash
from cl.results import load_results, metrics_of
from cl.results.leaderboard.entries import value_text
from cl.results.pareto import learning_flops, pareto_table
from cl.results.plots import THEMES, Plot, plots_of
from cl.results.tables import percent

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "results" / "reference"
EARLIER = ROOT / "results" / "earlier"
MARKS = ("<!-- table: python docs/figures.py -->", "<!-- end of table -->")

_NONE = "–"  # noqa: RUF001

Record = dict[str, Any]
Column = Callable[[Sequence[Record]], str]

TOLD = ("til_oracle", "til_masked")
"""Rules under which the task is told."""


def groups(records: Sequence[Record], rules: Sequence[str] = ()) -> list[list[Record]]:
    """The complete runs, one list per configuration, best last accuracy first."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record["status"] == "complete" and not record["result"]["limited"]:
            found[record["result"]["strategy"]["name"], config_hash(record)].append(record)
    runs = [sorted(each, key=lambda record: record["result"]["seeds"]["order"]) for each in found.values()]
    return sorted(runs, key=lambda each: -_mean(each, "A_last_sample", rules))


def _values(runs: Sequence[Record], metric: str, rules: Sequence[str]) -> list[float]:
    """The metric of every run under the first of `rules` that it has (none: the strictest rule); NaN if undefined."""
    found = []
    for run in runs:
        known = run["result"]["accuracy"]
        rule = next((rule for rule in rules if rule in known), None) if rules else default_rule(known)
        value = metrics_of(run["result"])[rule].get(metric) if rule else None
        found.append(np.nan if value is None else value)
    return found


def _mean(runs: Sequence[Record], metric: str, rules: Sequence[str]) -> float:
    return float(np.mean(_values(runs, metric, rules)))


def measured(metric: str, rules: Sequence[str] = ()) -> Column:
    """A column with the mean of a metric over seeds, in percent."""
    return lambda runs: percent(_mean(runs, metric, rules))


def reported(name: str) -> Column:
    """A column with a number that the strategy reports, such as the capacity of WSN, in percent."""

    def column(runs: Sequence[Record]) -> str:
        return percent(float(np.mean([run["measurement"].get("report", {}).get(name, np.nan) for run in runs])))

    return column


def counted(name: str) -> Column:
    """A column with a number that the strategy reports, such as how many corrections it learned; mean over seeds."""

    def column(runs: Sequence[Record]) -> str:
        found = float(np.mean([run["measurement"].get("report", {}).get(name, np.nan) for run in runs]))
        return _NONE if np.isnan(found) else f"{found:,.1f}".removesuffix(".0")

    return column


def parameters(runs: Sequence[Record]) -> str:
    """Parameters of network and head after the last task, in millions."""
    return f"{np.mean([run['measurement']['parameters']['total'] for run in runs]) / 1e6:.2f}"


def tflop(runs: Sequence[Record]) -> str:
    return f"{np.mean([run['measurement']['flops']['uncached'] for run in runs]) / 1e12:.1f}"


def gflop(runs: Sequence[Record]) -> str:
    return f"{np.mean([run['measurement']['flops']['uncached'] for run in runs]) / 1e9:,.0f}"


def learning(account: str) -> Column:
    """A column with the TFLOP of learning, counted as in `cl.results.pareto`: `account` is "all" or "training"."""
    return lambda runs: f"{np.mean([sum(learning_flops(run, account).values()) for run in runs]) / 1e12:.1f}"


def front(folder: Path) -> Column:
    """A column that marks the rows of a folder on the Pareto front of error and compute."""

    def column(runs: Sequence[Record]) -> str:
        rows = pareto_table([run for each in groups(load_results(folder).records) for run in each])
        (row,) = rows[rows["config_hash"] == config_hash(runs[0])].to_dict("records")
        return "yes" if row["front"] else ""

    return column


_USUAL = {
    "average incremental": measured("A_inc_sample"),
    "forgetting": measured("F_chaudhry"),
    "last, task told": measured("A_last_sample", ("til_masked",)),
    "TFLOP": tflop,
}


@dataclass(frozen=True)
class Shown:
    """A table: the folder of its records, and its columns after the last accuracy and the values per class order.

    beside: rows of other tables on the same stream, by folder and strategy, measured with preset `small` alone.
    """

    folder: Path
    columns: dict[str, Column] = field(default_factory=lambda: _USUAL)
    rules: tuple[str, ...] = ()
    beside: tuple[tuple[Path, str], ...] = ()

    def records(self) -> Sequence[Record]:
        own = list(load_results(self.folder).records)
        for folder, strategy in self.beside:
            own += [run for run in load_results(folder / "split-cifar100" / strategy).records if is_usual(run)]
        return own


_RANKS = {
    "forgetting": measured("F_chaudhry"),
    "forgetting, task told": measured("F_chaudhry", TOLD),
    "of the pretraining": measured("F_pretraining"),
    "last, task told": measured("A_last_sample", ("til_masked",)),
    "TFLOP": tflop,
}
_SUBNETWORKS = {
    "forgetting": measured("F_chaudhry", TOLD),
    "CAP": reported("capacity"),
    "CAP, paper's rate": reported("capacity_paper_rate"),
    "TFLOP": tflop,
}
_FEW_SHOT = {
    "average incremental": measured("A_inc_sample"),
    "base": measured("A_base"),
    "novel": measured("A_novel"),
    "harmonic": measured("A_harmonic"),
    "drop (PD)": measured("PD"),
    "TFLOP": tflop,
}
_EXEMPLARS = {
    "average incremental": measured("A_inc_sample"),
    "forgetting": measured("F_chaudhry"),
    "last, other answer": measured("A_last_sample", ("cil_seen:cnn", "cil_seen:student")),
    "TFLOP": tflop,
}
_DOMAINS = {"average incremental": measured("A_inc_sample"), "forgetting": measured("F_chaudhry"), "TFLOP": tflop}
_NEVIS = {
    "error when learned": measured("E_own", TOLD),
    "TFLOP of learning": learning("all"),
    "of steps alone": learning("training"),
}
_TASK_TOLD = {"forgetting": measured("F_chaudhry", TOLD), "M parameters": parameters, "GFLOP": gflop}
_SCRATCH = {key: column for key, column in _DOMAINS.items() if key != "TFLOP"}
_SCRATCH |= {"M parameters": parameters, "GFLOP": gflop}
_EDITS = {
    "corrections": counted("edits"),
    "keys": counted("keys"),
    "kept": reported("edit_retention"),
    "first domain": reported("test_retention"),
    "before": reported("test_retention_before"),
    "GFLOP": gflop,
}
_GROWING = {
    **_DOMAINS,
    "adaptors": counted("adaptors"),
    "AUROC": reported("auroc"),
    "right task": reported("routing"),
    "false alarms": reported("false_alarms"),
}
README = ROOT / "README.md"
_BESIDE = tuple(
    (RECORDS / "split-cifar100-small", strategy)
    for strategy in ("ranpac", "mos", "slca", "simplecil", "finetune", "joint")
)
"""Leaders without exemplars, and both ends of the scale."""
TABLES = {page: Shown(RECORDS / "split-cifar100") for page in (README, RECORDS / "README.md")}
"""The page of each table, and its contents."""
TABLES[EARLIER / "README.md"] = Shown(EARLIER / "split-cifar100-small")
TABLES |= {
    shown.folder / "README.md": shown
    for shown in (
        Shown(RECORDS / "split-cifar100-small"),
        Shown(RECORDS / "exemplars-2000", _EXEMPLARS, beside=_BESIDE),
        Shown(RECORDS / "resnet32-scratch", _EXEMPLARS),
        Shown(RECORDS / "rank-study", _RANKS),
        Shown(RECORDS / "deit-tiny-112"),
        Shown(RECORDS / "efficientnet-lite0-112"),
        Shown(RECORDS / "wsn", _SUBNETWORKS, TOLD),
        Shown(RECORDS / "kvb"),
        Shown(RECORDS / "few-shot", _FEW_SHOT),
        Shown(RECORDS / "few-shot-clip", _FEW_SHOT),
        Shown(RECORDS / "zero-shot-head"),
        Shown(RECORDS / "pacs", _DOMAINS),
        Shown(RECORDS / "domains" / "rotated-digits", _DOMAINS),
        Shown(RECORDS / "domains" / "permuted-digits", _DOMAINS),
        Shown(RECORDS / "one-pass" / "split-mnist", _SCRATCH),
        Shown(RECORDS / "one-pass" / "split-fmnist", _SCRATCH),
        Shown(RECORDS / "told-mnist", _TASK_TOLD, TOLD),
        Shown(RECORDS / "permuted-mnist", _SCRATCH),
        Shown(RECORDS / "told-sparse", _TASK_TOLD, TOLD),
        Shown(RECORDS / "told-tag", _TASK_TOLD, TOLD),
        Shown(RECORDS / "architectures", _TASK_TOLD, TOLD),
        Shown(RECORDS / "omniglot", _SCRATCH),
        Shown(RECORDS / "edits", _EDITS),
        Shown(RECORDS / "growing-adaptors" / "rotated-digits", _GROWING),
        Shown(RECORDS / "growing-adaptors" / "pacs", _GROWING),
        Shown(RECORDS / "input-tuning" / "split-digits"),
        Shown(RECORDS / "input-tuning" / "rotated-digits", _DOMAINS),
        Shown(RECORDS / "nevis-real", _NEVIS | {"on the front": front(RECORDS / "nevis-real")}, TOLD),
        Shown(RECORDS / "nevis-large", _NEVIS, TOLD),
    )
}
FIGURES = {
    ROOT / "docs" / "assets" / "accuracy.svg": (RECORDS / "split-cifar100", "curves"),
    RECORDS / "rank-study" / "rank.svg": (RECORDS / "rank-study", "rank"),
    RECORDS / "architectures" / "architecture.svg": (RECORDS / "architectures", "architecture"),
    RECORDS / "nevis-real" / "error-and-compute.svg": (RECORDS / "nevis-real", "nevis"),
    RECORDS / "nevis-real" / "transfer.svg": (RECORDS / "nevis-real", "transfer"),
    RECORDS / "nevis-large" / "transfer.svg": (RECORDS / "nevis-large", "transfer"),
}
"""The file of each figure: the folder of its records, and its kind."""


def given(runs: Sequence[Record]) -> dict[str, str]:
    """The options that the command line set."""
    config = runs[0]["result"]["config"].items()
    values = {key: entry["value"] for key, entry in config if entry["origin"].startswith(("command line", "--"))}
    return {key: value_text(value) for key, value in values.items()}


def label(runs: Sequence[Record], but: Collection[tuple[str, str]] = ()) -> str:
    """The strategy's name, and the options of the command line except `but`."""
    words = [f"{key}={value}" for key, value in given(runs).items() if (key, value) not in but]
    return " ".join([str(runs[0]["result"]["strategy"]["name"]), *words])


def is_usual(run: Record) -> bool:
    """Whether a run has options of its preset alone, and the size of its stream."""
    return all(key.startswith("stream.") for key in given([run]))


def is_bound(runs: Sequence[Record]) -> bool:
    return bool(runs[0]["result"]["strategy"]["access"] == "past")


def is_told(runs: Sequence[Record]) -> bool:
    """Whether a method answers only if the task is told."""
    return default_rule(runs[0]["result"]["accuracy"]) in TOLD


def table(shown: Shown) -> str:
    """A Markdown table in percent: means over class orders per configuration, without options that all rows share.

    Unless the table is one for rules under which the task is told, rows of methods that are told it stand last. The
    network is named if rows differ in it, and the preset if two rows differ in nothing else.
    """
    chosen = groups(shown.records(), shown.rules)
    if not shown.rules:
        chosen.sort(key=is_told)
    shared = set.intersection(*(set(given(runs).items()) for runs in chosen))
    networks = {str(runs[0]["result"]["backbone"]["name"]) for runs in chosen}
    orders = sorted({run["result"]["seeds"]["order"] for runs in chosen for run in runs})
    head = ["strategy", "last accuracy", f"order {', '.join(map(str, orders))}", *shown.columns]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    names = [label(runs, shared) for runs in chosen]
    for runs, name in zip(chosen, names, strict=True):
        if names.count(name) > 1 and (preset := runs[0]["result"]["strategy"]["preset"]):
            name += f" --preset {preset}"
        network = f" on {runs[0]['result']['backbone']['name']}" if len(networks) > 1 else ""
        name = f"`{name}{network}`" + (" (bound)" if is_bound(runs) else "")
        name += " (task told)" if not shown.rules and is_told(runs) else ""
        last = _values(runs, "A_last_sample", shown.rules)
        found = dict(zip((run["result"]["seeds"]["order"] for run in runs), map(percent, last), strict=True))
        cells = [
            name,
            percent(float(np.mean(last))),
            ", ".join(found.get(order, _NONE) for order in orders),
            *(column(runs) for column in shown.columns.values()),
        ]
        lines.append("| " + " | ".join(_NONE if cell == "-" else cell for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def plot(records: Sequence[Record], kind: str) -> Plot:
    """The runs of the tables, as `clbench plot --kind` draws them.

    Its `digest` identifies the data; the figure contains it, so a test can check that the figure is current.
    """
    return plots_of([run for runs in groups(records) for run in runs], [kind])[0]


def figure(records: Sequence[Record], kind: str, path: Path) -> None:
    """Draw the figure as SVG for light and dark pages."""
    plot(records, kind).save(path, THEMES["transparent"])


def with_table(text: str, new: str, marks: tuple[str, str] = MARKS) -> str:
    """`text` with the part between the marks replaced; raises `ValueError` if a mark is missing."""
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"a page with a table needs the marks {marks[0]} and {marks[1]}")
    return f"{before}{begin}\n\n{new}\n{end}{after}"


def main() -> None:
    for readme, shown in TABLES.items():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(with_table(text, table(shown)), encoding="utf-8")
    for path, (folder, kind) in FIGURES.items():
        figure(load_results(folder).records, kind, path)


if __name__ == "__main__":
    main()
