"""Damage: one stored file of a run is damaged; every command that reads it must notice or not depend on it."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from pathlib import Path

from tools.soak.harm import HARMS, Advice, harm, keep_times
from tools.soak.outcome import Ended, Outcome, complaint, failure, symptom_in, warns, worst
from tools.soak.scenarios import SCENARIOS, Workshop
from tools.soak.server import clbench

HALFWAY = ("halfway-3", "halfway-5", "halfway-7", "halfway-8", "halfway-9")
RUN = "RUN/"
"""Start of a pattern for the folder of the run."""

KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "checkpoint: event": ("RUN/checkpoint/*event*", ("simplecil", "slca", "replay", "l2p"), HALFWAY),
    "checkpoint: entry": ("RUN/checkpoint/*entry*", ("slca", "replay", "weights"), HALFWAY),
    "checkpoint: partial": ("RUN/checkpoint/*partial*", ("slca", "replay", "l2p"), HALFWAY),
    "record.json": ("RUN/record.json", ("simplecil", "weights", "toml"), ("complete", *HALFWAY)),
    "predictions.npz": ("RUN/predictions.npz", ("simplecil", "weights", "toml"), ("complete", *HALFWAY)),
    "events.jsonl": ("RUN/events.jsonl", ("simplecil", "weights"), ("complete", *HALFWAY)),
    "config.toml": ("RUN/config.toml", ("simplecil", "weights", "toml"), ("complete", *HALFWAY)),
    "inputs.json": ("RUN/inputs.json", ("simplecil", "weights", "toml"), ("complete", *HALFWAY)),
    "learner": ("RUN/learner.safetensors", ("learner",), ("complete",)),
    "features": ("home/features/*/*", ("simplecil", "toml"), ("warm", "warm", "complete", *HALFWAY)),
    "decoded: pixels": ("home/decoded/*/pixels.npy", ("simplecil", "toml"), ("warm", "warm", "complete", *HALFWAY)),
    "decoded: labels": ("home/decoded/*/labels.npy", ("simplecil", "toml"), ("warm", "warm", "complete", *HALFWAY)),
    "decoded: order": ("home/decoded/*/order.npy", ("simplecil", "toml"), ("warm", "warm", "complete", *HALFWAY)),
    "decoded: meta": ("home/decoded/*/meta.json", ("simplecil", "toml"), ("warm", "warm", "complete", *HALFWAY)),
    "decoded: hashes": ("home/decoded/*/hashes.npy", ("simplecil", "toml"), ("warm", "warm", "complete", *HALFWAY)),
    "weights file": ("weights.safetensors", ("weights", "learner"), ("complete", *HALFWAY)),
    "image": ("images/*/*/*.png", ("simplecil", "weights", "toml"), ("complete", *HALFWAY)),
    "stream file": ("stream.toml", ("toml",), ("complete", *HALFWAY)),
}
"""Kinds of files: a pattern, the scenarios that have one, and the states in which it is damaged."""

INPUTS = {"weights file", "image", "stream file"}
"""Kinds that belong to the user: changing them is another run, so advice need not lead back to the old result."""

_NOTES = re.compile(r"predictions|damaged|left out|cannot be read|no interval|without", re.IGNORECASE)


def attempt(workshop: Workshop, number: int, seed: int) -> Outcome:
    """Damage one file, then read and run what depends on it."""
    rng = random.Random(f"{seed} damage {number}")
    kind = list(KINDS)[number % len(KINDS)]
    found = _target(workshop, kind, rng)
    if found is None:
        return Outcome(f"damage:{number}", kind, "equal", "no such file", 0)
    state, path = found
    how, same_times = rng.choice(HARMS), rng.random() < 0.5
    foreign, before, times = _foreign(workshop, path, rng), path.read_bytes(), path.stat()
    case = Case(workshop, kind, state, path, before)
    normal = case.readers()
    workshop.enter(state)
    draws = rng.getrandbits(64)

    def damage() -> None:
        harm(path, how, random.Random(draws), foreign)
        if same_times:
            keep_times(path, times)

    damage()
    case.noticeable = (not same_times or path.stat().st_size != times.st_size) and not _same_image(before, path)
    verdicts = [case.read(name, ended) for name, ended in normal.items()]
    if kind == "learner":
        workshop.enter(state)
        damage()
    verdicts.append(case.rerun("run"))
    if state != "warm" and kind != "stream file" and rng.random() < 0.5:
        workshop.enter(state)
        damage()
        verdicts.append(case.rerun("resume"))
    verdict, why = worst(verdicts)
    told = f"{workshop.scenario.name}, {state}, {how} of {path.relative_to(workshop.work)}: {why}" if why else ""
    return Outcome(f"damage:{number}", kind, verdict, told)


def _target(workshop: Workshop, kind: str, rng: random.Random) -> tuple[str, Path] | None:
    """A state, entered, and a file of this kind in it; None if no state has one."""
    pattern, scenarios, states = KINDS[kind]
    places = [(scenario, state) for scenario in scenarios for state in states]
    for scenario, state in rng.sample(places, len(places)):
        workshop.scenario = SCENARIOS[scenario]
        folder = workshop.whole.folder
        workshop.enter(state)
        below = f"{folder}/{pattern.removeprefix(RUN)}" if pattern.startswith(RUN) else pattern
        if files := sorted(path for path in workshop.work.glob(below) if path.is_file()):
            return state, rng.choice(files)
    return None


def _foreign(workshop: Workshop, path: Path, rng: random.Random) -> bytes:
    """The content of another file of the same suffix, preferably; else of any other."""
    files = sorted(file for file in workshop.work.rglob("*") if file.is_file() and file != path)
    alike = [file for file in files if file.suffix == path.suffix]
    return rng.choice(alike or files).read_bytes()


def _same_image(before: bytes, path: Path) -> bool:
    """Whether a file is still an image with the same pixels, as after bytes were appended to it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(before)) as old, Image.open(path) as new:
            return (old.mode, old.size, old.tobytes()) == (new.mode, new.size, new.tobytes())
    except (OSError, SyntaxError, ValueError):
        return False


class Case:
    """One damaged file: reads and reruns what depends on it, with a verdict for each."""

    def __init__(self, workshop: Workshop, kind: str, state: str, path: Path, before: bytes) -> None:
        self.workshop, self.kind, self.state, self.path, self.before = workshop, kind, state, path, before
        self.times, self.noticeable = path.stat(), True
        self.records = {file: file.read_bytes() for file in workshop.work.rglob("record.json")}

    def readers(self) -> dict[str, Ended]:
        """The commands that only read the results, and how they end without damage."""
        if not KINDS[self.kind][0].startswith(RUN):
            return {}
        names = ["leaderboard", "compare", *(["load_learner"] if self.kind == "learner" else [])]
        found = {}
        for name in names:
            key = (self.workshop.scenario.name, self.state, name)
            if key not in self.workshop.boards:
                self.workshop.boards[key] = self.workshop.run(self._reader(name))
            found[name] = self.workshop.boards[key]
        return found

    def _reader(self, name: str) -> Callable[[], int]:
        scenario = self.workshop.scenario
        if name == "load_learner":
            return lambda: load_learner(self.workshop.whole.folder)
        pair = [scenario.strategy, scenario.other[0]] if name == "compare" else []
        return clbench([name, *pair, "--results", "results"] if pair else [name, "results"])

    def read(self, name: str, normal: Ended) -> tuple[str, str]:
        """The verdict on a command that only reads."""
        done = self.workshop.run(self._reader(name))
        if done.code != 0:
            verdict, why = failure(done)
            if name == "load_learner" and verdict == "sentence":
                return self._loadable(normal, complaint(done.err))
            return ("equal", "") if (done.code, done.err) == (normal.code, normal.err) else (verdict, f"{name}: {why}")
        if symptom := symptom_in(done.err):
            return "unexpected", f"{name} prints {symptom!r}"
        new = [
            line for line in (done.out + done.err).splitlines() if line not in (normal.out + normal.err).splitlines()
        ]
        if done.out == normal.out:
            return ("warned", "") if warns("\n".join(new)) else ("equal", "")
        noted = done.err.strip() != normal.err.strip() or any(_NOTES.search(line) for line in new)
        return ("warned", "") if noted else ("silent", f"{name} prints another table without a word: {new[:2]}")

    def _loadable(self, normal: Ended, text: str) -> tuple[str, str]:
        """The verdict on a learner that cannot be loaded: the advice of the message must lead to one that can."""
        advice, first = Advice(self.workshop.work, self._again, self._restore), text
        for _ in range(4):
            fault = advice.follow(text)
            if fault:
                return "unexpected", f"load_learner: {first}; advice does not help: {fault}"
            loaded = self.workshop.run(self._reader("load_learner"))
            if loaded.code == 0:
                good = loaded.out == normal.out
                return ("sentence", f"load_learner: {first}") if good else ("silent", "load_learner: another learner")
            text = complaint(loaded.err)
        return "unexpected", f"load_learner: {first}; advice does not help: {text}"

    def rerun(self, how: str) -> tuple[str, str]:
        """The verdict on running the same command, or on resuming the folder."""
        first = (
            self._again() if how == "run" else self.workshop.run(clbench(["resume", str(self.workshop.whole.folder)]))
        )
        if first.code != 0:
            verdict, why = failure(first)
            if verdict == "unexpected":
                return verdict, f"{how}: {why}"
            return self._advised(f"{how}: {why}", complaint(first.err))
        if symptom := symptom_in(first.err):
            return "unexpected", f"{how} prints {symptom!r}"
        difference = self.workshop.differs()
        if self.kind == "learner" and difference == "another learner":  # running does not read it; load_learner does
            difference = ""
        said = warns(first.err)
        if not difference:
            stale = self.kind in INPUTS and self.state == "complete" and self.noticeable and how == "run"
            if stale and not said and self.kind != "stream file":
                return "silent", f"{how}: the input has changed, and the run still counts as complete"
            return ("warned", "") if said else ("equal", "")
        if self.kind == "stream file" and self._another_run():
            return "other", f"{how}: the stream file declares another stream"
        if said and (lines := [line for line in first.err.splitlines() if "--existing always" in line]):
            verdict, why = self._advised(f"{how}: {lines[-1]}", lines[-1])
            return ("warned" if verdict == "sentence" else verdict), why
        return ("unexpected" if said else "silent"), f"{how}: exit code 0 and {difference}"

    def _another_run(self) -> bool:
        """Whether there is a record of a run that was not there, and the old ones are unchanged."""
        now = {file: file.read_bytes() for file in self.workshop.work.rglob("record.json")}
        return len(now) > len(self.records) and all(now.get(file) == text for file, text in self.records.items())

    def _advised(self, why: str, text: str) -> tuple[str, str]:
        """The verdict after following the advice of a message."""
        advice = Advice(self.workshop.work, self._again, self._restore)
        fault = advice.follow(text)
        if fault:
            return "unexpected", f"{why}; advice does not help: {fault}"
        restored = "restoring the file" in advice.steps
        if (self.kind not in {*INPUTS, "learner"} or restored) and (difference := self.workshop.differs()):
            return "silent", f"{why}; after {', then '.join(advice.steps)}: {difference}"
        return "sentence", why

    def _again(self, *extra: str) -> Ended:
        return self.workshop.run(self.workshop.command(*extra))

    def _restore(self) -> None:
        if self.path.parent.is_dir():
            self.path.write_bytes(self.before)
            keep_times(self.path, self.times)


def load_learner(folder: Path) -> int:
    """Load a saved learner and print a hash of its predictions, as a command for a child."""
    import hashlib
    import sys

    import torch

    import cl
    from cl.errors import ClbenchError

    torch.manual_seed(0)
    try:
        learner = cl.load_learner(folder)
        scores = learner.predict_images(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8))
    except ClbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print(hashlib.sha256(scores.contiguous().numpy().tobytes()).hexdigest())
    return 0
