"""Kills: a run is struck at random moments, and the same command must finish it with the undisturbed result."""

from __future__ import annotations

import random
import signal

from tools.soak.families import FAMILIES
from tools.soak.outcome import Ended, Outcome, failure, symptom_in
from tools.soak.scenarios import SCENARIOS, Workshop
from tools.soak.server import Strike, real

METHODS = {name: SCENARIOS[name] for name in ("simplecil", "slca", "replay", "l2p", "learner")} | {
    scenario.name: scenario for scenario in FAMILIES.values()
}
REAL = 16
"""Every so many tries are real processes instead of forked children."""


def attempt(workshop: Workshop, number: int, seed: int) -> Outcome:
    """Strike one run up to three times, finish it, and compare."""
    rng = random.Random(f"{seed} kill {number}")
    workshop.scenario = list(METHODS.values())[number % len(METHODS)]
    whole = workshop.whole  # before the strikes are planned, from its moments
    process = number % REAL == REAL - 1
    number_sent = rng.choices((signal.SIGKILL, signal.SIGTERM, signal.SIGINT), (60, 30, 10))[0]
    kind = f"{'process' if process else 'fork'}, {number_sent.name}"
    workshop.enter(rng.choice(("inputs", "warm")))
    struck, said = 0, []
    for _ in range(1 if process else rng.randint(1, 3)):
        if process:
            strike = Strike("time", rng.uniform(0.05, 1.0) * _real_seconds(workshop), number_sent)
            done = real(workshop.scenario.command(), workshop.work, strike)
        else:
            strike = moment(rng, whole.ticks, whole.seconds, number_sent)
            done = workshop.run(workshop.command(), strike)
        struck += done.struck
        said.append(str(strike))
        if fault := _fault_of_death(done, number_sent):
            return Outcome(f"kill:{number}", kind, "unexpected", f"{', '.join(said)}: {fault}", struck)
    last = workshop.run(workshop.command())
    verdict, why = finished(workshop, last)
    return Outcome(f"kill:{number}", kind, verdict, f"{', '.join(said)}: {why}" if why else "", struck)


def moment(rng: random.Random, ticks: dict[str, int], seconds: float, number: int) -> Strike:
    """A moment of a run; a run that continues passes fewer, so the early moments are more likely."""
    moment = rng.choices(("call", "change", "time"), (45, 40, 15))[0]
    most = seconds if moment == "time" else float(ticks[moment])
    at = most * rng.random() ** 1.5
    if moment == "time":
        return Strike("time", max(0.05, at), number)
    return Strike(moment, 1 + int(at), number, torn=number == signal.SIGKILL and rng.random() < 0.5)


def _fault_of_death(done: Ended, number: int) -> str:
    """What is wrong with the end of a run that was struck; empty if nothing is."""
    if done.code == 0:
        return symptom_in(done.err)
    if done.struck and number == signal.SIGKILL and done.code == -signal.SIGKILL:
        return ""
    verdict, why = failure(done)
    if verdict == "unexpected":
        return why
    if not done.struck or done.code not in (130, 143, -number):
        return f"a struck run ended with {why}"
    return ""


def finished(workshop: Workshop, last: Ended) -> tuple[str, str]:
    """The verdict on the command that should have finished a run."""
    if last.code != 0:
        return "unexpected", f"the same command does not finish the run: {failure(last)[1]}"
    if symptom := symptom_in(last.err):
        return "unexpected", f"the same command prints {symptom!r}"
    if difference := workshop.differs():
        return "silent", f"the same command finishes the run with {difference}"
    if left := workshop.leftovers():
        return "unexpected", f"the finished run's folder keeps {', '.join(left)}"
    return "equal", ""


_SECONDS: dict[str, float] = {}


def _real_seconds(workshop: Workshop) -> float:
    """The time of an undisturbed process: that of a forked child, and the imports, which are measured once."""
    if "imports" not in _SECONDS:
        _SECONDS["imports"] = real(["env"], workshop.work).seconds
    return _SECONDS["imports"] + workshop.whole.seconds
