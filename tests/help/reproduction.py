"""A configuration to reproduce that takes a second, and expected values of ours."""

from __future__ import annotations

from cl.results.reproduction import Configuration, Expected

TOY = Configuration(
    "toy", "a toy", "simplecil", "split-digits", (3, 4),
    options={"stream.tasks": 2, "stream.train_per_class": 2, "stream.test_per_class": 4},
)  # fmt: skip


def ours(**values: float) -> Expected:
    """Values that we measured, by seed: `ours(s3=0.5, s4=0.6)`."""
    return Expected("", "cil_seen", {int(seed[1:]): value for seed, value in values.items()}, "a desk, fp32", ())
