"""RanPAC: the invariants of the paper, and a closed form in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.parts.heads.projection import choose_ridge
from cl.random import Seeds
from cl.strategies.ranpac import RanPAC
from cl.strategy import Inputs
from cl.stream import Stream
from cl.training import state
from cl.training.encodings import Extractor
from cl.training.generators import generator
from tests.conftest import make, run, tiny_stream
from tests.help.online import by_label, small, stream_in

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    "epochs": 2, "batch_size": 12, "lr": 0.05, "rank": 4, "augment": "crop-flip", "width": 40, "precision": "float64",
}  # fmt: skip


def ranpac(**options: Any) -> RanPAC:
    return make(RanPAC, **{**FAST, **options})


def images(stream: Stream, split: str = "test") -> tuple[Inputs, np.ndarray]:
    """All images of a split that the stream uses, and their positions."""
    if split == "test":
        rows, labels, _ = stream.test_rows(range(stream.info.n_tasks))
        order = np.argsort(rows)
        chosen, labels = stream.dataset.test.pixels[rows[order]], labels[order]
    else:
        views = [stream.view(task).train for task in range(stream.info.n_tasks)]
        chosen = np.concatenate([view.store.pixels[view.rows] for view in views])
        labels = np.concatenate([view.labels.numpy() for view in views])
    return Inputs(torch.from_numpy(chosen).permute(0, 3, 1, 2)), np.asarray(labels)


def random_features(learner: RanPAC, inputs: Inputs) -> np.ndarray:
    """h in float64, of the float32 features of the adapted network."""
    features = inputs.encode(learner.adapted).double().numpy()
    if learner.projection is None:
        return np.asarray(features)
    return np.maximum(features @ learner.projection.matrix.double().numpy(), 0)


def closed_form(learner: RanPAC, stream: Stream, ridge: float) -> np.ndarray:
    """Scores of all test images: one regression on everything at once, in NumPy."""
    (train, labels), (test, _) = images(stream, "train"), images(stream)
    h, y = random_features(learner, train), np.eye(10)[labels]
    weights = np.linalg.solve(h.T @ h + ridge * np.eye(h.shape[1]), h.T @ y)
    return random_features(learner, test) @ weights


# ---------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("tuning", ["adapter", "ssf", "vpt-deep", "vpt-shallow", "finetune", "none"])
def test_it_equals_the_closed_form_in_float64(tuning: str, learn: Learn) -> None:
    stream = tiny_stream()
    learner = ranpac(tuning=tuning, ridge=10.0)
    learn(learner, stream, 5)
    scores, expected = learner.predict(images(stream)[0]).numpy(), closed_form(learner, stream, 10.0)
    assert scores.dtype == np.float64 and np.allclose(scores, expected, atol=1e-6)  # blocks round features otherwise
    assert np.array_equal(scores.argmax(1), expected.argmax(1)) and learner.ridges == [10.0] * 5
    assert learner.backbone.is_pristine and learner.get_state()["backbone"] == {}


def test_float32_sums_give_what_float64_sums_give(learn: Learn) -> None:
    stream, found = tiny_stream(), []
    for precision in ("float32", "float64"):
        learner = ranpac(precision=precision, tuning="none", ridge=10.0)
        learn(learner, stream, 5)
        found.append(learner.predict(images(stream)[0]))
    assert found[0].dtype == torch.float32 and learner.sums.gram.dtype == torch.float64
    assert torch.allclose(found[0].double(), found[1], atol=1e-3) and torch.equal(
        found[0].argmax(1), found[1].argmax(1)
    )


def test_it_equals_the_closed_form_with_the_penalty_of_the_last_task(learn: Learn) -> None:
    stream, learner = tiny_stream(), ranpac(tuning="none")
    drawn = []

    def chosen(strategy: RanPAC, view: Any) -> float:
        inputs = Inputs(view.train.pixels(slice(None)))
        h = torch.from_numpy(random_features(strategy, inputs))
        drawn.append(choose_ridge(h, view.train.labels, generator(Seeds().data, "strategy", view.task, "ridge")))
        return strategy.ridges[-1]

    assert learn(learner, stream, 5, chosen) == drawn and len(set(drawn)) > 1, "of this task's images, anew every time"
    scores = learner.predict(images(stream)[0]).numpy()
    assert np.allclose(scores, closed_form(learner, stream, drawn[-1]), atol=1e-5)


def test_the_result_does_not_depend_on_order_or_split(learn: Learn) -> None:
    """For a fixed penalty and the same phase 1: here none."""
    found = []
    for seed, tasks in [(1993, 5), (7, 5), (1993, 2), (3, 10), (1, 1)]:
        stream, learner = tiny_stream(seed, tasks=tasks), ranpac(tuning="none", ridge=1.0)
        learn(learner, stream, tasks)
        test, labels = images(stream)
        scores = learner.predict(test).numpy()
        original, columns = stream.class_order[labels], np.argsort(stream.class_order)
        found.append(np.concatenate([scores[original == c][:, columns] for c in range(10)]))
    assert all(np.allclose(found[0], other, atol=1e-6) for other in found[1:])
    assert all(np.array_equal(found[0].argmax(1), other.argmax(1)) for other in found[1:])


def test_after_the_same_first_task_the_split_of_the_rest_does_not_matter(learn: Learn) -> None:
    found = []
    for options in ({"tasks": 5}, {"base": 2, "increment": 4}, {"base": 2, "increment": 8}):
        stream, learner = tiny_stream(**options), ranpac(ridge=1.0)
        learn(learner, stream, stream.info.n_tasks)
        found.append(learner.predict(images(stream)[0]).numpy())
    assert np.allclose(found[0], found[1], atol=1e-6) and np.allclose(found[0], found[2], atol=1e-6)


def test_without_projection_it_is_least_squares_on_features(learn: Learn) -> None:
    stream, learner = tiny_stream(), ranpac(width=0, ridge=1e-7)
    learn(learner, stream, 5)
    (train, labels), (test, _) = images(stream, "train"), images(stream)
    features, asked = (x.encode(learner.adapted).double().numpy() for x in (train, test))
    weights = np.linalg.lstsq(features, np.eye(10)[labels], rcond=1e-5)[0]  # centred by the final norm: rank 15 of 16
    assert learner.projection is None and learner.sums.gram.shape == (16, 16)
    assert np.allclose(learner.predict(test), asked @ weights, atol=1e-3)


def test_sums_are_symmetric_positive_and_of_all_images(learn: Learn) -> None:
    stream, learner = tiny_stream(), ranpac()
    learn(learner, stream, 5)
    gram, h = learner.sums.gram, random_features(learner, images(stream, "train")[0])
    assert torch.equal(gram, gram.T) and torch.linalg.eigvalsh(gram).min() > -1e-9 * gram.diagonal().max()
    assert np.allclose(gram, h.T @ h, rtol=1e-5, atol=1e-4)


def test_later_tasks_change_no_module_no_head_and_no_projection(learn: Learn) -> None:
    learner = ranpac()
    kept = learn(learner, tiny_stream(), 4, lambda s, v: state.clone(s.get_state()))
    for earlier, later in pairwise(kept):
        for part in ("module", "head", "projection"):
            assert all(torch.equal(earlier[part][name], later[part][name]) for name in earlier[part])
        assert later["weights"].shape[1] == earlier["weights"].shape[1] + 2


# ------------------------------------------------------------------------------------------------- the rest of it


def test_phase_1_without_epochs_changes_no_score(learn: Learn) -> None:
    stream, scores = tiny_stream(), []
    for options in ({"epochs": 0}, {"tuning": "none"}, {}):
        learner = ranpac(ridge=1.0, **options)
        learn(learner, stream, 5)
        scores.append(learner.predict(images(stream)[0]))
    assert torch.equal(scores[0], scores[1]) and not torch.allclose(scores[0], scores[2], atol=1e-2)


def test_only_the_adapted_branch_is_used(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, learner = tiny_stream(), ranpac()
    learn(learner, stream, 2)
    asked: list[str] = []
    encode = Inputs.encode

    def spied(inputs: Inputs, extractor: Extractor) -> torch.Tensor:
        asked.append(extractor.key)
        return encode(inputs, extractor)

    monkeypatch.setattr(Inputs, "encode", spied)
    learner.predict(images(stream)[0])
    assert asked == [learner.adapted.key] and getattr(learner.adapted, "lasting", False)


def test_scores_are_linear_and_the_legacy_ones_cosines(learn: Learn) -> None:
    stream = tiny_stream()
    linear, legacy = ranpac(ridge=1.0), ranpac(ridge=1.0, legacy_cosine=True)
    assert RanPAC.marks(linear.options) == () and RanPAC.marks(legacy.options) == ("legacy",)
    for learner in (linear, legacy):
        learn(learner, stream, 5)
    test = images(stream)[0]
    h, weights = random_features(legacy, test), legacy.weights.numpy()
    assert torch.equal(linear.weights, legacy.weights)
    assert np.allclose(linear.predict(test), h @ weights, atol=1e-6)
    expected = h @ weights / np.linalg.norm(h, axis=1, keepdims=True) / np.linalg.norm(weights, axis=0)
    assert np.allclose(legacy.predict(test), expected, atol=1e-6)
    assert not torch.equal(linear.predict(test).argmax(1), legacy.predict(test).argmax(1))


def test_a_state_restores_everything_under_another_seed(learn: Learn) -> None:
    stream, one = tiny_stream(), ranpac(precision="float32")
    two = make(RanPAC, seeds=Seeds(init=7), **{**FAST, "precision": "float32"})
    learn(one, stream, 3)
    learn(two, stream, 1)
    two.set_state(state.clone(one.get_state()))
    test = images(stream)[0]
    assert torch.equal(one.predict(test), two.predict(test)) and torch.equal(one.sums.gram, two.sums.gram)
    stored = one.stored()
    assert stored["statistics"] == (40 * 41 // 2 + 40 * 6 + 40 * 6) * 4, "half of G, Q and the weights"
    assert stored["parameters"] == state.nbytes([state.get(x) for x in (one.module, one.head, one.projection)])


def test_classes_that_come_again_are_added(learn: Learn) -> None:
    """Nothing but the sums knows of tasks: the same images twice are weights of two."""
    learner = ranpac(tuning="none", ridge=1.0)
    learn(learner, tiny_stream(), 1)
    once = learner.sums.gram.clone()
    view = tiny_stream().view(0)
    learner._regress(view.train, 2)
    assert torch.allclose(learner.sums.gram, 2 * once) and learner.weights.shape == (40, 2)


def test_there_is_no_prediction_before_the_first_task(tmp_path: Path) -> None:
    record = run(ranpac(), tiny_stream(tasks=2, evaluate_on="all"), tmp_path)["result"]
    assert set(record["accuracy"]["cil_seen"]["correct"][0]) == {None}


def test_ridge_regression_sums_over_tasks_that_share_classes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"tuning": "none", "width": 50, "ridge": 1.0, "precision": "float64"}
    plain, stream = small(), stream_in("i-blurry", blur=0.5)
    one, two = make(RanPAC, **options), make(RanPAC, **options)
    run(one, plain, tmp_path / "plain")
    run(two, stream, tmp_path / "blurred")
    assert torch.allclose(by_label(stream, two.weights.T), by_label(plain, one.weights.T), atol=1e-6)
