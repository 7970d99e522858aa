"""PCB-Merging after every task, and the forms in which it keeps task vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.parts.merging import TaskVectors, pcb
from cl.plan.plan import make_plan
from cl.strategies.pcb_merging import PCBMerging
from cl.training import state
from tests.conftest import tiny_stream
from tests.help.merging import close, merged, task_vectors, watched, watching

Learn = Callable[..., list[Any]]


@pytest.mark.parametrize("raw", [False, True])
def test_all_vectors_are_merged_after_every_task(learn: Learn, monkeypatch: pytest.MonkeyPatch, raw: bool) -> None:
    found = task_vectors(monkeypatch, PCBMerging)
    learner = watched(PCBMerging, keep=0.2, scale=1.1, clip_share=0.02, raw=raw)
    after = learn(learner, tiny_stream(), 3, lambda s, v: merged(s))
    for number, vector in enumerate(after, 1):
        close(vector, pcb(found[:number], 0.2, 1.1, 0.02, raw=raw), atol=1e-6)
    assert watching(learner).specs[0, "fine-tuning 0"].clip == 1.0, "the bound of the gradient is another option"


@pytest.mark.parametrize(("form", "options"), [("low-rank", {"rank": 2}), ("ternary", {"keep": 0.25})])
def test_vectors_are_merged_as_they_are_kept(
    learn: Learn, monkeypatch: pytest.MonkeyPatch, form: str, options: dict[str, Any]
) -> None:
    found = task_vectors(monkeypatch, PCBMerging)
    own = {"signs" if name == "keep" else name: value for name, value in options.items()}
    learner = watched(PCBMerging, form=form, **own)
    after = learn(learner, tiny_stream(), 2, lambda s, v: merged(s))
    kept = TaskVectors(form, **options)
    for vector in found:
        kept.add(vector)
    close(after[1], pcb(kept, 0.05, 1.2, 0.01), atol=1e-6)
    dense = state.nbytes(learner.merged.get_state())
    stored = learner.stored()["parameters"] - dense - 4 * learner.head.classes * learner.backbone.dim
    assert stored == state.nbytes(kept.get_state()) < (dense if form == "low-rank" else dense / 5)


def test_presets() -> None:
    options = make_plan("pcb-merging", "split-cifar100", "vit_base_patch32_clip_224.openai").options
    assert (options.keep, options.scale, options.clip_share, options.raw, options.clip) == (0.05, 1.2, 0.01, False, 1.0)
    options = make_plan("pcb-merging", "split-digits", preset="standalone").options
    assert (options.keep, options.scale, options.clip_share, options.raw) == (0.1, 1.0, 0.0001, True)
