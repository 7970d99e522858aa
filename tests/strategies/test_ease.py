"""EASE: the invariants of the paper, in training and in prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.parts.attached.adapters import Adapters
from cl.parts.heads.prototypes import class_means, cosines
from cl.strategies.ease import EASE
from cl.strategy import Inputs
from cl.stream import Stream
from cl.testing import tiny_backbone
from cl.training import state
from tests.conftest import make, run, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 12, "lr": 0.1, "rank": 4, "augment": "crop"}


def ease(**options: Any) -> EASE:
    return make(EASE, **{**FAST, **options})


def given(stream: Stream, tasks: int) -> Inputs:
    rows, _, _ = stream.test_rows(range(tasks))
    return Inputs(torch.from_numpy(stream.dataset.test.pixels[rows]).permute(0, 3, 1, 2))


def spaces(learner: EASE, inputs: Inputs) -> list[Tensor]:
    """Features in every subspace."""
    with torch.no_grad():
        return [adapters(learner.backbone, inputs.images(learner.backbone.transform)) for adapters in learner.sets.sets]


# -------------------------------------------------------------------------------------------------------- learning


def test_the_backbone_and_earlier_adapters_stay_bit_identical(learn: Learn) -> None:
    learner = ease(beta=1.0)
    seen = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(s.sets.get_state()))
    for earlier, later in pairwise(seen):
        assert len(later) == len(earlier) + 1
        assert all(torch.equal(a[name], b[name]) for a, b in zip(earlier, later, strict=False) for name in a)
    for adapters in seen[2]:
        assert bool(adapters["up"].any()), "it was trained"
    assert learner.backbone.is_pristine and learner.head is None
    fresh = tiny_backbone()
    assert all(
        torch.equal(a, b) for a, b in zip(learner.backbone.parameters(), fresh.parameters(), strict=True)
    )  # fmt: skip


def test_every_task_starts_from_a_fresh_set_of_its_own(learn: Learn) -> None:
    learner, starts = ease(), []
    fit = learner.trainer.fit

    def watched(strategy: Any, phase: str, spec: Any) -> Any:
        starts.append(state.clone(learner.sets.get_state()[-1]))
        return fit(strategy, phase, spec)

    vars(learner.trainer)["fit"] = watched
    learn(learner, tiny_stream(), 2)
    assert all(not bool(start[name].any()) for start in starts for name in ("up", "up_bias", "down_bias"))
    assert not torch.equal(starts[0]["down"], starts[1]["down"])


def test_real_prototypes_are_class_means_in_every_subspace_so_far(learn: Learn) -> None:
    learner, stream = ease(beta=0.5), tiny_stream()

    def check(strategy: EASE, view: Any) -> None:
        images = Inputs(view.train.pixels(slice(None)))
        found = strategy.prototypes.values[list(view.classes)]
        for space, features in enumerate(spaces(strategy, images)):
            means = class_means(features, view.train.labels, view.classes)
            assert torch.allclose(found[:, space], means, atol=1e-5)
        plain = strategy.backbone(images.images(strategy.backbone.transform))
        means = class_means(plain, view.train.labels, view.classes)
        assert torch.allclose(strategy.plain[list(view.classes)], means, atol=1e-5)

    learn(learner, stream, 3, check)


def test_prediction_is_the_weighted_sum_of_cosines_per_subspace(learn: Learn) -> None:
    learner, stream = ease(alpha=0.4, beta=0.5), tiny_stream()
    learn(learner, stream, 3)
    inputs = given(stream, 3)
    features = spaces(learner, inputs)
    with torch.no_grad():
        plain = learner.backbone(inputs.images(learner.backbone.transform))
        expected = learner.prototypes.scores(torch.stack(features, 1), 0.4) + 0.5 * cosines(plain, learner.plain)
        assert torch.allclose(learner.predict(inputs), expected, atol=1e-6)


def test_after_one_task_it_is_a_prototype_classifier_on_adapted_features(learn: Learn) -> None:
    learner, stream = ease(alpha=0.7), tiny_stream()
    learn(learner, stream, 1)
    inputs = given(stream, 1)
    with torch.no_grad():
        expected = cosines(spaces(learner, inputs)[0], learner.prototypes.values[:, 0])
        assert torch.allclose(learner.predict(inputs), expected, atol=1e-6)


def test_each_image_passes_each_set_of_adapters_once_per_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: Counter[tuple[bytes, bytes]] = Counter()
    forward = Adapters.forward

    def counting(adapters: Adapters, backbone: Backbone, images: Tensor) -> Tensor:
        if not adapters.training and len(images) > 1:  # FLOPs are counted on one image aside
            who = adapters.down.detach().numpy().tobytes()
            passed.update((who, image.numpy().tobytes()) for image in images)
        return forward(adapters, backbone, images)

    monkeypatch.setattr(Adapters, "forward", counting)
    learner, stream = ease(), tiny_stream()
    run(learner, stream, tmp_path)
    own = {pixels.numpy().tobytes() for pixels in _normalised(learner, stream)}
    found = {key: count for key, count in passed.items() if key[1] in own}
    assert set(found.values()) == {1} and len(found) == 5 * len(own), "5 sets, every test image"
    assert set(passed.values()) == {1}, "and every training image of a task once per set so far"


def _normalised(learner: EASE, stream: Stream) -> Tensor:
    return given(stream, 5).images(learner.backbone.transform)
