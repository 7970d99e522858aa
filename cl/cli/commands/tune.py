"""`clbench tune`: search the options of a method on held-out training images, and show a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cl.cli.completers import complete, complete_preset
from cl.cli.shared import Display, Execution, display_options, execution_options, run_option, seeds_in

_EPILOG = """\b
Examples:
  clbench tune -s slca --stream split-cifar100 --trials 20 --tasks 3
  clbench tune -s mos --stream split-cifar100 --preset small --set stream.train_per_class=100 --precision bf16
  clbench tune -s finetune --stream split-digits --search 'lr=log(1e-4,1e-1)' --search 'epochs=among(1,2,5)'
  clbench tune show results/tune/STUDY.journal --plot figures --theme light,dark
  clbench run -c results/tune/STUDY.toml --seed 1993,1996,1997      the whole stream with the best values

\b
A trial learns the first tasks on part of their training images and is judged on the others, a fifth unless
stream.val_fraction says otherwise. Its value is the accuracy after the last of these tasks, the mean over
tasks (A_last_task) and over --seed. The stream that trials see has no test images: reading one is an error.
Trial 0 has the values of the preset; the next four are random, and the others are proposed by TPE.

\b
The same command continues a study that was stopped, also by a kill, and gives the trials that it would have
given. With several jobs, as many trials are proposed at once, before any of them has ended: their number
changes the trials, and the study keeps it; the time that trials take changes nothing."""


class _Tune(click.Group):
    """`clbench tune -s ...` is `clbench tune start -s ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["start", "show"]


@click.group("tune", cls=_Tune, epilog=_EPILOG, short_help="search a method's options on training images alone")
def command() -> None:
    """Search the options of a method on held-out training images of the first tasks, with Optuna.

    [OPTIONS] starts or continues a study; `clbench tune start --help` lists the options.
    """


@command.command("start", short_help="start or continue a study (the default)")
@run_option("strategy", "-s", "--strategy", shell_complete=complete("strategies"), required=True)
@run_option("stream", shell_complete=complete("streams"), required=True)
@run_option("backbone", "-b", "--backbone", shell_complete=complete("backbones"), default_text="the embedded one")
@run_option("preset", shell_complete=complete_preset, metavar="NAME")
@run_option("seed", multiple=True, metavar="N[,N]")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A fixed value; repeatable.")
@click.option(
    "--search", "searches", multiple=True, metavar="KEY=SCALE",
    help="log(LOW,HIGH), linear(LOW,HIGH) or among(VALUE,...), in place of the scale that the method declares; "
    "repeatable.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Trials in all.")
@click.option("--tasks", type=click.IntRange(1), default=3, show_default=True, metavar="K", help="Tasks to learn.")
@click.option("--prune/--no-prune", default=True, help="End a trial below the median after a task.  [default: prune]")
@click.option("--budget-minutes", type=click.FloatRange(0, min_open=True), metavar="M",
              help="Start no trial that would probably exceed these minutes of all runs together.")  # fmt: skip
@click.option("--sampler-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the proposals.")
@click.option("--study", metavar="FILE", help="Journal file, or a URL such as sqlite:///study.db.  "
              "[default: RESULTS/tune/NAME.journal]")  # fmt: skip
@click.option("--write-preset", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the preset to a file.  [default: print it]")  # fmt: skip
@run_option("few_shot")
@run_option("setting", metavar="NAME[,NAME]", type=str)
@run_option("limit", metavar="N|SHARE")
@run_option("device", metavar="NAME")
@run_option("precision")
@run_option("compile")
@run_option("checkpoint_every", metavar="SECONDS")
@run_option("results", metavar="FOLDER")
@click.option("--executor", default="local", show_default=True, metavar="NAME", help="See `clbench list executors`.")
@click.option("--executor-set", "executor_assignments", multiple=True, metavar="KEY=VALUE",
              help="An option of the executor; repeatable.")  # fmt: skip
@execution_options(existing=False, profile=False)
@display_options
def start(
    strategy: str, stream: str, backbone: str | None, preset: str | None, seed: tuple[str, ...],
    assignments: tuple[str, ...], searches: tuple[str, ...], trials: int, tasks: int, prune: bool,
    budget_minutes: float | None, sampler_seed: int, study: str | None, write_preset: Path | None,
    results: str | None, executor: str, executor_assignments: tuple[str, ...], execution: Execution,
    display: Display, **run: Any,
) -> int:  # fmt: skip
    """Run the trials that a study still lacks, and print the best values as a preset."""
    from cl.cli.tune_screen import TuneScreen
    from cl.executors.base import make_executor
    from cl.options import parse_assignments
    from cl.plan.run_options import DEFAULT_SEED, resolve_run
    from cl.tuning.study import Study
    from cl.tuning.tune import FOLDER, Request, make_tuner

    options = parse_assignments(executor_assignments, where="--executor-set", example="--executor-set jobs=4")
    if executor == "local":
        options.setdefault("jobs", str(execution.jobs))
    made = make_executor(
        executor, [("--executor-set", options)], existing="only-missing", threads=execution.threads,
        log_level=display.log_level, lines=display.verbose > 0,
    )  # fmt: skip
    seeds = [each for each in seeds_in(seed) if each is not None] or [DEFAULT_SEED]
    folder = resolve_run({"results": results}, {}).results
    wanted: dict[str, Any] = {
        "strategy": strategy, "stream": stream, "backbone": backbone, "preset": preset, "seeds": seeds, "tasks": tasks,
        "options": parse_assignments(assignments), "prune": prune, "sampler_seed": sampler_seed, "results": folder,
        "searches": parse_assignments(searches, where="--search", example="--search 'lr=log(1e-4,1e-1)'"),
        "run": {key: value for key, value in run.items() if value is not None},
    }  # fmt: skip
    tuner = make_tuner(Request(**wanted))
    together = max(1, made.at_once(tuner.usual * trials) // len(seeds))
    tuner = make_tuner(Request(**wanted, at_once=together))
    opened = Study(study or str(folder / FOLDER / f"{tuner.name}.journal"))
    screen = TuneScreen(display, tuner.space, trials)
    try:
        tuner.search(opened, made, trials, screen, minutes=budget_minutes, ended=screen.ended)
        return _tell(tuner, opened, folder / FOLDER, write_preset, display)
    finally:
        opened.close()


def _tell(tuner: Any, study: Any, folder: Path, preset: Path | None, display: Display) -> int:
    """Write the best values as a config file, and the preset to stdout or a file."""
    import json
    from datetime import date

    from cl.cli.tune_screen import line_of
    from cl.files import make_folder, write_text
    from cl.tuning.outcome import best_of, config_of, preset_of, tuning_of

    trials = study.trials()
    best, tuning = best_of(trials), tuning_of(tuner, study, date.today().isoformat())
    config, text = folder / f"{tuner.name}.toml", preset_of(tuner, best, tuning)
    make_folder(folder)
    write_text(config, config_of(tuner, best, tuning))
    if preset is not None:
        write_text(preset, text)
    if display.as_json:
        values = tuner.space.options(best.plain)
        found = {"study": study.where, "trial": best.index, "value": best.value, "options": values}
        click.echo(json.dumps({**found, "config": str(config), "tuning": tuning.measured()}))
    elif preset is None:
        click.echo(text, nl=False)
    if not display.quiet:
        click.echo(f"Best of {len(trials)}: {line_of(tuner.space, best)}", err=True)
        cost = f"{tuning.flops / 1e12:.4g} TFLOP, {tuning.seconds / 60:.1f} minutes"
        click.echo(f"All trials: {cost}. Runs with these values: clbench run -c {config}", err=True)
    return 0


@command.command("show", short_help="the trials of a study, and figures of them")
@click.argument("study", metavar="STUDY")
@click.option("--plot", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Write figures there.")
@click.option("--format", "formats", default="png", show_default=True, help="svg, png, or both.")
@click.option("--theme", default="light", show_default=True, help="light, dark, transparent, or several.")
@click.option("--json", "as_json", is_flag=True, help="Print the trials as JSON lines.")
def show(study: str, plot: Path | None, formats: str, theme: str, as_json: bool) -> int:
    """Print the trials of a study (a journal file or a URL); draw parallel coordinates and importances."""
    import json
    from dataclasses import asdict

    from cl.cli.commands.plot import several
    from cl.cli.tune_screen import table_of
    from cl.results.plots.style import FORMATS, THEMES
    from cl.results.plots.tuning import data, save_figures
    from cl.tuning.study import Study
    from cl.tuning.tune import space_of_study

    suffixes, themes = several("format", FORMATS, formats), several("theme", THEMES, theme)
    opened = Study(study, readonly=True)
    trials, space, importances = opened.trials(), space_of_study(opened.about), opened.importances()
    told = [{**asdict(trial), "options": space.options(trial.plain)} for trial in trials]
    if as_json:
        click.echo("\n".join(map(json.dumps, told)))
    else:
        click.echo(table_of(space, trials, importances))
    if plot is not None:
        title = f"{opened.about['strategy']} on {opened.about['stream']}"
        for path in save_figures(data(title, space.scales, told, importances), plot, suffixes, themes):
            click.echo(path, err=as_json)
    return 0
