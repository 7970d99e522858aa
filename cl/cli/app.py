"""The command group and its handling of errors. Results go to stdout, progress and logs to stderr."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence

import click

from cl.cli import signals
from cl.cli.streams import say, stdout_failed
from cl.errors import INTERRUPTED, TERMINATED, ClbenchError, UsageError, printable, sentence

_LONGEST = 1000
"""Characters of a message."""

COMMANDS = {
    "run": "run strategies on streams; the same command continues what was stopped",
    "sweep": "a grid of many runs, here or on a cluster: start, status, retry",
    "tune": "search a method's options on held-out training images, with Optuna",
    "resume": "continue a run from its folder",
    "predict": "classes and probabilities of images, by a finished run's learner",
    "export-model": "a finished run's learner as an ONNX or torch.export file, compared with it",
    "leaderboard": "rank the runs in results folders",
    "costs": "what runs cost: FLOPs, parameters, memory, time, energy",
    "compare": "two rows side by side: how they differ, and whether it is significant",
    "claims": "what papers claim, and the verdict on each from records",
    "export": "runs as one long table: CSV or Parquet",
    "plot": "figures of the runs: matrix, curves, forgetting, cost, stream, nevis",
    "report": "one HTML file: leaderboard, runs, comparison of any two",
    "results": "merge results folders of several machines; push and pull them",
    "reproduce": "run a shipped configuration and compare with the expected interval",
    "recommend": "which methods fit what you have, and how they compare",
    "list": "strategies, streams, backbones, metrics, loggers and executors",
    "info": "all about one of them: options, presets, rules, formula",
    "metrics": "every metric: name, formula, source",
    "new": "start a package with a strategy, stream, metric or logger of your own",
    "check": "does a strategy, stream, metric or logger keep the contract?",
    "data": "datasets: list, get, verify, where, remove",
    "cache": "sizes and clean-up of features, decoded images, checkpoints",
    "config": "a run's configuration as resolved, with origins",
    "env": "versions, devices, folders, offline state",
    "completion": "the script that completes names in bash, zsh or fish",
}
"""Commands and their one-line help, in the order in which a new user needs them."""


class _Lazy(click.Group):
    """Imports a command's module only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cl.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from cl.errors import did_you_mean

            hint = did_you_mean(args[0], list(COMMANDS)) or f" Known: {', '.join(COMMANDS)}."
            ctx.fail(f"There is no command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from cl.registry import own_version

        click.echo(f"clbench {own_version()}")
        ctx.exit()


_EPILOG = """\b
Examples:
  clbench run -s slca --stream split-digits
  clbench run -s finetune,slca --stream split-cifar100 --seed 1993,1996
  clbench info slca
  clbench leaderboard results

\b
Environment: CLBENCH_RESULTS (where records go), CLBENCH_DATA_PATH (folders with data),
CLBENCH_HOME (cache), CLBENCH_OFFLINE=1 (never download), CLBENCH_SET ("lr=0.01 stream.tasks=5"),
CLBENCH_DEBUG=1 (tracebacks), NO_COLOR.

\b
Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 data missing or damaged, 4 the loss became NaN or infinite,
5 outside the expected interval (reproduce), 130 interrupted, 143 ended by SIGTERM (the same
command continues after both)."""


@click.group(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Version.")
def cli() -> None:
    """Continual learning with pre-trained models: methods, streams and one honest evaluation loop."""


def call(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error becomes one sentence on stderr."""
    signals.forget()
    code = _call(arguments)
    return TERMINATED if signals.terminated() else code  # also if the code that SIGTERM stopped went on


def _call(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="clbench",
            standalone_mode=False,
            auto_envvar_prefix="CLBENCH",
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            say(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n")
        say(f"Error: {_line(error.format_message())}{_variable(error)}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted; the same command continues.")
        return INTERRUPTED
    except ClbenchError as error:
        report(error)
        return error.exit_code
    except OSError as error:
        if not stdout_failed(error):  # a full disk, or `clbench list | head`
            report(error)
        return UsageError.exit_code if error.errno == errno.ENAMETOOLONG else 1
    except Exception as error:  # anything else: a sentence, never a bare traceback
        if signals.terminated():  # an import that was stopped may fail in any way
            say("Interrupted; the same command continues.")
        elif isinstance(error, RuntimeError) and "home directory" in str(error):  # of `Path.expanduser`
            report(UsageError("A path begins with ~ and the name of a user that does not exist; give the whole path."))
            return UsageError.exit_code
        else:
            report(error)
        return 1


def _line(text: str) -> str:
    """A message of click without most of a value of thousands of characters."""
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"


def _variable(error: click.ClickException) -> str:
    """The environment variable that holds a wrong value, if click read it there."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if not isinstance(parameter, click.Option) or context is None or parameter.name is None:
        return ""
    if context.get_parameter_source(parameter.name) is not click.core.ParameterSource.ENVIRONMENT:
        return ""
    named = parameter.envvar if isinstance(parameter.envvar, str) else None
    return f" It is set by {named or f'{context.auto_envvar_prefix}_{parameter.name.upper()}'}."


def debugging() -> bool:
    """Whether to print tracebacks (CLBENCH_DEBUG=1 or -vv)."""
    return os.environ.get("CLBENCH_DEBUG", "") not in ("", "0")


def unexpected_at(error: BaseException) -> str:
    """Where an unexpected error was raised, if in a plugin's code; else how to find it."""
    from cl.registry import place_in_plugin

    place = place_in_plugin(error)
    return f" Raised at {place}." if place else " CLBENCH_DEBUG=1 shows where."


def report(error: BaseException, more: str = "") -> None:
    """Print one sentence about an error on stderr, with its traceback only in debug mode."""
    if debugging():
        import traceback

        traceback.print_exception(error)
    if not isinstance(error, ClbenchError | OSError):
        more = more or unexpected_at(error)
    say(f"Error: {sentence(error)}{more}")
