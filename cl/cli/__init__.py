"""The command line: `clbench`. Importing it imports nothing else, so that signals are handled from the first moment."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cl.cli import signals

if TYPE_CHECKING:
    from cl.cli.app import call

__all__ = ["call", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its exit code."""
    signals.handle()
    try:
        from cl.cli.app import call
        from cl.cli.streams import finish, prepare

        code = call(arguments) if prepare() else 1
        code = finish() or code
    except KeyboardInterrupt:  # during the imports, or after the command
        code = signals.exit_code()
    signals.leave()
    sys.exit(code)


def __getattr__(name: str) -> Any:
    if name != "call":
        raise AttributeError(f"module 'cl.cli' has no attribute {name!r}")
    from cl.cli.app import call

    globals()["call"] = call
    return call
