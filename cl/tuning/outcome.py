"""The result of a study: its best values as a config file for `clbench run -c` and as a preset with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cl.errors import UsageError
from cl.options import jsonable
from cl.plan.config_file import Tuning
from cl.tuning.study import COMPLETE, Study, Trial
from cl.tuning.tune import Tuner, total_of


def best_of(trials: Sequence[Trial]) -> Trial:
    """The complete trial with the highest value, the earliest of equals; raises `UsageError` if there is none."""
    complete = [trial for trial in trials if trial.state == COMPLETE]
    if not complete:
        raise UsageError("No trial was complete yet; run more of them (--trials, --budget-minutes).")
    return max(complete, key=lambda trial: (trial.value, -trial.index))


def tuning_of(tuner: Tuner, study: Study, date: str) -> Tuning:
    """What the study cost, for the records of runs with its values."""
    r, trials = tuner.request, study.trials()
    seeds = ", ".join(map(str, r.seeds))
    number, first = f"{len(trials)} trial{'s'[: len(trials) > 1]}", f"{r.tasks} task{'s'[: r.tasks > 1]}"
    source = (
        f"tuned by clbench tune: {number} of TPE on held-out training images of the first {first} "
        f"of {r.stream}, class order {seeds}, {date}, study {study.digest()}"
    )
    total = total_of(trials)
    return Tuning(
        strategy=r.strategy, study=study.digest(), trials=len(trials), flops=total["flops"],
        executed=total["executed"], seconds=round(total["seconds"], 3), source=source,
    )  # fmt: skip


def config_of(tuner: Tuner, best: Trial, tuning: Tuning) -> str:
    """The text of a config file that runs the best values on the whole stream, with the cost of the search."""
    import tomli_w

    r, usual = tuner.request, tuner.usual[0]
    run = {"strategy": r.strategy, "stream": r.stream, "backbone": usual.backbone, "precision": usual.precision}
    run |= {"preset": r.preset} if r.preset is not None else {}
    run |= {key: jsonable(value) for key, value in r.run.items() if key not in ("device", "precision")}
    values = {**{key: str(value) for key, value in r.options.items()}, **tuner.space.options(best.plain)}
    return tomli_w.dumps({"run": run, "options": _toml(values), "tuning": asdict(tuning)})


def preset_of(tuner: Tuner, best: Trial, tuning: Tuning) -> str:
    """The text of a [[preset]] table with the best values, for presets/NAME.toml next to the strategy."""
    import tomli_w

    r, usual = tuner.request, tuner.usual[0]
    fixed = {key: usual.values[key].value for key in r.options if not key.startswith("stream.") and key in usual.values}
    table: dict[str, Any] = {"name": r.preset} if r.preset is not None else {}
    table |= {"stream": r.stream, "backbone": usual.backbone, "source": tuning.source}
    head = tomli_w.dumps(table)
    return f"[[preset]]\n{head}[preset.options]\n{_lines({**fixed, **tuner.space.options(best.plain)})}"


def _lines(values: Mapping[str, Any]) -> str:
    """Dotted keys as the files of presets have them, one line each."""
    import tomli_w

    return "".join(f"{key}{tomli_w.dumps({'x': value})[1:]}" for key, value in _toml(values).items())


def _toml(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: "none" if value is None else jsonable(value) for key, value in values.items()}
