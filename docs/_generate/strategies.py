"""A page per strategy: its docstring, facts, measured and published figures, options, presets, BibTeX and code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cl
from cl import registry
from cl.errors import ClbenchError
from cl.options import OptionInfo, options_of
from cl.plan.families import FAMILIES, by_family
from cl.plan.presets import Preset, load_presets
from cl.plan.references import bibtex
from cl.results.leaderboard.published import Published, absent, published
from cl.results.tables import percent
from cl.values import describe_constraints

from .markdown import Docstring, code, fenced, parse_docstring, sentence, table, text

log = logging.getLogger("mkdocs.clbench")
_FACTS = ("Name", "Paper", "Family", "Networks", "Gradients", "Images", "Trains", "Stores", "Cost")
_RULES = {
    "cil_seen": "class-incremental",
    "til_masked": "task told when testing",
    "til_oracle": "task told to the method",
}


def own(names: registry.Registry[Any]) -> list[str]:
    """Names that this package provides, without plugins that are installed where the site is built."""
    return [name for name in names if names.distribution(name).name == registry.DISTRIBUTION]


def page_of(name: str) -> str:
    """The file name of the page of a strategy or a stream, without suffix."""
    return name.strip("*.:/").replace("/", "-").replace(":", "-")


def overview() -> str:
    """One line per strategy, by family."""
    built_in, parts = set(own(registry.strategies)), []
    for family, names in by_family().items():
        rows = []
        for name in filter(built_in.__contains__, names):
            doc = parse_docstring(registry.strategies.docstring(name))
            stored = text(doc.sections.get("Stores", ""))
            rows.append([f"[`{name}`](strategies/{page_of(name)}.md)", text(doc.summary), stored])
        if rows:
            about = f"{FAMILIES[family].capitalize()}.\n\n" if family in FAMILIES else ""
            head = ["strategy", "what it is", "stored between tasks"]
            parts.append(f"### {family.capitalize()}\n\n{about}{table(head, rows)}")
    return "\n".join(parts)


def page(name: str) -> str:
    """The page of one strategy; sections that cannot be generated are left out, and the reason is logged."""
    doc = parse_docstring(registry.strategies.docstring(name))
    parts = [f"# {name}\n", text(doc.summary) + "\n", *(text(each) + "\n" for each in doc.body)]
    parts.append(fenced(f"clbench run -s {name} --stream split-digits\nclbench info {name}", "bash"))
    method: Any = None
    try:
        method = registry.strategies.get(name)
    except ClbenchError as error:
        log.info("%s: %s", name, error)
    if getattr(method, "access", "present") == "past":
        parts.append(
            '!!! note "A bound"\n    It may read data of earlier tasks. Leaderboards show it without a rank.\n'
        )
    parts.append(_facts(name, doc, method))
    parts += [f"## {title}\n\n{sentence(words)}\n" for title, words in doc.sections.items() if title not in _FACTS]
    parts += [_measured(name), _published(name)]
    if method is not None:
        options = options_of(method.Options)
        if options:
            parts += ["## Options\n", "Set with `--set KEY=VALUE`.\n", option_table(options, "")]
        parts.append(_presets(load_presets(name)))
    if entry := bibtex(name):
        parts += ["## BibTeX\n", fenced(entry, "bibtex")]
    source = registry.strategies.source(name)
    if source is not None and source.is_file():
        body = "\n".join(
            f"    {line}".rstrip() for line in fenced(source.read_text(encoding="utf-8"), "python").split("\n")
        )
        parts += ["## Code\n", f'??? example "Its file: `{_shown(source)}`"\n\n{body}\n']
    return "\n".join(part for part in parts if part)


def _shown(path: Path) -> str:
    return str(path.relative_to(cl.CHECKOUT)) if cl.CHECKOUT and path.is_relative_to(cl.CHECKOUT) else path.name


def _facts(name: str, doc: Docstring, method: Any) -> str:
    rows = [[title, sentence(doc.sections[title])] for title in _FACTS if title in doc.sections]
    if method is not None:
        rules = [f"{code(rule)}" + (f" ({_RULES[rule]})" if rule in _RULES else "") for rule in method.rules]
        rows.append(["Prediction rules", ", ".join(rules)])
        if method.val_fraction:
            rows.append(["Held out for validation", f"{100 * method.val_fraction:g} % of the training images"])
        where = (
            "At the step of the last checkpoint"
            if getattr(method, "resumes", "step") == "step"
            else "At the start of the interrupted task"
        )
        rows.append(["Continues after a kill", f"{where}, with the same result"])
        rows.append(["Version", code(method.version)])
    return table(["", ""], rows) if rows else ""


def option_table(options: dict[str, OptionInfo], prefix: str) -> str:
    """A table of options: default, accepted values, meaning."""
    rows = []
    for key, info in options.items():
        shown = f"{info.nested}.KEY" if info.nested else prefix + key
        default = "" if info.nested else code(_value(info.default)) or "empty"
        accepts = info.type_name + (f", {describe_constraints(info.constraints)}" if info.constraints else "")
        rows.append([code(shown), default, "" if info.nested else text(accepts), text(info.help)])
    return table(["key", "default", "accepts", "meaning"], rows)


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _presets(presets: Sequence[Preset]) -> str:
    """The presets: stream, backbone and source of each, and all values side by side."""
    if not presets:
        return ""
    parts = ["## Presets\n", "Unnamed presets apply automatically if stream and backbone match, in this order; "
             "`--preset NAME` adds a named preset.\n"]  # fmt: skip
    rows = []
    for number, preset in enumerate(presets, 1):
        streams, backbones = (", ".join(map(code, patterns)) for patterns in (preset.stream, preset.backbone))
        where = "any stream, any backbone" if (streams, backbones) == ("`*`", "`*`") else f"{streams} with {backbones}"
        rows.append([str(number), code(preset.name or ""), where, text(preset.source)])
    parts.append(table(["", "name", "meant for", "source of the values"], rows))
    keys = list(dict.fromkeys(key for preset in presets for key in preset.options))
    values = [
        [
            code(key),
            *(code(_value(preset.options[key])) or "empty" if key in preset.options else "" for preset in presets),
        ]
        for key in keys
    ]
    parts += [table(["key", *map(str, range(1, len(presets) + 1))], values)] if keys else []
    return "\n".join(parts)


@lru_cache(maxsize=1)
def _board() -> list[dict[str, Any]]:
    """The leaderboard of results/reference, one dictionary per row; empty if there are no records."""
    folder = cl.CHECKOUT / "results" / "reference" if cl.CHECKOUT else None
    if folder is None or not folder.is_dir():
        return []
    from cl.results import load_results

    board = load_results(folder).leaderboard()
    return [{str(key): value for key, value in row.items()} for row in board.to_dict(orient="records")]


def _measured(name: str) -> str:
    rows = [
        [
            "<br>".join(
                map(code, filter(None, (row["stream"].partition("@")[0], row["stream_options"], row["backbone"])))
            ),
            "<br>".join(map(code, filter(None, (row["preset"], row["options"])))),
            text(row["seeds"]),
            percent(row["A_last_sample"]),
            percent(row["A_inc_sample"]),
            percent(row["F_chaudhry"]),
            f"{row['tflops']:.1f}",
        ]
        for row in _board()
        if row["strategy"] == name
    ]
    if not rows:
        return ""
    head = ["stream, backbone", "preset, options", "class orders", "last", "incremental", "forgetting", "TFLOP"]
    note = "Percent, means over the class orders, from the records in [results/reference](../measured.md)."
    return "\n".join(["## Measured with this code\n", table(head, rows, numbers=range(3, 7)), note + "\n"])


def _published(name: str) -> str:
    found = [row for row in published() if row.strategy == name]
    if not found:
        return f"## Published\n\n{text(why)}\n" if (why := absent().get(name)) else ""
    head = ["benchmark", "weights", "variant", "last", "average incremental", "mean over", "other metrics", "read in"]
    note = (
        "Percent, measured by others. A run can be compared only with numbers for the same weights. *Secondary*: read "
        "in another text. [Fidelity](../fidelity.md) lists the configurations that would reproduce them.\n"
    )
    return "\n".join(["## Published\n", table(head, map(_published_row, found), numbers=(3, 4)), note])


def _published_row(row: Published) -> list[str]:
    numbers = {key: number.text for key, number in row.values.items()}
    last = [key for key in ("A_last_task", "A_last_sample") if key in numbers]
    inc = [key for key in ("A_inc_task", "A_inc_sample") if key in numbers]
    over = {"_task": "tasks", "_sample": "images"}
    return [
        text(row.benchmark.text),
        text(row.weights.text),
        text("; ".join(filter(None, [row.variant, row.unlike]))),
        *("".join(numbers[key] for key in keys) for keys in (last, inc)),
        "".join(words for ending, words in over.items() if any(key.endswith(ending) for key in [*last, *inc])),
        ", ".join(f"{code(key)} {value}" for key, value in numbers.items() if key not in {*last, *inc}),
        text(row.source) + (" (secondary)" if row.tag == "secondary" else ""),
    ]
