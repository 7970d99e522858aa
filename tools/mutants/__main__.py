"""`python -m tools.mutants`."""

from tools.mutants.cli import main

main()
