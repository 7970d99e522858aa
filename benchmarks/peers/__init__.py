"""clbench and Avalanche on the same work, in one run of one program: `python -m benchmarks.peers`."""
