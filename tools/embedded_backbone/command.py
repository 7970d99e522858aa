"""Commands that tell an error of clbench in one sentence, as `clbench` does."""

from __future__ import annotations

from typing import Any

import click

from cl.errors import ClbenchError


class ErrorsInWords(click.Command):
    """A command that prints a `ClbenchError` and ends with its exit code; also a base of groups."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClbenchError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
