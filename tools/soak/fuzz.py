"""Fuzz: odd records, predictions, TOML files, options and folders; a command works or says one sentence."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.soak import draws
from tools.soak.odd_files import write_npz, write_tree
from tools.soak.outcome import Ended, Outcome, failure, symptom_in, warns
from tools.soak.scenarios import SCENARIOS, STREAM_FILE, Workshop
from tools.soak.server import clbench

PATIENCE = 60.0
KINDS = ("records", "predictions", "TOML", "options", "folders")
_READERS = (
    ["leaderboard", "results"],
    ["leaderboard", "results", "--json"],
    ["compare", "simplecil", "ranpac", "--results", "results"],
    ["export", "results", "--table", "metrics"],
    ["export", "results", "--table", "classes"],
    ["plot", "results", "--kind", "curves,matrix", "--format", "json", "--out", "plots"],
    ["report", "results", "--out", "report.html"],
)
_SMALL = ["-s", "simplecil", "-b", "test_vit@weights.safetensors", "--set", "backbone.image_size=32"]


def attempt(workshop: Workshop, number: int, seed: int) -> Outcome:
    """Draw one odd input and give it to a command."""
    kind = KINDS[number % len(KINDS)]
    rng = random.Random(f"{seed} fuzz {number}")
    function: Callable[[Workshop, random.Random], tuple[str, str]] = {
        "records": _record, "predictions": _predictions, "TOML": _toml, "options": _options, "folders": _folder,
    }[kind]  # fmt: skip
    workshop.scenario = SCENARIOS["simplecil"]
    verdict, why = function(workshop, rng)
    return Outcome(f"fuzz:{number}", kind, verdict, why)


def _draw(strategy: Any, rng: random.Random) -> Any:
    return draws.draw(strategy, rng.getrandbits(60))


def judged(done: Ended, told: str) -> tuple[str, str]:
    """The verdict on a command with odd input: it works, or it says one sentence."""
    if done.code != 0:
        verdict, why = failure(done)
        return verdict, f"{told}: {why}"
    if symptom := symptom_in(done.err):
        return "unexpected", f"{told}: exit code 0, but it prints {symptom!r}"
    if any(ord(letter) < 32 and letter not in "\n\t\r" for letter in done.out + done.err):
        return "unexpected", f"{told}: control characters in what it prints"
    return ("warned" if warns(done.err) else "equal"), told


def _reader(workshop: Workshop, rng: random.Random) -> tuple[list[str], Ended]:
    """A command that reads results, and how it ends on the results as they are."""
    arguments = rng.choice(_READERS)
    key = ("fuzz", *arguments)
    if key not in workshop.boards:
        workshop.enter("complete")
        workshop.boards[key] = workshop.run(clbench(arguments))
    return arguments, workshop.boards[key]


def _record(workshop: Workshop, rng: random.Random) -> tuple[str, str]:
    arguments, normal = _reader(workshop, rng)
    path = workshop.folder / "record.json"
    workshop.enter("complete")
    before = json.loads(path.read_text(encoding="utf-8"))
    text, fits = _draw(draws.records(before), rng)
    path.write_text(text, encoding="utf-8")
    if rng.random() < 0.3:
        done = workshop.run(workshop.command(), patience=PATIENCE)
        verdict, why = judged(done, "the same command on a mutated record")
        same = not _altered(text, before)
        if done.code == 0 and not fits and not same and (difference := workshop.differs()):
            return "silent", f"{why}: {difference}"
        return verdict, why
    done = workshop.run(clbench(arguments), patience=PATIENCE)
    verdict, why = judged(done, f"{' '.join(arguments)} on a mutated record")
    if verdict == "equal" and not fits and _altered(text, before) and done.err == normal.err:
        shown = "the same" if done.out == normal.out else "another"
        return "silent", f"{why}: {shown} table, though the result does not fit its hash"
    return verdict, why


def _altered(text: str, before: dict[str, Any]) -> bool:
    """Whether the `result` of a record, or its hash, is another than before."""
    try:
        now = json.loads(text)
        return bool((now["result"], now["result_sha256"]) != (before["result"], before["result_sha256"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return True


def _predictions(workshop: Workshop, rng: random.Random) -> tuple[str, str]:
    arguments, normal = _reader(workshop, rng)
    workshop.enter("complete")
    path = workshop.folder / "predictions.npz"
    names = ["rows", "label", "group", "prediction/cil_seen", "margin/cil_seen"]
    changes = _draw(draws.array_changes(names), rng)
    before = path.read_bytes()
    write_npz(path, changes)
    told = ", ".join(" ".join(map(str, change)) for change in changes)
    if rng.random() < 0.3:
        done = workshop.run(workshop.command(), patience=PATIENCE)
        return judged(done, f"the same command on predictions with {told}")
    done = workshop.run(clbench(arguments), patience=PATIENCE)
    verdict, why = judged(done, f"{' '.join(arguments)} on predictions with {told}")
    noted = done.err != normal.err or warns(done.out)
    if verdict == "equal" and done.out != normal.out and path.read_bytes() != before and not noted:
        return "silent", f"{why}: another table without a word"
    return verdict, why


def _toml(workshop: Workshop, rng: random.Random) -> tuple[str, str]:
    workshop.enter("inputs")
    stream = rng.random() < 0.5
    text = STREAM_FILE
    if not stream:
        workshop.enter("complete")
        text = (workshop.folder / "config.toml").read_text(encoding="utf-8")
    content = _draw(draws.toml_texts(text), rng)
    (workshop.work / "odd.toml").write_bytes(content)
    short = _shown(content.decode(errors="replace"))
    if stream:
        commands = [["run", *_SMALL, "--stream", "odd.toml", "--dry-run"], ["info", "odd.toml"]]
        arguments = rng.choice([*commands, ["run", *_SMALL, "--stream", "odd.toml", "--max-tasks", "1"]])
    else:
        arguments = ["run", "-c", "odd.toml", "--dry-run"]
    return judged(workshop.run(clbench(arguments), patience=PATIENCE), f"{' '.join(arguments)} with {short}")


def _options(workshop: Workshop, rng: random.Random) -> tuple[str, str]:
    workshop.enter("inputs")
    options, variable = _draw(draws.option_lists(), rng)
    strategy = rng.choice(("slca", "simplecil", "replay", "l2p", "ewc"))
    arguments = ["run", "-s", strategy, "--stream", "split-digits", "--dry-run", *options]

    def command() -> int:
        os.environ["CLBENCH_SET"] = variable
        return clbench(arguments)()

    told = f"{_shown(repr(arguments))} with CLBENCH_SET={_shown(repr(variable))}"
    return judged(workshop.run(command, patience=PATIENCE), told)


def _folder(workshop: Workshop, rng: random.Random) -> tuple[str, str]:
    workshop.enter("inputs")
    layout, files = _draw(draws.trees(), rng)
    write_tree(workshop.work / "odd", layout, files)
    run = ["run", *_SMALL, "--stream", "folder:odd", "--results", "results", "--max-tasks", "1"]
    arguments = rng.choice([run, run, [*run, "--dry-run"], ["info", "folder:odd"]])
    done = workshop.run(clbench(arguments), patience=PATIENCE)
    _make_readable(workshop.work / "odd")
    return judged(done, f"{' '.join(arguments)} with {layout}: {_shown(repr(files))}")


def _make_readable(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                path.chmod(0o644)


def _shown(text: str) -> str:
    return text if len(text) < 1500 else f"{text[:700]} ... {text[-300:]}"
