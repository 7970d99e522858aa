"""A jointly trained run as the reference of another run: intransigence (RWalk) and Omega (Kemker et al.)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cl.errors import UsageError
from cl.records.formulas import accuracy_by_sample, of_groups
from cl.records.matrix import AccuracyMatrix, Floats, Offline, steps_of

PAST = "past"
"""`strategy.access` of a run that was trained on all tasks jointly."""


def check_reference(result: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    """Check that `reference` was trained jointly, on the same stream, backbone and seeds, up to the same task.

    Raises `UsageError` with the first difference and the fix.
    """
    if reference["strategy"]["access"] != PAST:
        name = reference["strategy"]["name"]
        raise UsageError(f"The reference is a run of {name}, which is not trained jointly; give a run of joint.")
    for what, mine, theirs in _compared(result, reference):
        if mine != theirs:
            raise UsageError(
                f"The reference differs from the run in its {what} ({theirs} instead of {mine}); "
                "give a joint run with the same stream, backbone and seeds."
            )
    if not same_end(result, reference):
        mine, theirs = (_end(each) for each in (result, reference))
        raise UsageError(
            f"The reference ends with task {theirs} and the run with task {mine}; "
            "give a joint run of the same tasks (--max-tasks)."
        )


def same_end(result: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """Whether both were last evaluated after the same task: only then is the joint model one of the run's tasks."""
    return _end(result) == _end(reference)


def _end(result: Mapping[str, Any]) -> int:
    """The last task that was evaluated, from 1; 0 if none was."""
    return max(steps_of(result), default=-1) + 1


def _compared(result: Mapping[str, Any], reference: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for what, key in (("stream", "name"), ("version of the stream", "version"), ("setting", "setting")):
        found.append((what, result["stream"][key], reference["stream"][key]))
    found.append(("backbone", result["backbone"]["name"], reference["backbone"]["name"]))
    found += [(f"{name} seed", seed, reference["seeds"][name]) for name, seed in result["seeds"].items()]
    found.append(("stream options, images or class order", result["stream"]["id"][:8], reference["stream"]["id"][:8]))
    found.append(("weights", result["backbone"]["weights_sha256"], reference["backbone"]["weights_sha256"]))
    found.append(("groups of test images", result["count"], reference["count"]))
    return found


def reference_of(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> Floats:
    """Accuracy of the joint model on each group at the step of the group, [G]; NaN if it was not evaluated then.

    The last steps of both are after the same task (`same_end`). A joint run that trains once (`form=once`) has the last
    step only.
    """
    found = np.full(len(matrix.count), np.nan)
    groups, _ = matrix.own()
    ago = matrix.steps - 1 - matrix.learned[groups]
    fits = ago < joint.steps
    found[groups[fits]] = joint.accuracy[joint.steps - 1 - ago[fits], groups[fits]]
    return found


def offline_of(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> Offline | None:
    """The accuracies of the joint model that Omega divides by; None without an evaluation.

    The joint model of each step if it was trained and evaluated after each; else its last, as in the paper.
    """
    if not joint.steps:
        return None
    curve = accuracy_by_sample(joint)
    seen = curve if len(curve) == matrix.steps and not np.isnan(curve).any() else np.full(matrix.steps, curve[-1])
    return Offline(of_groups(joint, matrix.learned == 0), seen)
