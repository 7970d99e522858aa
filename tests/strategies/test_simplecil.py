"""SimpleCIL: prototypes do not depend on the order or the split, and a closed form in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from tests.conftest import make, run, tiny_stream
from tests.help.online import by_label, small, stream_in
from tests.help.prototypes import closed_form, pixels

Learn = Callable[..., list[Any]]


def test_simplecil_does_not_depend_on_order_or_split(tmp_path: Path) -> None:
    last = set()
    for i, (seed, tasks) in enumerate([(1993, 5), (7, 5), (1993, 2), (3, 10), (1, 1)]):
        record = run(make(SimpleCIL), tiny_stream(seed, tasks=tasks), tmp_path / str(i))
        last.add(record["result"]["metrics"]["cil_seen"]["A_last_sample"])
    assert len(last) == 1


def test_adding_a_class_never_changes_other_prototypes(learn: Learn) -> None:
    learner = make(SimpleCIL)
    kept = learn(learner, tiny_stream(), 5, lambda s, v: s.prototypes.clone())
    for earlier, later in pairwise(kept):
        assert torch.equal(earlier, later[: len(earlier)])


def test_prototypes_are_means_and_the_scale_does_not_matter(learn: Learn) -> None:
    learner, stream = make(SimpleCIL), tiny_stream()

    def check(strategy: SimpleCIL, view: Any) -> None:
        with torch.no_grad():
            features = strategy.backbone(strategy.backbone.transform(view.train.pixels(slice(None))))
        for position in view.classes:
            mean = features[view.train.labels == position].mean(0)
            assert torch.allclose(strategy.prototypes[position], mean, atol=1e-5)

    learn(learner, stream, 5, check)
    inputs = Inputs(torch.from_numpy(stream.dataset.test.pixels[:20].copy()).permute(0, 3, 1, 2))
    scores = learner.predict(inputs)
    learner.prototypes = learner.prototypes * 11
    assert torch.equal(scores.argmax(1), learner.predict(inputs).argmax(1))
    assert scores.abs().max() <= 1 + 1e-5, "cosines"


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


@pytest.mark.parametrize("names", [("si-blurry",), ("online", "i-blurry")])
def test_nearest_means_do_not_depend_on_how_images_arrive(names: tuple[str, ...], tmp_path: Path) -> None:
    expected, arrived = make(SimpleCIL), make(SimpleCIL)
    plain, stream = small(), stream_in(*names, chunk=7) if "online" in names else stream_in(*names)
    run(expected, plain, tmp_path / "plain")
    run(arrived, stream, tmp_path / "arrived")
    assert by_label(stream, arrived.counts).tolist() == [6] * 10
    assert torch.allclose(by_label(stream, arrived.prototypes), by_label(plain, expected.prototypes), atol=1e-6)
