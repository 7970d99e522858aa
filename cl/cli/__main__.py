"""`python -m cl.cli` is `clbench`."""

from cl.cli import main

if __name__ == "__main__":  # processes of `--jobs` import this module again
    main()
