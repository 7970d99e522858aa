"""The command line: `clbench`."""

from cl.cli.app import call, main

__all__ = ["call", "main"]
