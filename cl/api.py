"""The Python API: `run` a strategy on a stream, get a result with data frames and the learner."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl import registry
from cl.config import options_of
from cl.errors import DataError, UsageError
from cl.files import make_folder, write_text
from cl.loggers import check as check_loggers
from cl.plan import Plan, invocation, load_plan, make_plan
from cl.progress import NullProgress, Progress, displayed
from cl.registry import toml_load
from cl.run_folder import clear, locked, logged
from cl.settings import transform

if TYPE_CHECKING:
    import pandas as pd

    from cl.results.store import Paths, Results

EXISTING = ("only-missing", "always", "never")
"""What to do where a run exists: skip it when complete and continue it when not, start over, or refuse."""

RECORD = "record.json"
CONFIG = "config.toml"
LEARNER = "learner.safetensors"
_MARKS = (CONFIG, RECORD, "checkpoint")

_KEEP_LEARNER = (
    "run again with --save-learner --existing always (from Python: save_learner=True, existing='always') to keep it"
)

log = logging.getLogger("clbench")


@dataclass(frozen=True, repr=False)
class RunResult:
    """A run and what came of it; in a notebook it shows as its forgetting table."""

    record: Mapping[str, Any]
    folder: Path
    _learner: Any = field(default=None, compare=False)

    @property
    def status(self) -> str:
        """partial, complete or failed."""
        return str(self.record["status"])

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Metrics per prediction rule, as fractions."""
        return dict(self.record["result"]["metrics"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by position: column i of the learner's scores is `class_names[i]`."""
        return tuple(self.record["result"]["stream"]["class_names"])

    @cached_property
    def learner(self) -> Any:
        """The trained strategy, to predict with: `result.learner.predict_images(pixels)` for uint8 [B, C, H, W].

        The one that has just learned, or the one that `save_learner=True` kept in the run's folder (see
        `load_learner`). Raises `UsageError` where neither is there.
        """
        return self._learner if self._learner is not None else load_learner(self.folder)

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Accuracy of every group after every task, one row each, for every prediction rule."""
        import pandas as pd

        from cl.results.store import ACCURACY_COLUMNS, accuracy_rows

        frame = pd.DataFrame(accuracy_rows(self.record), columns=list(ACCURACY_COLUMNS))
        return frame.drop(columns="run")

    def table(self, width: int | None = None) -> str:
        """The forgetting table as text, at most `width` characters wide where given."""
        from cl.results.tables import forgetting_text

        return forgetting_text(self.record, width=width)

    def __repr__(self) -> str:
        return f"RunResult({self.status}, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.table())}\n{escape(str(self.folder / RECORD))}</pre>"


def run(strategy: str | None = None, stream: str | None = None, **arguments: Any) -> RunResult:
    """Run a strategy on a stream and return the result; a complete run is not repeated, an interrupted one continues.

        result = cl.run("slca", "split-digits", seed=7, settings={"lr": 0.02, "stream.tasks": 2})
        result.accuracy, result.metrics["cil_seen"]["A_last_sample"], result.learner.predict_images(pixels)

    Takes what `make_plan` takes (`seed`, `settings`, `backbone`, `limit`, `device`, `results`, `save_learner`, ...) and
    `existing`: "only-missing", "always" (start over) or "never". `progress` is "auto", "rich", "plain", "none" or an
    object with the methods of `cl.progress.Progress`; by default a notebook shows one line per run, anything else
    nothing. Raises `ClbenchError`.
    """
    existing = arguments.pop("existing", "only-missing")
    progress = arguments.pop("progress", None)
    plan = make_plan(strategy, stream, **arguments)
    with displayed(progress, plan.title) as show:
        return execute(plan, existing=existing, progress=show)


def resume(folder: str | os.PathLike[str], *, progress: Progress | str | None = None) -> RunResult:
    """Continue the run in `folder` as it was configured; a complete one is returned as it is.

    `progress` is that of `run`. Raises `ClbenchError`.
    """
    plan = load_plan(Path(folder))
    with displayed(progress, plan.title) as show:
        return execute(plan, progress=show)


def load_results(paths: Paths | None = None) -> Results:
    """Read every record under folders (by default where results go) into data frames, without importing torch.

        results = cl.load_results("results").filter(stream="split-digits")
        results.runs                  # one row per run: names, seeds, costs, and "<rule>/<metric>" as fractions
        results.metrics               # the same metrics in long form: run, strategy, rule, metric, value
        results.accuracy              # one row per (run, rule, evaluation, group)
        results.leaderboard()         # seeds averaged, with intervals and ranks

    Raises `UsageError` for a path that does not exist, `DataError` for a damaged record.
    """
    from cl.results.store import load_results as load

    return load(paths if paths is not None else os.environ.get("CLBENCH_RESULTS") or "results")


def load_learner(folder: str | os.PathLike[str], *, device: str = "auto") -> Any:
    """The learner of a run that was made with `save_learner=True`, ready to predict; the stream's data is not needed.

        learner = cl.load_learner("results/.../seed1993")
        scores = learner.predict_images(pixels)                     # uint8 [B, C, H, W] -> [B, classes]
        names = [learner.info.class_names[i] for i in scores.argmax(1)]

    Its predictions are those of the learner as the run ended, bit for bit on the same kind of device. Warns where the
    strategy's code has changed since. Raises `UsageError` where the folder holds no saved learner or the strategy is
    not registered, `DataError` for other weights or preprocessing than it was trained with, and for a damaged file.
    """
    path = Path(folder) / LEARNER
    if not path.is_file():
        if not (path.parent / CONFIG).is_file():
            raise UsageError(f"{folder} holds no run; give the folder of one, as `clbench run` prints it.")
        raise UsageError(f"{folder} keeps no learner; {_KEEP_LEARNER}.")

    from cl import learner
    from cl.random import Seeds
    from cl.trainer import Trainer

    saved = learner.load(path)
    plan = load_plan(path.parent)
    device = pick_device(device)
    with learner.generators_untouched():
        trainer = Trainer(seeds=Seeds(**plan.seeds), device=device, checkpoint=learner.SetupJournal(saved.setup))
        strategy = registry.strategies.get(plan.strategy)(plan.options, build_backbone(plan, device), trainer)
        return learner.rebuild(saved, strategy, path)


def execute(plan: Plan, *, existing: str = "only-missing", progress: Progress | None = None) -> RunResult:
    """Do what a plan says, or what is left of it.

    Raises `UsageError` when the run exists and `existing` is "never" or a logger is not installed, `DataError` for
    missing data, `NonFiniteLoss`, and `ClbenchError` when another process is running it.
    """
    if existing not in EXISTING:
        raise UsageError(f"--existing must be one of {', '.join(EXISTING)}, not '{existing}'.")
    show = progress if progress is not None else NullProgress()
    folder = plan.folder
    if existing == "only-missing" and (done := _complete(folder)) is not None:
        return _skipped(plan, done, show)
    check_loggers(plan.loggers)
    from cl.loggers.feed import feed

    make_folder(folder)
    with locked(folder):
        if existing == "never" and any((folder / mark).exists() for mark in _MARKS):
            raise UsageError(f"{folder} exists; choose --existing only-missing to continue it or always to start over.")
        if existing == "always":
            clear(folder)
        elif (done := _complete(folder)) is not None:  # another process has finished it since
            return _skipped(plan, done, show)
        with logged(folder), feed(plan, show) as show:
            return _execute(plan, show)


def _execute(plan: Plan, progress: Progress) -> RunResult:
    folder = plan.folder
    notes = _warnings(plan)
    for text in notes:
        progress.message(text)
    if not (folder / CONFIG).exists():
        write_text(folder / CONFIG, plan.to_toml(run_id=uuid.uuid4().hex, command=invocation()))
    log.info("%s -> %s", plan.title, folder)

    from cl import learner, loop
    from cl.checkpoint import Checkpoint
    from cl.features import Encodings
    from cl.files import home
    from cl.random import Seeds
    from cl.trainer import Trainer

    device = pick_device(plan.device)
    stream = build_stream(plan, progress)
    backbone = build_backbone(plan, device)
    trainer = Trainer(
        seeds=Seeds(**plan.seeds),
        device=device,
        checkpoint=Checkpoint(folder / "checkpoint", plan.checkpoint_every, keep_setup=plan.save_learner),
        progress=progress,
        encodings=Encodings(home() / "features"),
    )
    strategy = registry.strategies.get(plan.strategy)(plan.options, backbone, trainer)
    about = header(plan)
    keep = partial(learner.save, folder / LEARNER, about=about["strategy"]) if plan.save_learner else None
    record = loop.run(
        strategy, stream, folder, about,
        trainer=trainer, max_tasks=plan.max_tasks, warnings=tuple(notes), keep=keep,
    )  # fmt: skip
    return RunResult(record, folder, strategy)


def build_stream(plan: Plan, progress: Progress | None = None) -> Any:
    """The stream of a plan; raises `DataError` where its data is missing or broken."""
    name, argument = registry.streams.split(plan.stream)
    family = registry.streams.get(name)()
    more = {} if argument is None else {"argument": argument}
    stream = family.build(
        plan.stream_options,
        order_seed=plan.seeds["order"],
        data_seed=plan.seeds["data"],
        progress=progress.data if progress is not None else None,
        **more,
    )
    return transform(stream, plan.transforms, plan.seeds["data"])


def build_backbone(plan: Plan, device: str = "cpu") -> Any:
    """The backbone of a plan; raises `UsageError` for an unknown one, `DataError` where its weights are missing."""
    from cl.backbone import load

    return load(plan.backbone, plan.backbone_options, device=device, precision=plan.precision, seed=plan.seeds["init"])


def pick_device(name: str) -> str:
    """`auto` takes an accelerator where there is one; raises `UsageError` for a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"--device {name} is not available here ({str(error).splitlines()[0]}); try auto.") from error
    return name


def header(plan: Plan) -> dict[str, Any]:
    """What a record says about a run before anything is measured: names of the run, and parts of its `result`."""
    method = registry.strategies.get(plan.strategy)
    marks = list(method.marks(plan.options))
    return {
        "run_id": str(toml_load(plan.folder / CONFIG)["invocation"]["run_id"]),
        "config_hash": plan.config_hash,
        "strategy": {
            "name": plan.strategy,
            "version": str(getattr(method, "version", "1")),
            "distribution": " ".join(registry.strategies.distribution(plan.strategy)).strip(),
            "source_sha256": registry.strategies.source_sha256(plan.strategy),
            "access": method.access,
            "rules": list(method.rules),
            "preset": plan.preset or (None if plan.untuned else "default"),
            **({"marks": marks} if marks else {}),
        },
        "config": plan.config(),
        "seeds": dict(plan.seeds),
        "precision": {"dtype": plan.precision},
        "limited": plan.limited,
    }


def _complete(folder: Path) -> Mapping[str, Any] | None:
    """The record of a complete run, None where there is none; raises `DataError` for a damaged one."""
    path = folder / RECORD
    if not path.is_file():
        return None
    from cl.results.record import load

    record = load(path)
    return record if record["status"] == "complete" else None


def _skipped(plan: Plan, record: Mapping[str, Any], progress: Progress) -> RunResult:
    progress.message(f"{plan.title}: complete already; --existing always runs it again.")
    if _source_changed(plan, record):
        progress.message(f"The code of {plan.strategy} has changed since that run.")
    if plan.save_learner and not (plan.folder / LEARNER).is_file():
        log.warning("%s is complete, but its learner was not kept; %s.", plan.title, _KEEP_LEARNER)
    return RunResult(record, plan.folder)


def _warnings(plan: Plan) -> list[str]:
    """What the reader of the record should know."""
    texts = []
    if plan.untuned and options_of(type(plan.options)):
        texts.append(f"No preset of {plan.strategy} is meant for {plan.stream} with {plan.backbone}: untuned.")
    if caveat := getattr(registry.strategies.get(plan.strategy), "caveat", ""):
        texts.append(caveat)
    path = plan.folder / RECORD
    if path.is_file():
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not valid JSON ({error}); start over with --existing always.") from error
        if _source_changed(plan, record):
            text = f"The code of {plan.strategy} has changed since this run began; --existing always starts over."
            log.warning(text)
            texts.append(text)
    return texts


def _source_changed(plan: Plan, record: Mapping[str, Any]) -> bool:
    source = registry.strategies.source_sha256(plan.strategy)
    recorded = record.get("result", {}).get("strategy", {}).get("source_sha256")
    return source is not None and recorded is not None and source != recorded
