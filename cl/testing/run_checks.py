"""Checks of runs: test images stay unseen, state is complete, seeds decide, costs are true, memory is bounded."""

from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cl.testing.multi_label import with_several_classes
from cl.testing.reachable import differences
from cl.testing.report import CheckFailure, CheckSkipped
from cl.testing.workbench import IMAGES, TASKS, Ticks, Workbench
from cl.training import state
from cl.training.checkpoint import Checkpoint

INTERRUPTIONS = 6
SLACK = 256
"""Bytes by which two measurements may differ: counters, names."""

FLOP_SHARE = 0.1
"""Relative difference allowed between counted and executed FLOPs."""


def test_blind(bench: Workbench) -> None:
    """Training does not depend on test images: the state is the same with noise instead of them."""
    expected = bench.reference.states[-1]
    learner = bench.learner()
    with tempfile.TemporaryDirectory() as folder:
        bench.run(learner, Path(folder), bench.noisy(bench.stream()))
    if changed := next(differences(expected, learner.get_state()), None):
        raise CheckFailure(
            f"with noise instead of the test images, after {TASKS} tasks {changed}.",
            "let learn read its view only; predict must change nothing, private attributes included.",
        )


def state_round_trip(bench: Workbench) -> None:
    """The state after two tasks is complete: a fresh instance that loads it predicts and learns the same bits."""
    stream, reference = bench.stream(), bench.reference
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        state.save(path, reference.states[1])
        loaded = state.load(path)
    learner = bench.start(bench.learner(), stream)
    learner.set_state(loaded)
    if changed := next(differences(reference.states[1], learner.get_state()), None):
        raise CheckFailure(
            f"loaded into a fresh instance, {changed}.",
            "create parts and modules in setup(), and let parts grow to the state they are given.",
        )
    other = bench.start(bench.learner(), stream)
    bench.learn(other, stream, range(2))
    pixels = torch.from_numpy(stream.dataset.test.pixels[:20].copy()).permute(0, 3, 1, 2)
    tasks = [0, 1] if set(learner.rules) == {"til_oracle"} else [None]
    for task, answer in itertools.product(tasks if other.ready else [], ("", *learner.answers)):
        for held in (learner, other):
            for module in state.modules_of(held):
                module.eval()
        try:
            scores = learner.predict_images(pixels, task, answer)
        except Exception as error:
            raise CheckFailure(
                f"a fresh instance with the state of two tasks cannot predict: {type(error).__name__}: {error}.",
                "keep what predict needs in public attributes; names that start with '_' are not saved.",
            ) from error
        if not torch.equal(scores, other.predict_images(pixels, task, answer)):
            raise CheckFailure(
                "a fresh instance with the state of two tasks predicts other scores.",
                "keep what predict needs in public attributes; names that start with '_' are not saved.",
            )
    bench.learn(learner, stream, range(2, TASKS))
    if changed := next(differences(reference.states[2], learner.get_state()), None):
        raise CheckFailure(
            f"a third task learned from the saved state ends in another state than without saving: {changed}.",
            "keep what learn carries from task to task in public attributes.",
        )


def resume(bench: Workbench) -> None:
    """A run that is interrupted several times, also within tasks, ends with the same result."""
    expected = bench.reference.record["result"]
    patience = max(2, bench.reference.ticks // INTERRUPTIONS)
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(INTERRUPTIONS + 1):
            show = _Interrupt(patience) if attempt < INTERRUPTIONS else None
            learner = bench.learner(checkpoint=Checkpoint(Path(folder) / "checkpoint", every=0), observer=show)
            try:
                record = bench.run(learner, Path(folder))
            except _Stopped:
                continue
            break
    _same_result(
        expected, record["result"], f"a run interrupted {attempt} times",
        "call fit and compute in the same order whatever was restored, keep results only in public attributes, and "
        "draw from self.rng(purpose).",
    )  # fmt: skip


def several_classes(bench: Workbench) -> None:
    """A method that says `multi_label` learns a task with several classes per image, also if it is interrupted."""
    if not bench.method.multi_label:
        raise CheckSkipped("it learns one class per image (Strategy.multi_label).")
    _ = bench.reference  # a strategy that does not run at all is reported once
    stream = with_several_classes(bench.stream(), 2)
    with tempfile.TemporaryDirectory() as folder:
        watch = Ticks()
        expected = bench.run(bench.learner(observer=watch), Path(folder), stream)["result"]
    for rule, told in expected["mean_precision"].items():
        if told[-1][0] is None:
            raise CheckFailure(
                f"it has no scores under {rule} for a task with several classes per image that it learned.",
                "give every class of the task a column of predict's scores.",
            )
    with tempfile.TemporaryDirectory() as folder:
        attempts, patience = 3, max(2, watch.ticks // 3)
        for attempt in range(attempts + 1):
            show = _Interrupt(patience) if attempt < attempts else None
            learner = bench.learner(checkpoint=Checkpoint(Path(folder) / "checkpoint", every=0), observer=show)
            try:
                record = bench.run(learner, Path(folder), stream)
            except _Stopped:
                continue
            break
    _same_result(
        expected, record["result"], f"a run on several classes per image that was interrupted {attempt} times",
        "call fit and compute in the same order whatever was restored, and keep results only in public attributes.",
    )  # fmt: skip


def seeded(bench: Workbench) -> None:
    """The same seeds give the same result, whatever ran before and whatever the global random generators hold."""
    expected = bench.reference.record["result"]
    torch.manual_seed(4242)
    np.random.seed(4242)
    random.seed(4242)
    with tempfile.TemporaryDirectory() as folder:
        record = bench.run(bench.learner(), Path(folder))
    _same_result(
        expected, record["result"], "a second run with the same seeds",
        "draw from self.rng(purpose) and self.init_rng(purpose); keep nothing in the class or the module.",
    )  # fmt: skip


def costs(bench: Workbench) -> None:
    """Costs are true: the FLOPs counted are those executed, and `stored()` says what the state holds."""
    reference = bench.reference
    said, held = sum(reference.learner.stored().values()), state.nbytes(reference.states[-1])
    if abs(said - held) > SLACK + 0.05 * held:
        raise CheckFailure(
            f"stored() says {said:,} bytes, the state holds {held:,}.",
            "leave stored() to the base class; give a part an attribute `stores` = samples, statistics or parameters.",
        )
    counted = reference.record["measurement"]["flops"]["executed"]
    if abs(counted - reference.flops) > FLOP_SHARE * reference.flops:
        raise CheckFailure(
            f"{counted:,.0f} FLOPs are counted where {reference.flops:,.0f} were executed.",
            "do optimisations in self.fit and long passes in self.compute: work outside them is not counted.",
        )


def memory(bench: Workbench) -> None:
    """Memory kept between tasks does not grow with the number of images, declared raw samples excepted."""
    if bench.method.access == "past":
        raise CheckSkipped("declares access to the past.")
    once, twice = bench.reference.reached[1], bench.doubled.reached[1]
    growth = sum(twice.values()) - sum(once.values())
    declared = bench.doubled.samples[1] - bench.reference.samples[1]
    if growth > declared + SLACK:
        path = max(twice, key=lambda key: twice[key] - once.get(key, 0))
        raise CheckFailure(
            f"twice as many images per class ({2 * IMAGES} for {IMAGES}) leave {growth:,} bytes more after two tasks, "
            f"of which {declared:,} are declared as samples; most in {path!r}.",
            "keep statistics instead of images or features, or hold samples in a part with stores = 'samples'.",
        )


# ------------------------------------------------------------------------------------------------------------ helpers


class _Stopped(BaseException):
    """An interruption, as Ctrl-C would be."""


class _Interrupt(Ticks):
    """Stops the run after `patience` ticks."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.patience = patience

    def tick(self) -> None:
        super().tick()
        if self.ticks >= self.patience:
            raise _Stopped


def _same_result(expected: Any, found: Any, what: str, fix: str) -> None:
    gap = next((line for line in differences(expected, found, "result")), None)
    if gap is not None:
        raise CheckFailure(f"{what} ends with another result: {gap}.", fix)
