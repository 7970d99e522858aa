"""One file per command of `clbench`."""
