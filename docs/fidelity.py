"""The tables of docs/fidelity.md and cl/results/expected.json, from the code, the tests and results/reference.

`python docs/fidelity.py` rewrites both. For every strategy the page lists what its tests check, how it differs from
the paper (from its docstring), what we measured, what others published, and which configuration would reproduce it.
"""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from _generate.markdown import code, parse_docstring, sentence, table, text
from _generate.oracles import oracle_table
from _generate.strategies import own
from figures import with_table

from cl import registry
from cl.protocol import default_rule
from cl.records.record import Record, config_hash
from cl.results import load_results, metrics_of
from cl.results.leaderboard.published import Published, absent, published
from cl.results.reproduction import EXPECTED, Configuration, configurations, expectations, measure
from cl.results.tables import percent

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "fidelity.md"
RECORDS = ROOT / "results" / "reference"
REPEATED = ROOT / "benchmarks" / "other-kernels"
TESTS = ROOT / "tests"
MARKS = ("<!-- made by: python docs/fidelity.py -->", "<!-- end -->")
ALSO: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("aper", "ranpac"), ("bases/first_session",)),
    **dict.fromkeys(("coda-prompt", "dualprompt", "l2p"), ("bases/prompted",)),
    **dict.fromkeys(("hide-prompt", "norga"), ("parts/attached/task_prefixes", "parts/heads/task_inference")),
    **dict.fromkeys(
        ("finetune-dynamic", "finetune-previous", "independent", "pretrained"), ("bases/network_per_task",)
    ),
    **dict.fromkeys(("feat-kd", "pred-kd"), ("bases/regularized",)),
    **dict.fromkeys(("ama", "lines"), ("bases/rescaled", "parts/merging/depth")),
    "cofima": ("parts/merging/fisher",),
    "cpe-clip": ("parts/attached/clip_prompts",),
    **dict.fromkeys(("model-average", "task-arithmetic", "ties"), ("bases/merged", "parts/merging/average")),
    "atlas": ("parts/merging/combination",),
    "model-stock": ("parts/merging/stock",),
    "opcm": ("bases/merged", "parts/merging/opcm"),
    "pcb-merging": ("parts/merging/pcb", "parts/merging/kept"),
    **dict.fromkeys(("acil", "rls"), ("parts/heads/recursive", "parts/statistics/symmetric")),
    "kalman": ("parts/statistics/symmetric",),
    **dict.fromkeys(("fecam", "ncm", "slda"), ("parts/statistics/moments",)),
    "ogd": ("bases/projected", "parts/statistics/directions"),
    "owm": ("bases/projected", "parts/statistics/symmetric"),
    "mas": ("bases/importance", "parts/statistics/sensitivity"),
    "si": ("bases/importance",),
    "ease": ("parts/heads/subspaces",),
    "foster": ("bases/joined", "parts/exemplars", "parts/weights/kept_networks"),
    "inflora": ("parts/statistics/dual_gpm", "parts/statistics/input_moments"),
    **dict.fromkeys(("lora-merge", "o-lora", "sd-lora"), ("parts/attached/lora",)),
    "finetune": ("bases/fine_tuning",),
    "momentum": ("bases/wrapper", "parts/weights/slow_weights"),
    "replay": ("bases/replayed",),
    "finetune-adapter": ("parts/attached/adapters",),
    "slca": ("parts/statistics/gaussians",),
    "slca-pp": ("parts/attached/low_rank",),
    "slm": ("parts/attached/grouped_keys",),
    "softnet": ("parts/weights/soft_masks",),
    "cl-dst": ("bases/subnetworks", "parts/weights/sparse"),
    "packnet": ("bases/subnetworks",),
    "hat": ("parts/weights/unit_gates",),
    **dict.fromkeys(("dp-hypernetwork", "hypernetwork"), ("bases/generated", "parts/generated", "parts/lookahead")),
    "hard-ash": ("bases/accumulating", "parts/accumulated", "parts/activations"),
    "pairwise": ("bases/accumulating", "parts/accumulated", "parts/activations", "parts/heads/pairwise"),
    "tag": ("parts/task_moments",),
    "taps": ("parts/weights/gated",),
    "wsn": ("parts/weights/masks",),
    "zero-shot": ("parts/heads/text",),
}
"""Strategies -> modules of `cl` with the code of their papers, whose tests are theirs too."""

_ORACLES = """## Against official code

The files in [tests/oracles](../tests/oracles/README.md) hold inputs, initial weights and outputs of official code, as
numbers. Our tests compare the forward pass, the loss of every step, and the weights at the end of a whole training.
Our own `learn` repeats that training on the same batches: a wrong rate, decay, schedule, clip, set of trained
parameters or number of steps would end in other weights. The table has the largest absolute difference over all files
of a method; each is within the tolerance that its file states (usually 1e-5 for forward passes and losses, 1e-4 after
a training; 0.02 for the shares of i-Blurry's images). `CLBENCH_WRITE_DIFFERENCES=1 pytest tests/oracles` measures
them again.
"""

_AVALANCHE = ("strategies/avalanche", "avalanche/adapter", "avalanche/slda")
_METRICS = ("A_last_task", "A_last_sample", "A_inc_task", "A_inc_sample")


def tests_of(name: str) -> dict[str, list[str]]:
    """The tests of a strategy: file, as a path below tests/ -> what each checks, from the function's name."""
    avalanche, found = name.startswith("avalanche/"), {}
    own_module = f"strategies/{name.replace('-', '_')}"
    for file in _files_of(_AVALANCHE if avalanche else (own_module, *ALSO.get(name, ()))):
        source = (TESTS / file).read_text(encoding="utf-8")
        tests = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and _is_test(node)]
        if avalanche:
            tests = [test for test in tests if _concerns(_whole(test, source), name)]
        found[file] = [test.name.removeprefix("test_").replace("_", " ") for test in tests]
    return {file: words for file, words in found.items() if words}


def _files_of(modules: Sequence[str]) -> Iterator[str]:
    """`FOLDER/test_MODULE.py` and `FOLDER/test_MODULE_*.py`, but not the files of another module of that name."""
    for folder, _, module in (name.rpartition("/") for name in modules):
        sources = ROOT / folder if folder == "strategies" else ROOT / "cl" / folder
        others = [path.stem for path in sources.glob("*.py") if path.stem.startswith(f"{module}_")]
        for path in sorted((TESTS / folder).glob("test_*.py")):
            stem = path.stem.removeprefix("test_")
            if _covers(stem, module) and not any(_covers(stem, other) for other in others):
                yield f"{folder}/{path.name}"


def _covers(stem: str, module: str) -> bool:
    return stem == module or stem.startswith(f"{module}_")


def _concerns(source: str, name: str) -> bool:
    """Whether a test of Avalanche's strategies names this one; a test of all of them names none."""
    family = [each for each in own(registry.strategies) if each.startswith("avalanche/")]
    named = [each for each in family if f'"{each.partition("/")[2]}"' in source or _class(each) in source]
    return name in named or not named


def _class(name: str) -> str:
    return registry.strategies.entry(name).attribute


def _is_test(node: ast.FunctionDef) -> bool:
    return node.name.startswith("test_")


def _whole(node: ast.FunctionDef, source: str) -> str:
    """A function with its decorators, whose parameters may be what names the strategy."""
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def runs_of(name: str, records: Sequence[Record]) -> list[list[Record]]:
    """Complete runs of a strategy, one list per configuration; larger streams and more seeds come first."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        result = record["result"]
        if record["status"] == "complete" and not result["limited"] and result["strategy"]["name"] == name:
            found[result["stream"]["name"], config_hash(record)].append(record)
    return sorted(found.values(), key=_order)


def _order(runs: Sequence[Record]) -> tuple[int, int, float]:
    return -sum(runs[0]["result"]["count"]), -len(runs), -_mean(runs, "A_last_sample")


def _mean(runs: Sequence[Record], metric: str) -> float:
    values = [metrics_of(run["result"])[default_rule(run["result"]["accuracy"])][metric] for run in runs]
    return float(np.mean([np.nan if value is None else value for value in values]))


def _stream(run: Record) -> str:
    """The stream's name with its setting, the number of tasks, and of images per class if it is limited."""
    stream = run["result"]["stream"]
    images = stream["options"].get("train_per_class")
    setting = [] if stream["setting"] == "class-incremental" else [stream["setting"]]
    limit = [f"{images} images per class"] if images is not None else []
    return ", ".join([stream["name"], *setting, _count(stream["n_tasks"], "task"), *limit])


def _variant(run: Record) -> str:
    """The options given on the command line, except stream options."""
    config = run["result"]["config"]
    given = {key: each["value"] for key, each in config.items() if each["origin"] == "command line"}
    return " ".join(f"{key}={value}" for key, value in given.items() if not key.startswith("stream."))


def _measured(runs: Sequence[Record]) -> str:
    return f"{percent(_mean(runs, 'A_last_sample'))} on {_stream(runs[0])} ({_count(len(runs), 'seed')})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _targets(name: str) -> list[Configuration]:
    return [each for each in configurations().values() if each.strategy == name and each.reported()]


def _numbers(row: Published) -> str:
    """The values of a published row, accuracies first."""
    keys = [key for key in _METRICS if key in row.values] + [key for key in row.values if key not in _METRICS]
    return ", ".join(f"{row.values[key].text} (`{key}`)" for key in keys)


def _target(wanted: Configuration) -> str:
    return f"{code(f'clbench reproduce {wanted.name}')}: {wanted.needs}; not yet run"


def overview(records: Sequence[Record]) -> str:
    """One row per strategy."""
    rows = []
    for name in own(registry.strategies):
        tests, runs, targets = tests_of(name), runs_of(name, records), _targets(name)
        rows_of = [row for row in published() if row.strategy == name]
        shown = [row for wanted in targets[:1] for row in wanted.reported()[:1]] or rows_of[:1]
        rows.append(
            [
                f"[{name}](#{name.replace('/', '')})",
                _count(sum(map(len, tests.values())), "test") if tests else "the contract alone",
                _first(_differences(name)),
                _measured(runs[0]) if runs else "not yet",
                f"{_numbers(shown[0])} on {shown[0].benchmark.text}, {shown[0].weights.text} ({shown[0].tag})"
                if shown
                else absent().get(name, "none was read"),
                _target(targets[0]) if targets else "nothing here" if shown else "",
            ]
        )
    head = ["strategy", "checked", "differs from the paper", "measured here", "published", "would reproduce it"]
    return table(head, [[row[0], row[1], *map(text, row[2:5]), row[5]] for row in rows])


def _differences(name: str) -> str:
    return parse_docstring(registry.strategies.docstring(name)).sections.get("Differences from the paper", "")


def _first(words: str) -> str:
    """The first sentence, with an ellipsis if there are more."""
    head, stop, _ = words.partition(". ")
    return head + (" ..." if stop else "")


def section(name: str, records: Sequence[Record]) -> str:
    """The section of one strategy."""
    parts = [f"### {name}\n"]
    for file, words in tests_of(name).items():
        parts.append(f"**Checked** in [`tests/{file}`](../tests/{file}): {'; '.join(map(text, words))}.\n")
    if differences := _differences(name):
        parts.append(f"**Differs.** {sentence(differences)}\n")
    measured = [
        [
            text(_stream(runs[0])),
            code(" ".join(filter(None, [runs[0]["result"]["strategy"]["preset"], _variant(runs[0])]))),
            code(runs[0]["result"]["backbone"]["name"]),
            str(len(runs)),
            *(percent(_mean(runs, metric)) for metric in ("A_last_sample", "A_inc_sample", "F_chaudhry")),
            code(default_rule(runs[0]["result"]["accuracy"])),
        ]
        for runs in runs_of(name, records)
    ]
    if measured:
        head = ["measured on", "preset, options", "backbone", "seeds", "last", "incremental", "forgetting", "rule"]
        parts.append(table(head, measured, numbers=(3, 4, 5, 6)))
    found = [row for row in published() if row.strategy == name]
    if found:
        head = ["published for", "weights", "variant", "values", "read in", "no run of ours matches, because"]
        rows = [
            [row.benchmark.text, row.weights.text, row.variant, _numbers(row), f"{row.source} ({row.tag})", row.unlike]
            for row in found
        ]
        parts.append(table(head, [list(map(text, row)) for row in rows]))
    else:
        parts.append(f"**Published.** {absent().get(name, 'No number was read.')}\n")
    parts += [f"* {_target(wanted)}" for wanted in _targets(name)]
    for wanted in configurations().values():
        found_here = expectations().get(wanted.name)
        interval = found_here.interval(wanted.seeds) if found_here else None
        if wanted.strategy == name and found_here and interval:
            low, high = map(percent, interval)
            parts.append(
                f"* {code(f'clbench reproduce {wanted.name}')}: {low} to {high} (`{wanted.metric}`) expected, "
                f"measured on {text(found_here.hardware)}"
            )
    return "\n".join(parts).rstrip() + "\n"


def page(records: Sequence[Record]) -> str:
    """The text between the marks of the page."""
    names = own(registry.strategies)
    sections = [section(name, records) for name in names]
    return "\n".join([overview(records), _ORACLES, oracle_table(), "## Strategy by strategy\n", *sections])


def expected(records: Sequence[Record]) -> str:
    """The text of expected.json."""
    return json.dumps(measure(records, load_results(REPEATED).records), indent=1, sort_keys=True) + "\n"


def main() -> None:
    records = load_results(RECORDS).records
    EXPECTED.write_text(expected(records), encoding="utf-8")
    expectations.cache_clear()
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), page(records), MARKS), encoding="utf-8")


if __name__ == "__main__":
    main()
