"""The one evaluation loop: events in, record out, resumable anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.errors import ClbenchError, counted
from cl.running import untrained_features
from cl.running.energy import Meter, added
from cl.running.evaluation import evaluate
from cl.running.probe import Probe
from cl.running.record_writer import Writer
from cl.running.run_state import RunState
from cl.strategy import Strategy
from cl.stream import Evaluate, Stream, Train
from cl.training.cost import peak_memory
from cl.training.trainer import Trainer


@dataclass(frozen=True)
class Hooks:
    """Calls of the loop: `ready` after the setup; `learned` with the learner and the number of tasks that it has
    learned, after each evaluation; `finish` with the learner after the last event, before the record says complete;
    `ends` with the record after an evaluation, true if the run ends there."""

    ready: Callable[[], None] | None = None
    learned: Callable[[Strategy, int], None] | None = None
    finish: Callable[[Strategy], None] | None = None
    ends: Callable[[Mapping[str, Any]], bool] = lambda record: False


def run(
    strategy: Strategy,
    stream: Stream,
    folder: Path,
    header: Mapping[str, Any],
    *,
    trainer: Trainer,
    max_tasks: int | None = None,
    save_scores: bool = False,
    warnings: tuple[str, ...] = (),
    hooks: Hooks = Hooks(),
    probe: Probe | None = None,
) -> dict[str, Any]:
    """Run every event of a stream and return the record, continuing from the last checkpoint in `trainer`.

    `header` holds the parts of the record's `result` that the loop does not know: strategy, config, backbone, seeds,
    precision, limited. `max_tasks` stops after this many experiences of the run. `save_scores`: see
    `cl.running.scores`. `probe` measures the forgetting of the pretraining. Raises the `ClbenchError` that ended the
    run, after writing a record with status "failed"; the checkpoint is kept.
    """
    known = {**header, "probe": probe.about()} if probe is not None else header
    writer = Writer(strategy, stream, folder, known, trainer, warnings)
    state, meter = RunState(seen=stream.seen_before), Meter(trainer.device)
    try:
        set_up(strategy, stream, trainer)
        if hooks.ready is not None:
            hooks.ready()
        state = _continue(state, strategy, trainer)
        if probe is not None:
            probe.begin(strategy, state, trainer)
        writer.write(state, "partial")
        for number, event in enumerate(stream.events):
            if number < state.next_event:
                continue
            if isinstance(event, Train) and hooks.ends(writer.record):
                break
            if isinstance(event, Train) and max_tasks is not None and event.experience - stream.learned >= max_tasks:
                break
            clock = time.perf_counter()
            if isinstance(event, Train):
                _learn(strategy, stream, event, state, trainer)
            else:
                _evaluate(strategy, stream, event, number, state, trainer, save_scores)
                _remark(strategy, state, writer, trainer)
                if hooks.learned is not None and (task := state.rows[-1]["task"]) is not None:
                    hooks.learned(strategy, task + 1)
            state.next_event = number + 1
            _account(state, trainer, _named(stream, event), number, time.perf_counter() - clock)
            state.energy = added(state.energy, meter.take())
            if probe is not None and not probe.last_only and isinstance(event, Evaluate):
                probe.follow(strategy, state, trainer)
            if _worth_a_commit(event, trainer):
                _commit(event, state, strategy, trainer)
                writer.write(state, "partial")
            trainer.observer.event(
                number, len(stream.events), writer.headline(state, measured=isinstance(event, Evaluate))
            )
            if isinstance(event, Evaluate):
                trainer.observer.evaluated(writer.record)
        if probe is not None:
            probe.follow(strategy, state, trainer)
        if state.results:
            _remark(strategy, state, writer, trainer)
        if hooks.finish is not None:
            hooks.finish(strategy)
        writer.write(state, "complete")
        if trainer.journal.checkpoint:
            trainer.journal.checkpoint.remove()
        return writer.record
    except ClbenchError as error:
        writer.fail(state, error)
        raise
    finally:
        meter.stop()


def _remark(strategy: Strategy, state: RunState, writer: Writer, trainer: Trainer) -> None:
    """Say once, when something was learned, that the network of the method is untrained, and keep it in the record."""
    if not state.seen or not strategy.ready:
        return
    name = str(writer.header["strategy"]["name"])
    with trainer.cost.part("other"):
        found = untrained_features.remark(strategy, name)
    told, writer.remark = writer.remark, found
    if found and not told:
        trainer.observer.message(found)


def set_up(strategy: Strategy, stream: Stream, trainer: Trainer) -> None:
    """Set a learner up for a stream; raises the `ClbenchError` of a method that cannot learn it with these options."""
    strategy.info = stream.info
    trainer.encodings.expect(stream)
    with trainer.cost.timed("train"), trainer.cost.part("other"):
        strategy.setup(stream.info)


def _continue(state: RunState, strategy: Strategy, trainer: Trainer) -> RunState:
    saved = trainer.journal.checkpoint.load_event() if trainer.journal.checkpoint else None
    if saved is None:
        return state
    trainer.journal.return_to(strategy, saved)
    state = RunState.from_state(saved["run"])
    state.resumed_from.append(f"after event {state.next_event - 1}")
    trainer.observer.message(f"resuming after event {state.next_event}")
    return state


def _learn(strategy: Strategy, stream: Stream, event: Train, state: RunState, trainer: Trainer) -> None:
    view = stream.view(event.experience, past=strategy.access == "past")
    trainer.observer.task(event.experience, len(stream.experiences), counted(len(view.train), "image"))
    trainer.journal.begin(event.experience)
    try:
        with trainer.cost.timed("train"):
            strategy.learn(view)
    finally:
        view.revoke()
    state.seen = max(view.seen) + 1
    state.resumed_from += trainer.journal.resumed_from
    trainer.journal.resumed_from = []


def _evaluate(
    strategy: Strategy, stream: Stream, event: Evaluate, number: int, state: RunState, trainer: Trainer,
    save_scores: bool,
) -> None:  # fmt: skip
    with trainer.cost.timed("eval"):
        row = evaluate(strategy, stream, event, state.seen, trainer, number, save_scores=save_scores)
    done = [*range(stream.learned), *(e.experience for e in stream.events[:number] if isinstance(e, Train))]
    seen = {"seen": state.seen} if stream.classes_return else {}  # otherwise the groups tell which classes were seen
    place = {"event": number, "task": done[-1] if done else None, "split": event.split}
    state.rows.append({**place, **seen, **_periodic(stream, done)})
    state.results.append(row)


def _periodic(stream: Stream, done: Sequence[int]) -> dict[str, bool]:
    """On a stream with a period: whether a multiple of it was reached with the last experience."""
    period = stream.options.get("evaluate_every")
    if not period:
        return {}
    images = [len(stream.experiences[experience].train) for experience in done]
    return {"periodic": bool(done) and sum(images) // period > sum(images[:-1]) // period}


def _named(stream: Stream, event: Train | Evaluate) -> dict[str, Any]:
    """What an event is, in the record: of training with the number of its images."""
    if isinstance(event, Evaluate):
        return {"what": f"evaluate {event.split}"}
    return {"what": f"train {event.experience}", "images": len(stream.experiences[event.experience].train)}


def _account(state: RunState, trainer: Trainer, what: dict[str, Any], number: int, seconds: float) -> None:
    state.events.append({"event": number, **what, "seconds": seconds, **trainer.cost.flops})
    state.peak = {key: max(value, state.peak[key]) for key, value in peak_memory().items()}


def _worth_a_commit(event: Train | Evaluate, trainer: Trainer) -> bool:
    """Whether to write a checkpoint: after every evaluation, and between evaluations when one is due."""
    return isinstance(event, Evaluate) or trainer.journal.checkpoint is None or trainer.journal.checkpoint.due()


def _commit(event: Train | Evaluate, state: RunState, strategy: Strategy, trainer: Trainer) -> None:
    """Write the checkpoint, the commit point: the run's other files are derived from it."""
    trainer.journal.begin(-1)
    state.stored, state.report = strategy.stored(), strategy.report()
    if isinstance(event, Evaluate):  # after other events it depends on the time whether there is a checkpoint
        state.events[-1]["stored"] = dict(state.stored)
    trainer.encodings.flush()
    if trainer.journal.checkpoint:
        with trainer.cost.timed("checkpoint"):
            trainer.journal.checkpoint.save_event({**trainer.journal.snapshot(strategy), "run": state.as_state()})
