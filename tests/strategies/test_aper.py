"""APER: the invariants of the paper, and a closed form in float64."""

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
from cl.training import state
from cl.training.encodings import FIRST
from tests.conftest import make, run, tiny_stream
from tests.help.prototypes import closed_form, pixels

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "rank": 4, "augment": "crop-flip"}
each = pytest.mark.parametrize("tuning", TUNING)


def aper(**options: Any) -> APER:
    return make(APER, **{**FAST, **options})


def same_start(count: int) -> list[int]:
    """Order seeds under which the first two classes are the same."""
    first = class_order("pycil", 10, 1993)[:2].tolist()
    alike = (seed for seed in range(3000) if class_order("pycil", 10, seed)[:2].tolist() == first)
    return [next(alike) for _ in range(count)]


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


# ---------------------------------------------------------------------------------------------------- closed forms


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
    in_blocks = sum(int(np.minimum(FIRST, size).sum()) for size in sizes)  # whole blocks, which other runs share
    asked = sum(len(e.train) for e in stream.experiences) + sum(len(g.rows["test"]) for g in stream.groups)
    counting = 1 + 2  # images that count the cost: one for the plain branch, one per store for the tuned one
    looks = 2 * (len(stream.experiences) + 1)  # an image through extractor and network: was it ever trained?
    assert counted["images"] == in_blocks + asked + counting + looks


# -------------------------------------------------------------------------------------------------------- training


def test_there_is_no_prediction_before_the_first_task(tmp_path: Path) -> None:
    record = run(aper(), tiny_stream(evaluate_on="all"), tmp_path)["result"]
    assert set(record["accuracy"]["cil_seen"]["correct"][0]) == {None}
    assert set(record["accuracy"]["cil_seen"]["correct"][-1]) != {None}
