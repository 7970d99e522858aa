"""`python -m cl.cli` is `clbench`."""

from cl.cli import main

if __name__ == "__main__":  # a process of `--jobs` imports this again
    main()
