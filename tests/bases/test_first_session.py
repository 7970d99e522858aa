"""Adaptation to the first task: what is trained, and at which rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.backbone import Backbone, load
from cl.backbone.options import BackboneOptions
from cl.bases.first_session import TUNING
from cl.errors import UsageError
from cl.parts.attached import Adapters, ScaleShift, VisualPrompts
from cl.parts.weights import TunedWeights
from cl.strategies.aper import APER
from cl.strategies.ranpac import RanPAC
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from cl.training import state
from cl.training.optim import When
from tests.conftest import make, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "rank": 4, "augment": "crop-flip"}
each = pytest.mark.parametrize("tuning", TUNING)


def aper(**options: Any) -> APER:
    return make(APER, **{**FAST, **options})


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
    assert learner.module is not None
    assert not any(p.requires_grad for p in learner.module.parameters()) and not learner.module.training


def test_the_rate_falls_by_a_cosine_over_the_epochs(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    learner = aper()
    monkeypatch.setattr(learner, "fit", lambda phase, data, loss, params, **how: seen.update(how), raising=False)
    learn(learner, tiny_stream(), 2)
    factors = [seen["schedule"](When(epoch, 3, 20, 10)) for epoch in (0, 10, 19)]
    assert seen["epochs"] == 2 and factors[0] == 1 and factors[1] == pytest.approx(0.5) and 0 < factors[2] < 0.01


@pytest.mark.parametrize(
    ("tuning", "kind"),
    [
        *(("adapter", Adapters), ("ssf", ScaleShift), ("vpt-deep", VisualPrompts), ("vpt-shallow", VisualPrompts)),
        ("finetune", TunedWeights),
    ],
)
def test_each_tuning_has_its_module_and_an_extractor_that_lasts(tuning: str, kind: type) -> None:
    learner: Any = aper(tuning=tuning)
    learner.setup(tiny_stream().info)
    assert type(learner.module) is kind
    assert learner.adapted.lasting and learner.adapted.key != learner.backbone.key
    assert tuning != "adapter" or state.get(learner.module)["down"].shape[-2:].count(4) == 1, (
        "the width of the bottleneck is `rank`"
    )


def test_without_tuning_the_adapted_network_is_the_backbone(learn: Learn) -> None:
    learner = aper(tuning="none")
    learn(learner, tiny_stream(), 1)
    assert learner.adapted is learner.backbone


def test_later_tasks_run_no_fit(learn: Learn) -> None:
    learner, phases = aper(), []
    vars(learner.trainer)["fit"] = lambda strategy, phase, spec: phases.append(phase)
    learn(learner, tiny_stream(), 3)
    assert phases == ["adaptation"]


def on_a_cnn(method: Any, **options: Any) -> Any:
    return method(method.Options(**options), network(), make(APER).trainer)


def network() -> Backbone:
    return load("test_resnet@random", BackboneOptions(image_size=32))


@pytest.mark.parametrize("method", [APER, RanPAC])
@pytest.mark.parametrize("tuning", ["adapter", "ssf", "vpt-deep", "vpt-shallow"])
def test_a_convolutional_network_is_sent_to_a_tuning_that_fits_it(method: Any, tuning: str) -> None:
    with pytest.raises(UsageError, match=r"choose a timm Vision Transformer.*, or --set tuning=none .*tuning=finetune"):
        on_a_cnn(method, tuning=tuning).setup(tiny_stream().info)


@pytest.mark.parametrize("tuning", ["none", "finetune"])
def test_the_tunings_that_the_error_names_work_on_a_convolutional_network(tuning: str, learn: Learn) -> None:
    stream = tiny_stream(tasks=5)
    options: dict[str, Any] = {"tuning": tuning, "epochs": 1, "batch_size": 23}
    learners = [on_a_cnn(APER, **options), on_a_cnn(RanPAC, width=16, **options), on_a_cnn(SimpleCIL)]
    images = torch.tensor(stream.dataset.test.pixels[:20].transpose(0, 3, 1, 2))
    for learner in learners:
        learn(learner, stream, 2)
    scores = [learner.predict(Inputs(images)) for learner in learners]
    assert all(each.shape == (20, 4) and bool(torch.isfinite(each).all()) for each in scores)
    assert torch.allclose(scores[0], scores[2], atol=1e-5) == (tuning == "none"), "without adaptation it is SimpleCIL"
