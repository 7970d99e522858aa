"""The command-line reference: every command and its options, read from click."""

from __future__ import annotations

import importlib
import logging
import re

import click

from .markdown import code, fenced, table, text

log = logging.getLogger("mkdocs.clbench")


def reference() -> str:
    """All commands, one section each, from the table of commands in `cl.cli.app`."""
    from cl.cli.app import COMMANDS, cli

    root = click.Context(cli, info_name="clbench", auto_envvar_prefix="CLBENCH")
    parts = [
        table(["command", "purpose"], [[f"[`clbench {name}`](#{name})", text(COMMANDS[name])] for name in COMMANDS])
    ]
    for name in COMMANDS:
        try:
            command = cli.get_command(root, name)
        except ImportError as error:  # one broken command must not prevent the page
            log.info("clbench %s is left out: %s", name, error)
            continue
        assert command is not None
        parts.append(f"## clbench {name} {{ #{name} }}\n\n" + _command(command, root, name, depth=3))
    return "\n".join(parts)


def _command(command: click.Command, parent: click.Context, name: str, depth: int) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [_help(command.help or ""), fenced(f"{context.command_path} {usage}", "text")]
    for heading, options in _grouped(command, context).items():
        if heading and options:
            parts.append(f"**{heading}**\n")
        if options:
            parts.append(table(["option", "meaning"], options))
    parts += _epilog(command)
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            child = command.get_command(context, sub)
            if child is not None and not child.hidden:
                title = f"{'#' * depth} {context.command_path} {sub} {{ #{name}-{sub} }}\n"
                parts += [title, _command(child, context, sub, depth + 1)]
    return "\n".join(part for part in parts if part) + "\n"


def _help(words: str) -> str:
    """A command's help as Markdown; a paragraph that starts with a backspace keeps its lines."""
    parts = []
    for paragraph in words.split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        parts.append(fenced(kept) if kept != paragraph else text(" ".join(paragraph.split())) + "\n")
    return "\n".join(parts)


def _grouped(command: click.Command, context: click.Context) -> dict[str, list[list[str]]]:
    """Rows of options under the headings that `--help` shows, if the command has headings."""
    records = {
        parameter.name: _row(record, parameter)
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)) is not None
    }
    headings: dict[str, tuple[str, ...]] = getattr(importlib.import_module(type(command).__module__), "_GROUPS", {})
    if type(command).format_options is click.Command.format_options or not headings:
        return {"": list(records.values())}
    found = {heading: [records.pop(name) for name in names if name in records] for heading, names in headings.items()}
    return found | {"Others": list(records.values())}


def _row(record: tuple[str, str], parameter: click.Option) -> list[str]:
    names, words = record
    variable = f" Variable: `{parameter.envvar}`." if isinstance(parameter.envvar, str) else ""
    return [code(names), text(words) + variable]


def _epilog(command: click.Command) -> list[str]:
    """Examples and notes: blocks that keep their lines, titled by a first line that ends in a colon."""
    parts = []
    for block in re.split(r"\n\n(?=\x08)", command.epilog or ""):
        lines = block.removeprefix("\b\n").rstrip().split("\n")
        if lines[0].endswith(":"):
            indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
            parts += [f"**{lines[0].rstrip(':')}**\n", fenced("\n".join(line[indent:] for line in lines[1:]), "text")]
        elif lines != [""]:
            parts.append(text(" ".join(" ".join(lines).split())) + "\n")
    return parts
