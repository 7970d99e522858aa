"""The options of a run, each declared once with name, type, default, bounds, help and environment variable.

The command line, the [run] table of a config file, the arguments of `make_plan` and `cl.run`, environment variables and
config.toml all read this declaration. Precedence, lowest first: default < config file < environment < call.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cl import paths
from cl.errors import UsageError, did_you_mean
from cl.options import OptionInfo, jsonable, option, options_of
from cl.plan.precision import resolve_precision
from cl.settings import SETTINGS
from cl.values import parse_value, shortened

DEFAULT_BACKBONE = "vit_micro_patch4_32.tinyimagenet_distill"
DEFAULT_SEED = 1993

EXISTING = ("only-missing", "always", "never", "skip-running")
"""What to do with an existing run: keep a complete one and continue an interrupted one; start over; refuse; as the
first, but skip a run that another process is executing."""

SEEDS = ("order", "init", "data")
"""Purposes with their own seed; `seed` sets all of them."""

_RESULTS = Path(paths.RESULTS)

Self = TypeVar("Self", bound="RunOptions")


@dataclass(frozen=True)
class RunOptions:
    """The options of a run, apart from the options of the method, the stream and the backbone."""

    strategy: str = option("", "Strategies; repeat or separate by commas.")
    stream: str = option("", "Streams; repeat or separate by commas.")
    backbone: str = option(
        DEFAULT_BACKBONE, "Any timm model as arch.tag, arch@file or arch@random; repeat or separate by commas."
    )
    preset: str | None = option(None, "A named variant of the paper's values; see `clbench info STRATEGY`.")
    seed: int = option(DEFAULT_SEED, "Seeds; repeat or separate by commas. Sets the three seeds below.")
    order_seed: int | None = option(None, "Seed of the class order only.")
    init_seed: int | None = option(None, "Seed of new parameters only.")
    data_seed: int | None = option(None, "Seed of batches and augmentation only.")
    limit: int | float | None = option(None, "N images per class, or a share such as 0.1; never ranked.")
    max_tasks: int | None = option(None, "Learn the first N tasks only; unranked.", ge=1)
    sealed: bool = option(
        False, "Evaluate held-out training images, and make any access to a test image an error; unranked."
    )
    stop_below: tuple[float, ...] = option(
        (), "End the run early if its accuracy after task 1, 2, ... is below these fractions; unranked.", ge=0, le=1
    )
    probe: str | None = option(
        None, "Measure the forgetting of the pretraining by a linear probe on a dataset, such as tinyimagenet_60."
    )
    probe_last: bool = option(False, "With --probe: after the last task only; the default is after every task.")
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps.", env="CLBENCH_DEVICE")
    precision: str = option(
        "fp32", "fp32, bf16 for autocast, tf32 on a CUDA device, or auto: bf16 if the hardware computes it, else fp32.",
        choices=("fp32", "bf16", "tf32", "auto"), env="CLBENCH_PRECISION",
    )  # fmt: skip
    compile: bool = option(
        False, "Compile the backbone (torch.compile); it pays for runs of thousands of training steps."
    )
    results: Path = option(_RESULTS, "Results folder.", env=paths.RESULTS_VARIABLE)  # noqa: RUF009 - a field
    checkpoint_every: float = option(30.0, "Seconds between checkpoints inside a task.", ge=0, infinite=True)
    save_learner: bool = option(
        False,
        "Save the trained learner in the run's folder, for predict, export-model, run --from and cl.load_learner.",
    )
    save_every_task: bool = option(
        False, "Save the learner after every task too, so that --from FOLDER --at TASK can go on from there."
    )
    save_scores: bool = option(
        False, "Store what top-5 accuracy, ECE and NLL need in predictions.npz: 6 bytes per image, evaluation and rule."
    )
    loggers: tuple[str, ...] = option(
        (), "Loggers that also get losses and metrics, such as tensorboard.", env="CLBENCH_LOGGER"
    )
    few_shot: bool = option(
        False, "60 % of the classes first, then the others in eight tasks with 5 images per class (stream.shots=5)."
    )
    skip_damaged: bool = option(
        False, "Leave out images of a folder that cannot be read, and list them in the record (stream.skip_damaged)."
    )
    setting: tuple[str, ...] = option(
        (), f"How the images arrive: {', '.join(SETTINGS)} (stream.setting; options in the docs).", choices=SETTINGS
    )

    @property
    def seeds(self) -> dict[str, int]:
        """The seed of order, init and data."""
        given = {name: getattr(self, f"{name}_seed") for name in SEEDS}
        return {name: self.seed if seed is None else seed for name, seed in given.items()}

    @property
    def limited(self) -> bool:
        """Whether the run uses only part of the images or tasks; such a run is never ranked."""
        return self.limit is not None or self.max_tasks is not None or self.sealed or self.stop_below != ()

    def settled(self: Self) -> Self:
        """The same run in a canonical form: one seed or three, and no shorthands that became options of the stream."""
        seeds = self.seeds
        one = len(set(seeds.values())) == 1
        separate: dict[str, Any] = {f"{name}_seed": None if one else seed for name, seed in seeds.items()}
        shorthands: dict[str, Any] = {"few_shot": False, "skip_damaged": False, "setting": ()}
        return dataclasses.replace(self, seed=seeds["order"], **separate, **shorthands)

    def table(self) -> dict[str, Any]:
        """The [run] table of a config file for this run, without values that were not chosen."""
        values = {key: getattr(self, key) for key in declared()}
        if len(set(self.seeds.values())) > 1:
            del values["seed"]
        return {
            key: str(value) if isinstance(value, Path) else jsonable(value)
            for key, value in values.items()
            if not (value is None or value is False or value == ())
        }


@cache
def declared() -> Mapping[str, OptionInfo]:
    """The options of a run by name, in order."""
    return options_of(RunOptions)


def flag(key: str) -> str:
    """The option of the command line for a field of `RunOptions`."""
    return "--logger" if key == "loggers" else f"--{key.replace('_', '-')}"


def resolve_run(given: Mapping[str, Any], file: Mapping[str, Any]) -> RunOptions:
    """The options of a run: `given` (None: not given), else the environment, the file, the default.

    Raises `UsageError` for an unknown key or a wrong value.
    """
    for key in given:
        if key not in declared():
            hint = did_you_mean(key, list(declared()))
            raise UsageError(f"There is no option '{key}' of a run; options of a method go into `options`.{hint}")
    chosen = {key: value for key, value in given.items() if value is not None}
    if "seed" in chosen:  # --seed overrides all three seeds of the file
        file = {key: value for key, value in file.items() if not key.endswith("_seed")}
    return parse_run({**file, **environment(), **chosen}, flags=True)


def environment() -> dict[str, str]:
    """The options that environment variables set."""
    return {key: value for key, info in declared().items() if info.env and (value := os.environ.get(info.env))}


def parse_run(values: Mapping[str, Any], *, flags: bool) -> RunOptions:
    """Options of a run from text or TOML values; `flags`: errors name options --like-this.

    The precision "auto" becomes that of the hardware here, so hashes, files and boards never hold "auto".
    """
    parsed = {}
    for key, value in values.items():
        info = declared()[key]
        name = flag(key) if flags else key
        parsed[key] = parse_value(info.annotation, value, name, info.constraints)
    run = RunOptions(**parsed)
    return dataclasses.replace(run, precision=resolve_precision(run.precision, run.device))


def with_old_name(
    options: Mapping[str, Any] | None, settings: Mapping[str, Any] | None, *, stacklevel: int = 3
) -> dict[str, Any]:
    """`options`, or the value of `settings`, its name in 0.1.0, whose use warns `stacklevel` frames up the stack.

    Raises `UsageError` if both are given.
    """
    for given in (options, settings):
        if given is not None and not (isinstance(given, Mapping) and all(isinstance(key, str) for key in given)):
            raise UsageError(f"options must map names to values, such as {{'lr': 0.01}}, not {shortened(given)}.")
    if settings is None:
        return dict(options or {})
    if options is not None:
        raise UsageError("`settings` is now called `options`; give `options` only.")
    warnings.warn("`settings` is now called `options`; write options={...}.", FutureWarning, stacklevel=stacklevel)
    return dict(settings)
