"""The command line: apply listed or sampled mutants and report those that no test catches."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from cl.errors import ClbenchError
from tools.mutants.listed import Mutant, listed
from tools.mutants.sampled import sample
from tools.mutants.trial import Outcome, copy_of_repository, run_tests


@click.command(help="Apply wrong versions of methods; the tests of each method must fail.")
@click.option("--only", default="", metavar="TEXT", help="Only mutants whose name contains TEXT.")
@click.option(
    "--sample", "drawn", type=click.IntRange(min=0), default=0, metavar="N",
    help="N mutants drawn by cosmic-ray instead.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
@click.option("--minutes", default=60.0, show_default=True, help="Stop a sample after so many minutes.")
def main(only: str, drawn: int, seed: int, minutes: float) -> None:
    """Run the mutants; exits with 1 if one survived or could not be tried, with 2 for a wrong file or option."""
    if drawn and only:
        raise click.UsageError("--only chooses among the listed mutants; leave it out with --sample.")
    try:
        mutants = sample(drawn, seed) if drawn else [each for each in listed() if only in each.name]
    except ClbenchError as error:
        raise click.UsageError(str(error)) from error
    if not mutants:
        raise click.UsageError(f"no mutant has {only!r} in its name")
    with tempfile.TemporaryDirectory() as folder:
        failed = trials(mutants, copy_of_repository(Path(folder)), 60 * minutes if drawn else float("inf"))
    click.get_current_context().exit(1 if failed else 0)


def trials(mutants: Sequence[Mutant], folder: Path, seconds: float) -> int:
    """Try every mutant in the copy, one line each; returns how many survived or could not be tried.

    Tests that fail without a mutant would catch everything, so they are run without one first.
    """
    start, survived, tried = time.monotonic(), [], 0
    sound: dict[tuple[str, ...], Outcome] = {}
    for mutant in mutants:
        if time.monotonic() - start > seconds:
            break
        tried += 1
        if problem := mutant.problem(folder):
            survived.append(mutant.name)
            click.echo(f"CANNOT BE APPLIED  {mutant.name}: {problem}")
            continue
        if mutant.tests not in sound:
            sound[mutant.tests] = run_tests(folder, mutant.tests)
        if not sound[mutant.tests].passed:
            survived.append(mutant.name)
            click.echo(f"CANNOT BE TOLD  {mutant.name}: its tests fail without it ({sound[mutant.tests].last_line})")
            continue
        original = (folder / mutant.file).read_bytes()  # the repository may have been edited since it was copied
        mutant.apply(folder)
        outcome = run_tests(folder, mutant.tests)
        (folder / mutant.file).write_bytes(original)
        word = "caught" if outcome.caught else "SURVIVED"
        broken = f" ({outcome.broken})" if outcome.broken else ""
        click.echo(f"{word:<9} {mutant.name}{broken}")
        survived += [] if outcome.caught else [mutant.name]
    left = len(mutants) - tried
    text = f"{tried} mutants, {tried - len(survived)} caught, {len(survived)} survived or cannot be told"
    click.echo(f"{text}, {left} not tried, {(time.monotonic() - start) / 60:.1f} minutes")
    return len(survived)
