"""OPCM: the invariants of the paper on a stream, and both masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.parts.merging import linear_weights, norm, opcm_step
from cl.plan.plan import make_plan
from cl.strategies.opcm import OPCM
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.merging import close, merged, task_vectors, watched

Learn = Callable[..., list[Any]]


def test_the_first_network_is_that_of_the_first_task(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, OPCM)
    learner = watched(OPCM)
    learn(learner, tiny_stream(), 1)
    close(merged(learner), found[0], atol=0)
    assert learner.report() == {"lambda": 1.0, "mean_norm": pytest.approx(norm(found[0]))}


def test_the_merged_norm_is_the_mean_norm_after_every_task(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, OPCM)
    learner = watched(OPCM)
    for number, (length, report) in enumerate(
        learn(learner, tiny_stream(), 4, lambda s, v: (norm(s.merged.values), s.report())), 1
    ):
        mean = sum(norm(vector) for vector in found[:number]) / number
        assert length == pytest.approx(mean, rel=1e-5) == report["mean_norm"]
    assert learner.scale > 1


@pytest.mark.parametrize("legacy", [False, True])
def test_every_step_is_that_of_the_paper(learn: Learn, monkeypatch: pytest.MonkeyPatch, legacy: bool) -> None:
    found = task_vectors(monkeypatch, OPCM)
    learner = watched(OPCM, legacy=legacy, share=0.4)
    matrices = {
        f"blocks.{block}.{layer}.weight": 3 if layer == "attn.qkv" else 1
        for block in range(2)
        for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }
    after = learn(learner, tiny_stream(), 3, lambda s, v: merged(s))
    expected, scale = found[0], 1.0
    for task in (1, 2):
        length = sum(norm(vector) for vector in found[: task + 1]) / (task + 1)
        expected, scale = opcm_step(
            expected, found[task], scale=scale, length=length, matrices=matrices, share=0.4, diagonal=not legacy
        )
        close(after[task], expected, atol=1e-6)
    assert learner.scale == pytest.approx(scale, rel=1e-5)


def test_the_masks_differ_and_legacy_runs_are_marked(learn: Learn) -> None:
    ends = []
    for legacy in (False, True):
        learner = watched(OPCM, legacy=legacy)
        learn(learner, tiny_stream(), 2)
        ends.append(merged(learner))
    assert not torch.allclose(ends[0]["blocks.0.mlp.fc1.weight"], ends[1]["blocks.0.mlp.fc1.weight"], atol=1e-5)
    assert OPCM.marks(OPCM.Options(legacy=True)) == ("legacy",) and OPCM.marks(OPCM.Options()) == ()


def test_the_order_of_the_models_matters(monkeypatch: pytest.MonkeyPatch, learn: Learn) -> None:
    found = task_vectors(monkeypatch, OPCM)
    learn(watched(OPCM), tiny_stream(), 2)
    ends = []
    for order in (found[:2], found[1::-1]):
        learner = watched(OPCM)
        learn(learner, tiny_stream(), 0)
        for number, vector in enumerate(order, 1):
            learner.head.grow_to(2 * number, torch.Generator().manual_seed(0))
            learner.merged.values = dict(learner.merge(vector))
        ends.append(merged(learner))
    assert norm(ends[0]) == pytest.approx(norm(ends[1]), rel=1e-5)
    assert not torch.allclose(ends[0]["blocks.1.mlp.fc2.weight"], ends[1]["blocks.1.mlp.fc2.weight"], atol=1e-5)


def test_convolutions_are_added_and_linear_layers_projected() -> None:
    assert linear_weights(conv_backbone().model) == {"fc.weight": 1}


def test_presets() -> None:
    clip = make_plan("opcm", "split-cifar100", "vit_base_patch32_clip_224.openai").options
    assert (clip.lr, clip.weight_decay, clip.batch_size, clip.temperature, clip.share) == (1e-5, 0.0, 128, 0.01, 0.5)
    assert (clip.warmup, clip.augment) == (0.0, "none"), "as the code fine-tunes CLIP"
