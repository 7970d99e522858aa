"""EASE: every invariant of its sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.parts.attached.adapters import Adapters
from cl.parts.heads.prototypes import class_means, cosines
from cl.parts.heads.subspaces import SubspacePrototypes
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


def drawn(*widths: int, dim: int = 8, recalculate: bool = True) -> tuple[SubspacePrototypes, list[Tensor]]:
    """Prototypes of tasks of these widths, and the real ones that were given."""
    generator = torch.Generator().manual_seed(1)
    prototypes, real = SubspacePrototypes(dim), []
    for task, width in enumerate(widths):
        real.append(torch.randn(width, task + 1, dim, generator=generator))
        prototypes.add(real[-1], recalculate=recalculate)
    return prototypes, real


# ------------------------------------------------------------------------------------------------------ prototypes


@pytest.mark.parametrize("recalculate", [True, False])
def test_semantic_mapping_is_the_sheets_double_loop(recalculate: bool) -> None:
    widths = (3, 1, 2, 4)
    prototypes, real = drawn(*widths, recalculate=recalculate)
    first = [sum(widths[:task]) for task in range(5)]
    for own in range(4):
        for space in range(own + 1, 4):
            tasks = range(space, 4 if recalculate else space + 1)
            known = [(task, k) for task in tasks for k in range(widths[task])]
            for i in range(widths[own]):
                near = [float(F.cosine_similarity(real[own][i, own], real[t][k, own], dim=0)) for t, k in known]
                weights = torch.tensor(near).softmax(0)
                expected = weights @ torch.stack([real[t][k, space] for t, k in known])
                assert torch.allclose(prototypes.values[first[own] + i, space], expected, atol=1e-6)


def test_real_prototypes_never_change_and_mapped_ones_are_convex_combinations() -> None:
    prototypes, real = drawn(2, 3, 2)
    for task, values in enumerate(real):
        assert torch.equal(prototypes.values[prototypes.task == task, : task + 1], values)
    for own, space in ((0, 1), (0, 2), (1, 2)):
        weights = prototypes.mixture(own, space)
        assert torch.allclose(weights.sum(1), torch.ones(len(weights))) and bool((weights > 0).all())
        mixed = weights @ prototypes.values[prototypes.task >= space, space]
        assert torch.allclose(mixed, prototypes.values[prototypes.task == own, space])


def test_later_tasks_improve_estimates_only_where_told() -> None:
    for recalculate in (True, False):
        two, three = drawn(2, 2, recalculate=recalculate)[0], drawn(2, 2, 2, recalculate=recalculate)[0]
        assert torch.equal(two.values[:2, 1], three.values[:2, 1]) != recalculate


def test_scores_weigh_the_cosine_of_each_subspace() -> None:
    prototypes, _ = drawn(2, 1, 2)
    features = torch.randn(5, 3, 8)
    scores = prototypes.scores(features, 0.3)
    for c, own in enumerate([0, 0, 1, 2, 2]):
        cosine = [F.cosine_similarity(features[:, j], prototypes.values[c, j], dim=1) for j in range(3)]
        expected = torch.stack([(1.0 if j == own else 0.3 / 2) * cosine[j] for j in range(3)]).sum(0)
        assert torch.allclose(scores[:, c], expected, atol=1e-6)
    joined = F.cosine_similarity(features.flatten(1)[:, None], prototypes.values.flatten(1)[None], dim=2)
    assert not torch.allclose(prototypes.scores(features, 2.0), joined, atol=0.01)


def test_without_cross_terms_it_is_block_diagonal() -> None:
    prototypes, _ = drawn(2, 3)
    features = torch.randn(5, 2, 8)
    blocks = [cosines(features[:, j], prototypes.values[prototypes.task == j, j]) for j in (0, 1)]
    assert torch.allclose(prototypes.scores(features, 0.0), torch.cat(blocks, 1), atol=1e-6)


def test_permuting_the_classes_of_a_task_permutes_scores_only() -> None:
    _, real = drawn(2, 3, 2)
    order = torch.tensor([2, 0, 1])
    plain, permuted = SubspacePrototypes(8), SubspacePrototypes(8)
    for task, values in enumerate(real):
        plain.add(values)
        permuted.add(values[order] if task == 1 else values)
    features = torch.randn(5, 3, 8)
    expected = plain.scores(features, 0.5)[:, torch.cat([torch.arange(2), 2 + order, torch.arange(5, 7)])]
    assert torch.allclose(permuted.scores(features, 0.5), expected, atol=1e-6)


def test_prototypes_grow_and_shrink_with_their_state() -> None:
    two, three = drawn(2, 1)[0], drawn(2, 1, 2)[0]
    two.set_state(state.clone(three.get_state()))
    assert torch.equal(two.values, three.values) and two.task.tolist() == [0, 0, 1, 2, 2] and len(two) == 5


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
