"""iCaRL: its two losses, exemplars and their means, and its two answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.exemplars import ABSENT
from cl.parts.memory import herded
from cl.strategies.icarl import ICaRL
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import make, run, tiny_stream
from tests.help.exemplars import BYTES, FAST, FROZEN, Learn, distilled, ends_like_a_plain_loop, learner
from tests.help.plain_loops import Tensors, logits


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"loss": "global", "trains": "head", "augment": "none"}], ids=["all", "head"])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("icarl", options={"memory_size": 12, **options})


@pytest.mark.parametrize("kind", ["bce", "global"])
def test_three_tasks_end_like_a_plain_loop(kind: str, learn: Learn) -> None:
    model = tiny_backbone().model

    def loss(task: int, teacher: Tensors | None, old: int) -> Any:
        def value(held: Tensors, batch: Batch) -> Tensor:
            z = logits(model, held, batch.x)
            taught = None if teacher is None else logits(model, teacher, batch.x).detach()
            if kind == "global":
                first = F.cross_entropy(z, batch.y)
                return first if taught is None else first + distilled(z, taught)
            target = F.one_hot(batch.y, z.shape[1]).float()
            if taught is not None:
                target[:, :old] = taught.sigmoid()
            p = z.sigmoid()
            return -(target * p.log() + (1 - target) * (1 - p).log()).mean()

        return value

    ends_like_a_plain_loop(learner(ICaRL, loss=kind, memory_size=14), learn, loss)


def test_every_image_and_exemplar_is_seen_once_per_epoch(learn: Learn) -> None:
    method = learner(ICaRL, memory_size=14, augment="none", epochs=1)
    learn(method, tiny_stream(), 2)
    labels = torch.cat([batch.y for batch in method.trainer.batches[1, "train"]])
    assert labels.bincount().tolist() == [7, 7, 12, 12]


def test_exemplars_follow_the_mean_under_the_new_network(learn: Learn) -> None:
    method, before = make(ICaRL, **FAST, memory_size=13), list[Tensor]()

    @torch.no_grad()
    def after(learner: ICaRL, view: Any) -> None:
        memory, features = learner.memory, learner.encode(view.train)
        assert memory.labels.bincount().tolist() == {2: [7, 6], 4: [4, 3, 3, 3], 6: [3, 2, 2, 2, 2, 2]}[len(view.seen)]
        for label in view.classes:
            own = (view.train.labels == label).nonzero().flatten()
            count = int((memory.labels == label).sum())
            chosen = own[herded(features[own], count)]
            assert torch.equal(memory.pixels[memory.labels == label], view.train.pixels(chosen))
        for label, kept in enumerate(before):
            held = memory.pixels[memory.labels == label]
            assert torch.equal(held, kept[: len(held)]), "old classes drop their last exemplars"
        before[:] = [memory.pixels[memory.labels == label] for label in view.seen]
        each = F.normalize(learner.backbone(learner.backbone.transform(memory.pixels)).double(), dim=1)
        means = torch.stack([F.normalize(each[memory.labels == label].mean(0), dim=0) for label in view.seen])
        assert torch.allclose(learner.means.double(), means, atol=1e-5)

    learn(method, tiny_stream(), 3, after)
    assert method.stored()["samples"] == 13 * BYTES


def test_the_main_answer_is_the_nearest_mean_and_cnn_that_of_the_head(tmp_path: Path) -> None:
    method = make(ICaRL, **FROZEN, memory_size=30)
    result = run(method, tiny_stream(), tmp_path)["result"]
    assert [*result["accuracy"]] == ["cil_seen", "til_masked", "cil_seen:cnn", "til_masked:cnn"]
    pixels = torch.from_numpy(tiny_stream().dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = method.backbone(method.backbone.transform(pixels))
        assert torch.allclose(method.predict_images(pixels, answer="cnn"), method.head(features), atol=1e-5)
        gaps = torch.cdist(F.normalize(features), method.means) ** 2
        assert torch.allclose(method.predict_images(pixels), -gaps, atol=1e-4)


@pytest.mark.parametrize("options", [{"memory_size": 3}, {"memory_size": 1}, {"memory_per_class": 1}])
def test_few_exemplars_are_no_error(options: dict[str, Any], tmp_path: Path) -> None:
    """A memory smaller than the classes holds one image of each of the first; others are answered last."""
    method = make(ICaRL, **FROZEN, **options)
    run(method, tiny_stream(), tmp_path)
    held = options.get("memory_size", 10)
    assert method.memory.labels.tolist() == list(range(held))
    pixels = torch.from_numpy(tiny_stream().dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    scores = method.predict_images(pixels)
    assert (scores[:, held:] == ABSENT).all() and (scores[:, :held] > ABSENT).all()


def test_one_image_per_class_is_herded(tmp_path: Path) -> None:
    method = make(ICaRL, **FROZEN, memory_size=40)
    run(method, tiny_stream(train_per_class=1), tmp_path)
    assert method.memory.labels.tolist() == list(range(10))
