"""APER and SimpleCIL: the invariants of their sheets, and a closed form in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cl.bases.first_session import TUNING
from cl.settings.orders import class_order
from cl.strategies.aper import APER
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from cl.stream import Stream
from cl.training import state
from cl.training.encodings import BLOCK
from cl.training.optim import When
from tests.conftest import make, run, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "rank": 4, "augment": "crop-flip"}
each = pytest.mark.parametrize("tuning", TUNING)


def aper(**options: Any) -> APER:
    return make(APER, **{**FAST, **options})


def pixels(stream: Stream, split: str = "test", tasks: int = 5) -> tuple[Inputs, np.ndarray]:
    """Images of the first tasks and their positions."""
    if split == "test":
        rows, labels, _ = stream.test_rows(range(tasks))
        chosen = stream.dataset.test.pixels[rows]
    else:
        views = [stream.view(task).train for task in range(tasks)]
        chosen = np.concatenate([view.store.pixels[view.rows] for view in views])
        labels = np.concatenate([view.labels.numpy() for view in views])
    return Inputs(torch.from_numpy(chosen).permute(0, 3, 1, 2)), np.asarray(labels)


def same_start(count: int) -> list[int]:
    """Order seeds under which the first two classes are the same."""
    first = class_order("pycil", 10, 1993)[:2].tolist()
    alike = (seed for seed in range(3000) if class_order("pycil", 10, seed)[:2].tolist() == first)
    return [next(alike) for _ in range(count)]


def closed_form(merged: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Cosines to class means in float64."""
    means = np.stack([merged[labels == c].mean(0) for c in range(labels.max() + 1)])
    asked, means = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, means))
    return np.asarray(asked @ means.T)


# ------------------------------------------------------------------------------------------------ sheet, section (i)


def test_later_tasks_change_nothing_but_prototypes(learn: Learn) -> None:
    for tuning in TUNING:
        learner = aper(tuning=tuning)
        kept = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(s.get_state()))
        for earlier, later in pairwise(kept):
            assert torch.equal(later["prototypes"][: len(earlier["prototypes"])], earlier["prototypes"])
            assert without_prototypes(later) == without_prototypes(earlier), tuning


def without_prototypes(kept: dict[str, Any]) -> Any:
    return flat({name: value for name, value in kept.items() if name != "prototypes"})


def flat(value: Any) -> Any:
    """Something that compares by bits."""
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items()}
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def test_without_training_adapters_give_the_same_half_twice_and_the_ranking_of_simplecil(learn: Learn) -> None:
    inputs, _ = pixels(tiny_stream())
    plain = make(SimpleCIL)
    learn(plain, tiny_stream(), 5)
    expected = plain.predict(inputs)
    for options in ({"epochs": 0}, {"epochs": 0, "tuning": "finetune"}, {"tuning": "none"}):
        learner = aper(**options)
        learn(learner, tiny_stream(), 5)
        assert torch.equal(*learner.prototypes.chunk(2, 1)), "F = [f; f]"
        assert torch.equal(learner.prototypes.chunk(2, 1)[0], plain.prototypes)
        assert torch.allclose(learner.predict(inputs), expected, atol=1e-6)
        assert torch.equal(learner.predict(inputs).argsort(1), expected.argsort(1))
    trained = aper()
    learn(trained, tiny_stream(), 5)
    pretrained, adapted = trained.prototypes.chunk(2, 1)
    assert not torch.allclose(pretrained, adapted, atol=1e-3)


@pytest.mark.parametrize("tuning", ["adapter", "ssf"])
def test_the_last_accuracy_depends_on_the_first_task_alone(tuning: str, learn: Learn) -> None:
    one, two = same_start(2)
    found, modules = [], []
    for seed, sizes in [(one, {"tasks": 5}), (two, {"tasks": 5}), (one, {"base": 2, "increment": 4}), (1993, {})]:
        stream, learner = tiny_stream(seed, **(sizes or {"tasks": 2})), aper(tuning=tuning)
        learn(learner, stream, stream.info.n_tasks)
        inputs, labels = pixels(stream, tasks=stream.info.n_tasks)
        right = labels[learner.predict(inputs).argmax(1).numpy() == labels]
        found.append(np.bincount(stream.class_order[right], minlength=10).tolist())
        modules.append(flat(state.get(learner.module)))
    assert found[0] == found[1] == found[2] and sum(found[0]) > 6 and modules[0] == modules[1] == modules[2]
    assert modules[3] != modules[0], "another first task, another adaptation"


# ------------------------------------------------------------------------------------------------------- must show


def test_simplecil_equals_its_closed_form_in_float64(learn: Learn) -> None:
    learner = make(SimpleCIL)
    learn(learner, tiny_stream(), 5)
    with torch.no_grad():
        learner.backbone.double()
        (train, labels), (test, _) = pixels(tiny_stream(), "train"), pixels(tiny_stream())
        features, asked = (
            learner.backbone(x.images(learner.backbone.transform).double()).numpy() for x in (train, test)
        )
        learner.backbone.float()
        scores = learner.predict(test).numpy()
    expected = closed_form(features, labels, asked)
    assert np.allclose(scores, expected, atol=1e-5) and np.array_equal(scores.argmax(1), expected.argmax(1))


@each
def test_aper_equals_its_closed_form_on_pristine_and_adapted_features(tuning: str, learn: Learn) -> None:
    learner = aper(tuning=tuning)
    pristine = state.clone(dict(learner.backbone.state_dict()))
    learn(learner, tiny_stream(), 5)
    assert learner.backbone.is_pristine and learner.get_state()["backbone"] == {}
    assert all(torch.equal(pristine[name], value) for name, value in learner.backbone.state_dict().items())

    def merged(inputs: Inputs) -> np.ndarray:
        images = inputs.images(learner.backbone.transform).double()
        learner.backbone.double()
        module = learner.module.double() if learner.module is not None else lambda backbone, x: backbone(x)
        features = torch.cat([learner.backbone(images), module(learner.backbone, images)], 1)
        learner.backbone.float()
        if learner.module is not None:
            learner.module.float()
        return features.numpy()

    (train, labels), (test, _) = pixels(tiny_stream(), "train"), pixels(tiny_stream())
    with torch.no_grad():
        scores = learner.predict(test).numpy()
        expected = closed_form(merged(train), labels, merged(test))
    assert np.allclose(scores, expected, atol=1e-5)


def test_each_image_goes_through_each_branch_once_per_run(tmp_path: Path) -> None:
    learner = aper(epochs=0)
    counted = {"images": 0}

    def count(module: nn.Module, args: Any) -> None:
        counted["images"] += len(args[0])

    learner.backbone.register_forward_pre_hook(count)
    stream = tiny_stream()
    run(learner, stream, tmp_path)
    sizes = [np.bincount(stream.store(split).labels) for split in ("train", "test")]
    in_blocks = sum(int(np.minimum(BLOCK, size).sum()) for size in sizes)  # whole blocks, which other runs share
    asked = sum(len(e.train) for e in stream.experiences) + sum(len(g.rows["test"]) for g in stream.groups)
    counting = 2 * 2  # one image per branch and store, to count what it costs
    assert counted["images"] == in_blocks + asked + counting


# -------------------------------------------------------------------------------------------------------- training


@each
def test_the_first_task_trains_the_module_and_the_head_from_a_scale_of_one(tuning: str, learn: Learn) -> None:
    learner, fresh = aper(tuning=tuning), aper(tuning=tuning)
    fresh.setup(tiny_stream().info)
    learn(learner, tiny_stream(), 1)
    if tuning == "none":
        assert learner.module is None and learner.head is None
        return
    assert fresh.head is not None and fresh.head.scale.item() == 1 and learner.head is not None
    assert fresh.head.weight.shape == (2, 16) and fresh.head.weight.abs().max() <= 0.25
    assert learner.head.scale.item() != 1 and not torch.equal(learner.head.weight, fresh.head.weight)
    before, after = (state.get(x.module) for x in (fresh, learner))
    assert all(not torch.equal(before[name], after[name]) for name in before), "every tensor trains"
    assert not any(p.requires_grad for p in learner.module.parameters()) and not learner.module.training


def test_the_rate_falls_by_a_cosine_over_the_epochs(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    learner = aper()
    monkeypatch.setattr(learner, "fit", lambda phase, data, loss, params, **how: seen.update(how), raising=False)
    learn(learner, tiny_stream(), 2)
    factors = [seen["schedule"](When(epoch, 3, 20, 10)) for epoch in (0, 10, 19)]
    assert seen["epochs"] == 2 and factors[0] == 1 and factors[1] == pytest.approx(0.5) and 0 < factors[2] < 0.01


def test_there_is_nothing_to_predict_with_before_the_first_task(tmp_path: Path) -> None:
    record = run(aper(), tiny_stream(evaluate_on="all"), tmp_path)["result"]
    assert set(record["accuracy"]["cil_seen"]["correct"][0]) == {None}
    assert set(record["accuracy"]["cil_seen"]["correct"][-1]) != {None}
