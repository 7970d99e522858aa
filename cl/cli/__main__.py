"""`python -m cl.cli` is `clbench`."""

from cl.cli import main

main()
