"""Comparison of two rows: paired difference, McNemar's test, gains and losses by task and by class."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from cl.errors import UsageError, did_you_mean
from cl.protocol import RULES, default_rule
from cl.records.answers import flip_rates
from cl.records.class_table import class_values, has_classes
from cl.records.matrix import class_counts_of, main_split, matrix_of, rows_of
from cl.records.metrics import METRICS, metrics_of_rule
from cl.records.record import config_hash, precision_of
from cl.records.reference import PAST
from cl.results.leaderboard.continued import continued, continues
from cl.results.leaderboard.differences import Resamples, difference
from cl.results.leaderboard.entries import (
    BOARD,
    Entry,
    Run,
    board_key,
    complete,
    distinct,
    entries_of,
    options_text,
    row_key,
)
from cl.results.leaderboard.image_shares import answers, right
from cl.results.leaderboard.statistics import Floats, mcnemar, smallest_difference

_Z = 1.9600 + 0.8416
"""Normal quantiles of a test at 5 %, two-sided, that has power 0.8."""

_OPTIONS = "options of the stream"
_OF_PARENT = ("learned", "after")
"""Options that the stream of a run has which continues another."""

Comparison = dict[str, Any]


def chosen(text: str, runs: Iterable[Run]) -> list[Run]:
    """The complete runs named by `strategy[:config]`, where config is a preset or a prefix of a config hash.

    A name or a preset is the row without further options if there is one. Raises `UsageError` if there is none.
    """
    name, _, config = text.partition(":")
    known = complete(list(runs))
    found = [run for run in known if run.result["strategy"]["name"] == name]
    if not found:
        names = sorted({str(run.result["strategy"]["name"]) for run in known})
        hint = did_you_mean(name, names) or f" There are: {', '.join(names)}."
        raise UsageError(f"No complete run here is of '{name}', and no folder has that name.{hint}")
    fits = [run for run in found if config in ("", run.result["strategy"]["preset"]) or _hashed(run, config)]
    if not fits:
        raise UsageError(f"No run of {name} has the preset or config '{config}'; there are: {_rows(found)}.")
    if config and any(_hashed(run, config) for run in fits):
        return fits
    return [run for run in fits if not options_text(run.result)] or fits


def _hashed(run: Run, config: str) -> bool:
    return config_hash(run.record).startswith(config)


def _rows(runs: Iterable[Run]) -> str:
    """The available rows, in the form that `chosen` accepts, each with its options."""
    words = {}
    for run in runs:
        text = f"{run.result['strategy']['name']}:{config_hash(run.record)}"
        words[text] = " ".join(filter(None, [run.result["strategy"]["preset"], options_text(run.result)]))
    return ", ".join(f"{text} ({about})" if about else text for text, about in sorted(words.items()))


def compare(
    first: Sequence[Run], second: Sequence[Run], *, metric: str = "A_last_sample", rule: str | None = None
) -> Comparison:
    """Compare one row with another on the board that both are on; fractions, `first` minus `second`.

    Returns plain JSON: seeds (each with McNemar's test, the flips from `second` to `first`, and the intransigence if
    one side was trained jointly), mean, interval, drawn, better ("first", "second" or None if they cannot be
    distinguished), smallest_difference, tasks, classes, options that differ. Raises `UsageError` if the runs share no
    board or no seeds, or if a side matches several rows.
    """
    if metric not in METRICS:
        hint = did_you_mean(metric, list(METRICS)) or f" Choose one of: {', '.join(METRICS)}."
        raise UsageError(f"There is no metric {metric!r}.{hint}")
    sides = _on_one_board([distinct(complete(list(runs)))[0] for runs in (first, second)])
    rule = _common_rule(sides, rule)
    a, b = (_one_row(runs, rule, metric) for runs in sides)
    if {run.record["run_id"] for run in a.runs} & {run.record["run_id"] for run in b.runs}:
        raise UsageError("Both sides are the same runs; name two different ones.")
    resamples = Resamples([a, b])
    found = difference(a, b, resamples)
    if not found.keys:
        raise UsageError(_nothing_to_pair(a, b, metric))
    pairs = [(_by_key(a)[key], _by_key(b)[key]) for key in found.keys]
    mine, theirs = a.values(metric), b.values(metric)
    mean = float(np.mean(found.values))
    good = METRICS[metric].higher_is_better
    return {
        "stream": f"{a.result['stream']['name']}@{a.result['stream']['version']}",
        "backbone": a.result["backbone"]["name"],
        "rule": rule,
        "metric": metric,
        "higher_is_better": good,
        "first": _about(a),
        "second": _about(b),
        "seeds": [
            {
                "seeds": one.seeds,
                "first": mine[one.key],
                "second": theirs[one.key],
                "difference": mine[one.key] - theirs[one.key],
                **_by_image(one, two, rule),
                "intransigence": _intransigence(one, two, rule),
            }
            for one, two in pairs
        ],
        "mean": {
            "first": float(np.mean([mine[key] for key in found.keys])),
            "second": float(np.mean([theirs[key] for key in found.keys])),
            "difference": mean,
        },
        "interval": None if found.interval is None else list(found.interval),
        "drawn": found.drawn,
        "better": ("first" if (mean > 0) == good else "second") if found.tells else None,
        "smallest_difference": {
            "seeds": smallest_difference(found.values),
            "images": _smallest_by_images(found.keys, resamples.of(a), resamples.of(b)),
        },
        "tasks": _by_task(pairs, rule),
        "classes": _by_class(pairs, rule),
        "options": _options_that_differ(a.result, b.result),
    }


def _nothing_to_pair(a: Entry, b: Entry, metric: str) -> str:
    if _by_key(a).keys() & _by_key(b).keys():
        return f"{metric} is undefined in these runs; choose another --metric, see: clbench metrics RUN."
    return (
        f"A paired comparison needs common seeds, and {a.label} ran with {_seeds(a)}, {b.label} with {_seeds(b)}; "
        "run one of them with the --seed of the other."
    )


def _on_one_board(sides: Sequence[Sequence[Run]]) -> list[list[Run]]:
    boards = [{board_key(run.result): run for run in runs} for runs in sides]
    common = sorted(boards[0].keys() & boards[1].keys())
    if not common:
        mine, theirs = min(product(*boards), key=lambda keys: len(_unlike(*keys)))  # the two that are most alike
        unlike = _unlike(mine, theirs)
        raise UsageError(
            f"These runs cannot be compared: they differ in "
            f"{', '.join(_told_of_parents(unlike, boards[0][mine].result, boards[1][theirs].result))}."
        )
    if len(common) > 1:
        places = [boards[0][key].result for key in common]
        texts = [
            f"{place['stream']['name']} {continued(place)}".rstrip() + f" on {place['backbone']['name']}"
            for place in places
        ]
        raise UsageError(
            f"Both ran on {len(common)} boards ({'; '.join(texts)}); choose with --stream, --backbone or folders."
        )
    return [[run for run in runs if board_key(run.result) == common[0]] for runs in sides]


def _unlike(mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    return [name for name, one, two in zip(BOARD, mine, theirs, strict=True) if one != two]


def _told_of_parents(unlike: Sequence[str], *results: Mapping[str, Any]) -> list[str]:
    """The parts of the boards that differ, with the run that one side continues, which is among a stream's options."""
    if len(set(map(continued, results))) == 1:
        return list(unlike)
    own = [{key: value for key, value in result["stream"]["options"].items() if key not in _OF_PARENT}
           for result in results]  # fmt: skip
    told = [continues([result]).removeprefix("continues ") or "none" for result in results]
    rest = [name for name in unlike if name != _OPTIONS or own[0] != own[1]]
    return [f"the run that they continue (A: {told[0]}, B: {told[1]})", *rest]


def _common_rule(sides: Sequence[Sequence[Run]], rule: str | None) -> str:
    both = set(RULES).union(*(run.result["accuracy"] for runs in sides for run in runs))
    for runs in sides:
        both &= {rule for rule in both if any(run.rule_for(rule) in run.result["accuracy"] for run in runs)}
    if not both or rule not in (None, *both):
        known = ", ".join(sorted(both)) or "none"
        raise UsageError(f"The runs do not share the prediction rule {rule or 'of any kind'}; they share: {known}.")
    return rule or default_rule(both)


def _one_row(runs: Sequence[Run], rule: str, metric: str) -> Entry:
    if len({row_key(run.result) for run in runs}) > 1:
        raise UsageError(f"One side is several rows; name one of: {_rows(runs)}.")
    return entries_of(runs, rule, metric)[0]


def _by_key(entry: Entry) -> dict[Hashable, Run]:
    return {run.key: run for run in entry.runs}


def _seeds(entry: Entry) -> str:
    return ", ".join(run.seeds for run in entry.runs)


def _about(entry: Entry) -> dict[str, Any]:
    return {
        "strategy": entry.name,
        "options": options_text(entry.result),
        "continues": continues(run.result for run in entry.runs),
        "preset": entry.result["strategy"]["preset"],
        "config_hash": entry.config_hash,
        "marks": list(entry.marks),
        "seeds": [run.seeds for run in entry.runs],
    }


def _by_image(one: Run, two: Run, rule: str) -> dict[str, Any]:
    """McNemar's test on the answers after the last step, and the flips from `two` to `one` as shares of the images.

    The images are those of the groups that both learned and were evaluated on: a run of fewer tasks (--max-tasks) has
    no answers to the others. Images that may have several classes have no single answer and are left out. None without
    predictions, or if the images differ.
    """
    found = [answers(run.result, run.folder, run.rule_for(rule)) for run in (one, two)]
    if found[0] is None or found[1] is None or not np.array_equal(found[0].rows, found[1].rows):
        return {"mcnemar": None, "flips": None}
    known = [matrix_of(run.result, run.rule_for(rule)).answered()[-1] for run in (one, two)]
    images = (known[0] & known[1])[found[0].group]
    both = zip(found, (one, two), strict=True)
    rows = [(each, run.rule_for(rule), rows_of(run.result, main_split(run.result))[-1]) for each, run in both if each]
    last = [right(each, own)[row][images] for each, own, row in rows]
    test = mcnemar(last[0], last[1])
    negative, positive = flip_rates(last[1], last[0])
    return {
        "mcnemar": {"only_first": test.only_first, "only_second": test.only_second, "p": test.p},
        "flips": {"negative": negative, "positive": positive},
    }


def _intransigence(one: Run, two: Run, rule: str) -> dict[str, float | None] | None:
    """I_mean and I_last of the side that was not trained jointly, by the other; None unless one side was."""
    joint = [run for run in (one, two) if run.result["strategy"]["access"] == PAST]
    if len(joint) != 1:
        return None
    run = two if joint[0] is one else one
    return metrics_of_rule(run.result, run.rule_for(rule), ("I_mean", "I_last"), reference=joint[0].result)


def _smallest_by_images(
    keys: Sequence[Hashable], first: Mapping[Hashable, Floats], second: Mapping[Hashable, Floats]
) -> float | None:
    """The true difference that these images would detect with power 0.8 for these seeds only; None if resamples of
    them do not differ."""
    if not all(key in first and key in second for key in keys):
        return None
    moves = np.mean([first[key] - second[key] for key in keys], axis=0)
    return _Z * float(np.std(moves)) or None


def _by_task(pairs: Sequence[tuple[Run, Run]], rule: str) -> list[dict[str, Any]]:
    """Accuracy per group after the last step, means over seeds."""
    tables = [[matrix_of(run.result, run.rule_for(rule)).accuracy[-1] for run in pair] for pair in pairs]
    one, two = np.mean(np.array(tables, dtype=np.float64), axis=0)
    names = [group["name"] for group in pairs[0][0].result["stream"]["groups"]]
    return [{"task": index + 1, "name": name, **_sides(one[index], two[index])} for index, name in enumerate(names)]


def _by_class(pairs: Sequence[tuple[Run, Run]], rule: str) -> list[dict[str, Any]]:
    """Accuracy per class of the dataset after the last step, means over seeds; empty if a record lacks it."""
    if not all(has_classes(run.result["accuracy"][run.rule_for(rule)]) for pair in pairs for run in pair):
        return []
    names: dict[int, str] = {}
    found: dict[int, list[list[float]]] = {}
    for pair in pairs:
        stream, split = pair[0].result["stream"], main_split(pair[0].result)
        if (count := class_counts_of(pair[0].result, split)) is None:
            return []
        last = [rows_of(run.result, split)[-1] for run in pair]
        sides = zip(pair, last, strict=True)
        rows = [class_values(run.result, run.rule_for(rule), [row])[0] for run, row in sides]
        for place, label in enumerate(stream["class_order"]):
            names[label] = str(stream["class_names"][place])
            counted = [row[place] / count[place] if count[place] else np.nan for row in rows]
            found.setdefault(label, []).append(counted)
    means = {label: np.mean(np.array(values, dtype=np.float64), axis=0) for label, values in found.items()}
    return [{"label": label, "name": names[label], **_sides(*means[label])} for label in sorted(means)]


def _sides(first: float, second: float) -> dict[str, float | None]:
    values = {"first": first, "second": second, "difference": first - second}
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


def _options_that_differ(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    sides = [{key: entry["value"] for key, entry in result["config"].items()} for result in (first, second)]
    for side, result in zip(sides, (first, second), strict=True):
        side["precision"] = precision_of(result)
    keys = dict.fromkeys([*sides[0], *sides[1]])
    return {key: [side.get(key) for side in sides] for key in keys if sides[0].get(key) != sides[1].get(key)}
