"""Checks, speed and rows on one GPU: `python -m benchmarks.gpu`."""
