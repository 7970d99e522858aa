"""Execution of one plan: skips a complete run, continues an interrupted one, returns the result."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from cl import registry
from cl.data import reads
from cl.data.duplicates import notes_on
from cl.errors import ClbenchError, RunInUse, StorageError, UsageError
from cl.files import make_folder, write_text
from cl.loggers import check as check_loggers
from cl.options import options_of
from cl.plan.config_file import Parent, run_id_of
from cl.plan.continued import LEARNER, learner_after
from cl.plan.needs import refuse, remarks
from cl.plan.plan import Plan
from cl.plan.run_options import EXISTING
from cl.progress.base import Observer, Observers
from cl.records.predictions import PREDICTIONS, has_scores
from cl.records.record import RECORD, load
from cl.running.allocator import keep_freed_memory, use_huge_pages
from cl.running.build import (
    build_backbone,
    build_probe,
    build_strategy,
    build_stream,
    learner_sha256,
    pick_device,
)
from cl.running.existing import (
    CHECKPOINT,
    check_complete,
    check_partial,
    complete_record,
    identity,
    repair,
    restore_config,
    save_inputs,
)
from cl.running.folder import KEEP_LEARNER, MARKS, clear, locked, logged
from cl.running.result import RunResult
from cl.training.profile import OFF, PROFILE, Off, Profile
from cl.training.shared_tables import SharedTables

log = logging.getLogger("clbench")

_TAKES_COMPLETE = ("only-missing", "skip-running")


def execute(
    plan: Plan,
    *,
    existing: str = "only-missing",
    progress: Observer | None = None,
    profile: bool = False,
    tables: SharedTables | None = None,
) -> RunResult:
    """Execute a plan, or the rest of it, and return the result.

    `profile` measures where the time goes. Runs with the same `tables` share features in memory.

    Raises `UsageError` if the run exists and `existing` is "never" or if a logger is not installed, `DataError` for
    missing data, `NonFiniteLoss`, and `RunInUse` if another process is executing the run.
    """
    if existing not in EXISTING:
        raise UsageError(f"--existing must be one of {', '.join(EXISTING)}, not '{existing}'.")
    show, clock = progress if progress is not None else Observer(), Profile() if profile else OFF
    folder = plan.folder
    if existing in _TAKES_COMPLETE and (done := complete_record(folder)) is not None:
        return _skipped(plan, done, show)
    check_loggers(plan.loggers)
    from cl.loggers.feed import hearing

    make_folder(folder)
    with locked(folder, show.message):
        if existing == "never" and any((folder / mark).exists() for mark in MARKS):
            raise UsageError(f"{folder} exists; choose --existing only-missing to continue it or always to start over.")
        if existing == "always":
            clear(folder)
        elif (done := complete_record(folder)) is not None:  # another process has completed it in the meantime
            return _skipped(plan, done, show, held=True)
        with logged(folder), hearing(plan.loggers, _about(plan)) as loggers:
            return _execute(plan, Observers([show, *loggers]), clock, tables)


def _about(plan: Plan) -> dict[str, Any]:
    """The description of a run that loggers get at its start."""
    names = ("folder", "results", "title", "strategy", "stream", "backbone", "seeds")
    options = {key: setting["value"] for key, setting in plan.config().items()}
    return {**{name: getattr(plan, name) for name in names}, "options": options}


def _execute(plan: Plan, progress: Observer, profile: Off, tables: SharedTables | None) -> RunResult:
    folder = plan.folder
    notes = _warnings(plan)
    restore_config(plan, _run_id_in_record(folder))
    log.info("%s -> %s", plan.title, folder)

    from cl.backbone.compiled import check_compiler
    from cl.backbone.devices import arithmetic, prepare
    from cl.paths import home
    from cl.random import Seeds
    from cl.running import loop, saved_learner
    from cl.running.calibration import Calibration
    from cl.running.held_out import calibrate
    from cl.running.learner import Learner
    from cl.running.sealing import falls_below
    from cl.training.checkpoint import Checkpoint
    from cl.training.encodings import Encodings
    from cl.training.trainer import Trainer

    use_huge_pages()
    keep_freed_memory()
    device = pick_device(plan.device)
    prepare(device, plan.precision)
    if plan.compile:
        check_compiler(device)
    with reads.recording() as of_stream:
        with profile.part("data"):
            probe = build_probe(plan, progress)  # first, because it may be missing and a stream takes minutes
            stream = build_stream(plan, progress)
            if probe is not None:
                probe.check(stream)
        backbone = build_backbone(plan, device)
    what = identity(plan, stream, backbone, probe)
    of_method = check_partial(plan, what)
    save_inputs(plan, of_stream, of_method)
    refuse(
        plan.strategy, plan.options, stream, backbone.least_batch, text=backbone.text is not None,
        max_tasks=plan.max_tasks,
    )  # fmt: skip
    notes += notes_on(stream.dataset)
    notes += remarks(
        plan.strategy, plan.options, stream, backbone.batch_norms, channels=backbone.transform.channels
    )  # fmt: skip
    for text in notes:
        progress.message(text)
    trainer = Trainer(
        seeds=Seeds(**plan.seeds),
        device=device,
        checkpoint=Checkpoint(
            folder / CHECKPOINT, plan.checkpoint_every, keep_setup=plan.save_learner, identity=what
        ),
        observer=progress,
        encodings=Encodings(home() / "features", shared=tables),
    )  # fmt: skip
    profile.started(trainer.wait)
    trainer.cost.profile = profile
    strategy = build_strategy(plan, backbone, trainer)
    about = header(plan)
    calibrated: list[Calibration] = []

    def ready() -> None:
        if plan.parent is not None:
            _take_up(plan, plan.parent, strategy)
        if plan.compile:
            backbone.compile_passes()
        save_inputs(plan, of_stream, of_method)

    def learned(learner: Any, tasks: int) -> None:
        if plan.save_every_task:
            saved_learner.save(folder / learner_after(tasks), learner, about["strategy"])

    def finish(learner: Any) -> None:
        if plan.compile and not backbone.ran_compiled:
            progress.message(
                f"--compile had no effect: {plan.strategy} trains no pass of the backbone as it was at setup."
            )
        if plan.save_learner:
            found = calibrate(Learner(learner, load(folder / RECORD, trust_hash=True)["result"]), stream)
            calibrated.append(found)
            progress.message(found.sentence)
            saved_learner.save(folder / LEARNER, learner, about["strategy"], found.as_state())
        save_inputs(plan, of_stream, of_method)

    with arithmetic(device, plan.precision), reads.recording(of_method):
        record = loop.run(
            strategy, stream, folder, about,
            trainer=trainer, max_tasks=plan.max_tasks, save_scores=plan.save_scores, warnings=tuple(notes),
            hooks=loop.Hooks(ready, learned, finish, falls_below(plan.stop_below)), probe=probe,
        )  # fmt: skip
    calibration = calibrated[0] if calibrated else None
    return RunResult(record, folder, strategy, calibration=calibration, profile=_profile_of(profile, folder, record))


def _profile_of(profile: Off, folder: Path, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Write the profile of a run to its folder and return it; None without --profile."""
    if not isinstance(profile, Profile):
        return None
    found = profile.result(resumed=bool(record["measurement"]["resumed_from"]))
    write_text(folder / PROFILE, json.dumps(found, indent=1) + "\n")
    return found


def header(plan: Plan) -> dict[str, Any]:
    """The parts of a record that are known before the run: its names, parts of its `result`, and its `tuning`."""
    method = registry.strategies.get(plan.strategy)
    marks = list(method.marks(plan.options))
    return {
        "run_id": run_id_of(plan.folder),
        "config_hash": plan.config_hash,
        "strategy": {
            "name": plan.strategy,
            "version": str(getattr(method, "version", "1")),
            "distribution": " ".join(registry.strategies.distribution(plan.strategy)).strip(),
            "source_sha256": registry.strategies.source_sha256(plan.strategy),
            "access": method.access,
            "rules": list(method.rules),
            **({"answers": list(method.answers)} if method.answers else {}),
            "preset": plan.preset or (None if plan.untuned else "default"),
            **({"marks": marks} if marks else {}),
        },
        "config": plan.config(),
        "seeds": dict(plan.seeds),
        "precision": {"dtype": plan.precision, **({"compile": True} if plan.compile else {})},
        "limited": plan.limited or (plan.parent is not None and plan.parent.limited),
        **({} if plan.parent is None else {"continues": _continues(plan, plan.parent)}),
        **({} if plan.tuning is None else {"tuning": plan.tuning.measured()}),
    }


def _continues(plan: Plan, parent: Parent) -> dict[str, Any]:
    """What a record says of the run that its run continues."""
    return {
        "result_sha256": parent.result_sha256,
        "learner_sha256": learner_sha256(plan),
        "tasks": parent.tasks,
        "rest": parent.rest,
    }


def _take_up(plan: Plan, parent: Parent, strategy: Any) -> None:
    """Give a strategy that was set up the state of the learner that its run continues.

    Raises `Incompatible` for a method that was set up for the tasks of its first run only.
    """
    from cl.random import Seeds
    from cl.running import saved_learner
    from cl.running.continuation import check_parts
    from cl.training.generators import generators_untouched
    from cl.training.trainer import Trainer

    saved = saved_learner.load(parent.file)
    saved_learner.check_backbone(saved, strategy, parent.file)
    if saved.info != strategy.info:
        with generators_untouched():
            journal = saved_learner.SetupJournal(saved.setup)
            trainer = Trainer(seeds=Seeds(**plan.seeds), device=strategy.device, checkpoint=journal)
            fresh = build_strategy(plan, build_backbone(plan, str(strategy.device)), trainer)
            check_parts(strategy, fresh, saved, parent.folder)
    saved_learner.fitting(saved, parent.file, lambda: strategy.set_state(saved.learned))


def _skipped(plan: Plan, record: Mapping[str, Any], progress: Observer, *, held: bool = False) -> RunResult:
    """The result of a complete run, after its files were checked; `held`: this process holds the lock.

    Raises `DataError` if something that the run read has changed.
    """
    folder = plan.folder
    found = [check_complete(plan, record)]
    try:
        with nullcontext() if held else locked(folder):
            found += repair(plan, record)
    except (RunInUse, StorageError) as error:  # in use, or read only: it is complete all the same
        log.info("%s is not checked for damage (%s)", folder, error)
    progress.message(f"{plan.title}: complete already; --existing always runs it again.")
    for text in filter(None, found):
        log.warning(text)
    if _source_changed(plan, record):
        progress.message(f"The code of {plan.strategy} has changed since that run.")
    if plan.save_learner and not (folder / LEARNER).is_file():
        log.warning("%s is complete, but its learner was not kept; %s.", plan.title, KEEP_LEARNER)
    if plan.save_scores and not any(found) and not has_scores(folder / PREDICTIONS):
        log.warning("%s is complete, but it did not store scores; --existing always runs it again.", plan.title)
    return RunResult(record, folder, executed=False)


def _warnings(plan: Plan) -> list[str]:
    """Warnings for the record of the run that are known before it begins."""
    texts = []
    if plan.untuned and options_of(type(plan.options)):
        texts.append(f"No preset of {plan.strategy} is meant for {plan.stream} with {plan.backbone}: untuned.")
    if caveat := getattr(registry.strategies.get(plan.strategy), "caveat", ""):
        texts.append(caveat)
    return texts


def _run_id_in_record(folder: Path) -> str | None:
    """The id of an interrupted run, None if its record is not there or damaged."""
    try:
        return str(load(folder / RECORD)["run_id"])
    except ClbenchError:
        return None


def _source_changed(plan: Plan, record: Mapping[str, Any]) -> bool:
    source = registry.strategies.source_sha256(plan.strategy)
    recorded = record.get("result", {}).get("strategy", {}).get("source_sha256")
    return source is not None and recorded is not None and source != recorded
