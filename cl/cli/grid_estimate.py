"""What is left of a grid, summed over its runs: FLOPs, disk, and time here and on other devices."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cl.cli.text import size_text
from cl.errors import UsageError, counted
from cl.plan.devices import START_SECONDS, STEP_SECONDS, UTILISATION, device_models, makespan, peak

if TYPE_CHECKING:
    from cl.plan.plan import Plan
    from cl.results.speeds import Speed, Speeds

_STATES = ("new", "partial", "complete")
_UNITS = ("", "k", "M", "G", "T", "P", "E", "Z")


@dataclass(frozen=True)
class Asked:
    """The options of a dry run that ask for times."""

    device_models: str = ""
    devices: int | None = None
    utilisation: float = UTILISATION
    speeds_from: tuple[str, ...] = ()
    measure: bool = False
    jobs: int = 1
    threads: int | None = None
    published: bool = False
    runs_per_process: int | None = None
    """Runs that a process executes, one after the other; None: all."""

    def __post_init__(self) -> None:
        if self.devices is not None and not self.device_models:
            raise UsageError("--devices needs --device-model: the model of which there are so many.")
        device_models(self.device_models)

    @property
    def names(self) -> list[str]:
        return device_models(self.device_models)

    @property
    def threads_of_a_job(self) -> int:
        """Threads of each run here."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.jobs)


@dataclass(frozen=True)
class _Left:
    """What is left of a run."""

    flops: float
    steps: float
    shared: float
    images: str
    decoded: str
    seconds: float | None
    precision: str
    estimate: Mapping[str, Any]


@dataclass
class GridEstimate:
    """Collects the runs of a dry run with `add`; `as_dict` and `lines` give their sum."""

    asked: Asked
    speeds: Speeds
    states: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    _left: list[_Left] = field(default_factory=list)
    _shared: dict[str, float] = field(default_factory=dict)
    _sharing: Counter[str] = field(default_factory=Counter)
    _disk: dict[str, float] = field(default_factory=dict)
    _kept: float = 0
    _sources: dict[str, None] = field(default_factory=dict)
    _measured: dict[str, float] = field(default_factory=dict)

    def add(self, plan: Plan, about: Mapping[str, Any]) -> dict[str, Any] | None:
        """Add a run as `describe` found it; returns its times, None if they are not known."""
        self.states[about["state"]] += 1
        estimate = about["estimate"]
        if estimate is None:
            self.unknown += about["state"] != "complete"
            return None
        if about["state"] == "complete":
            return None
        images = repr((plan.stream, plan.stream_options, plan.transforms))
        encoded = repr((images, plan.backbone, plan.backbone_options, plan.precision))
        total = estimate["flops"]["computed"]
        flops = max(0.0, total - estimate["flops"]["done"])
        shared, steps = min(estimate["flops"]["shared"], flops), estimate["steps"] * (flops / total if total else 0)
        speed = self._speed(plan, about["backbone"]["forward_flops"])
        seconds = None if speed is None else flops / speed.on_threads(self.asked.threads_of_a_job)
        self._left.append(_Left(flops, steps, shared, encoded, images, seconds, plan.precision, estimate))
        if shared:
            self._shared[encoded] = max(shared, self._shared.get(encoded, 0.0))
            self._sharing[encoded] += 1
        size = estimate["bytes"]
        self._disk[encoded] = max(size["features"], self._disk.get(encoded, 0.0))
        self._disk[images] = max(size["decoded"], self._disk.get(images, 0.0))
        self._kept += size["record"] + size["predictions"] + size["learner"]
        found: dict[str, Any] = {"here": None if speed is None else {"seconds": seconds, "from": speed.source}}
        for name in self.asked.names:
            found[name] = {"seconds": self._on(name, self._left[-1]), "from": self._how()}
        return found

    def _speed(self, plan: Plan, forward: float) -> Speed | None:
        from cl.results.speeds import Speed
        from cl.running.build import pick_device

        device = pick_device(plan.device).partition(":")[0]
        found = self.speeds.of(plan.strategy, plan.backbone, device, plan.precision)
        if found is None and self.asked.measure:
            key = repr((plan.backbone, plan.backbone_options, device, plan.precision))
            if key not in self._measured:
                from cl.running.speed import measured

                self._measured[key] = measured(
                    plan.backbone, plan.backbone_options,
                    forward_flops=int(forward), device=plan.device, precision=plan.precision,
                )  # fmt: skip
            found = Speed(self._measured[key], 0, "measured now, steps of 16 images", _threads())
        if found is not None:
            self._sources[found.source] = None
        return found

    def _on(self, name: str, left: _Left) -> float:
        """Seconds of a run on a device that is not here."""
        return max(left.flops / (peak(name, left.precision) * self.asked.utilisation), left.steps * STEP_SECONDS)

    def _how(self) -> str:
        """How the times on other devices are known."""
        least = f"at least {STEP_SECONDS * 1000:g} ms a step"
        return f"published peak x {self.asked.utilisation:g}, but {least}, not measured"

    def _started(self, seconds: Sequence[float], runs_per_process: int | None) -> list[float]:
        """Times of runs with the starts of their processes, an equal share for each run."""
        processes = -(-len(seconds) // (runs_per_process or max(1, len(seconds))))
        return [each + START_SECONDS * processes / len(seconds) for each in seconds]

    def as_dict(self) -> dict[str, Any]:
        """The sum, for `--json`."""
        flops = sum(each.flops - each.shared for each in self._left) + sum(self._shared.values())
        largest = sorted((each.estimate["bytes"]["checkpoint"] for each in self._left), reverse=True)
        end = self._kept + sum(self._disk.values())
        known = {each.estimate["known"]["learning"] for each in self._left}
        runs = [each.seconds for each in self._left if each.seconds is not None]
        here = self._started(runs, self.asked.runs_per_process)
        devices, count = {}, self.asked.devices or 1
        for name in self.asked.names:
            seconds = self._started([self._on(name, each) for each in self._left], 1)
            devices[name] = {
                "seconds_on_one": sum(seconds), "devices": count, "seconds": makespan(seconds, count),
                "longest_run_seconds": max(seconds, default=0.0), "known": self._how(),
            }  # fmt: skip
        return {
            "runs": {state: self.states[state] for state in _STATES},
            "unknown_runs": self.unknown,
            "flops": {"left": flops, "known": _least(known), "saved_by_sharing": _saved(self._left, self._shared)},
            "sharing_runs": sum(count for count in self._sharing.values() if count > 1),
            "images": {
                key: sum(each.estimate["images"][key] for each in self._left)
                for key in ("trained", "tuned", "encoded", "looked_up", "tested")
            },
            "steps": sum(each.steps for each in self._left),
            "disk_bytes": {"end": end, "most": end + sum(largest[: self.asked.jobs]), "known": "upper bound"},
            "here": {
                "seconds": makespan(here, self.asked.jobs) if len(here) == len(self._left) and here else None,
                "jobs": self.asked.jobs, "threads": self.asked.threads_of_a_job, "runs_known": len(here),
                "start_seconds": sum(here) - sum(runs), "known": "measured" if here else None,
                "from": list(self._sources),
            },
            "device_models": devices,
        }  # fmt: skip

    def lines(self) -> list[tuple[str, str]]:
        """The sum as lines: a name and a text each."""
        found, asked = self.as_dict(), self.asked
        runs = found["runs"]
        parts = ", ".join(f"{count:,} {state}" for state, count in runs.items() if count)
        lines = [("Grid", f"{counted(sum(runs.values()), 'run')}: {parts}" if parts else "no run")]
        if self.unknown:
            lines.append(
                ("Unknown", f"in none of the figures below: {counted(self.unknown, 'run')} whose images are not here")
            )
        if not self._left:
            return lines
        flops = found["flops"]
        lines.append(
            (
                "Compute",
                f"{flops_text(flops['left'])} left in {counted(round(found['steps']), 'step')} ({flops['known']})",
            )
        )
        if found["sharing_runs"]:
            saved = flops_text(flops["saved_by_sharing"])
            lines.append(
                ("Shared", f"{found['sharing_runs']:,} runs share features of the same images, which saves {saved}")
            )
        disk = found["disk_bytes"]
        sizes = [size_text(round(disk[key])) for key in ("end", "most")]
        lines.append(("Disk", f"{sizes[0]} at the end, {sizes[1]} at most in between ({disk['known']})"))
        here, jobs = found["here"], f"--jobs {asked.jobs}"
        if here["seconds"] is not None:
            origin = "; ".join(here["from"][:3]) + ("; ..." if len(here["from"]) > 3 else "")
            count = round(here["start_seconds"] / START_SECONDS)
            which = f"each of {count:,} processes" if count > 1 else "the process"
            origin += f"; {START_SECONDS:g} seconds to start {which}"
            lines.append(("Time", f"about {time_text(here['seconds'])} here with {jobs} ({origin})"))
        else:
            without = len(self._left) - here["runs_known"]
            fix = "give --speeds-from FOLDER or --measure"
            lines.append(
                (
                    "Time",
                    f"not known here: {counted(without, 'run')} without a record of the backbone on this device; {fix}",
                )
            )
        for name, each in found["device_models"].items():
            text = f"about {time_text(each['seconds_on_one'])} on one"
            if asked.devices is not None:
                longest = time_text(each["longest_run_seconds"])
                text += f", {time_text(each['seconds'])} on {asked.devices:,} (the longest run: {longest})"
            lines.append((name, text))
        if asked.names:
            start = f"{START_SECONDS:g} seconds to start each run"
            lines.append(("Note", f"Times on devices that are not here: {self._how()}, and {start}."))
        return lines


def _saved(left: Sequence[_Left], shared: Mapping[str, float]) -> float:
    return sum(each.shared for each in left) - sum(shared.values())


def _least(known: set[str]) -> str:
    return next((each for each in ("upper bound", "assumed", "declared") if each in known), "declared")


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def flops_text(flops: float) -> str:
    """FLOPs with three digits: 1.23 PFLOP."""
    power = 0
    while flops >= 999.5 and power < len(_UNITS) - 1:
        flops, power = flops / 1000, power + 1
    return f"{flops:.3g} {_UNITS[power]}FLOP"


def time_text(seconds: float) -> str:
    """A time in its largest unit, with two digits: 3.4 hours."""
    for unit, length in (("years", 365 * 86_400), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"{_two(seconds / length)} {unit}"
    return f"{_two(max(seconds, 0.1))} seconds"


def _two(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
