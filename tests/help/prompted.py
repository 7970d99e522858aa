"""What the tests of prompting methods share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.prompted import Prompted
from cl.strategies.finetune import Finetune
from cl.strategy import Inputs
from cl.stream import Stream
from tests.conftest import equal, make, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.05, "augment": "crop-flip", "clip": 0.0}


def assert_a_linear_probe(learner: Prompted, learn: Learn) -> None:
    """Without prompts, learning is training the head on frozen features with local cross-entropy, bit for bit."""
    probe = make(
        Finetune, **{key: value for key, value in FAST.items() if key != "clip"}, trains="head", loss="local",
        optimizer="adam", head_init=learner.options.head_init, schedule=learner.options.schedule,
    )  # fmt: skip
    for strategy in (learner, probe):
        learn(strategy, tiny_stream(), 3)
    assert equal(learner, probe)
    images = pixels(tiny_stream())
    assert torch.equal(learner.predict_images(images), probe.predict_images(images))


def pixels(stream: Stream, tasks: int = 3) -> Tensor:
    """Test images of the first tasks, in the order of the tasks."""
    rows, _, _ = stream.test_rows(range(tasks))
    return torch.from_numpy(stream.dataset.test.pixels[rows]).permute(0, 3, 1, 2)


def gap(learner: Prompted, images: Tensor, **changed: Any) -> float:
    """How far scores move when images come in another order, in small batches and alone."""
    with torch.no_grad():
        whole = learner.predict(Inputs(images), **changed)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        found = []
        for size in (5, 1):
            parts = [learner.predict(Inputs(images[part]), **changed) for part in order.split(size)]
            found.append(float((torch.cat(parts) - whole[order]).abs().max()))
    return max(found)


def telling(queries: Tensor, chosen: Tensor) -> Tensor:
    """Keys [N, d] for N chosen rows of `queries` [B, d]: each chosen query is nearest to its own key.

    A key is its query's difference from the mean of all queries, at right angles to that mean. So the part that all
    queries share, nearly all of them in an untrained network, changes no similarity.
    """
    mean = F.normalize(queries.mean(0), dim=0)
    apart = queries[chosen] - queries.mean(0)
    keys = apart - (apart @ mean)[:, None] * mean
    nearest = (F.normalize(queries[chosen]) @ F.normalize(keys).T).argmax(1)
    assert torch.equal(nearest, torch.arange(len(keys))), "the keys do not tell the queries apart"
    return keys


def assert_queries_carry_no_gradient(learner: Prompted, learn: Learn) -> None:
    """Not even if the backbone trains."""
    learn(learner, tiny_stream(), 1)
    seen: list[Tensor] = []
    instructed = learner.instructed

    def watched(images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        seen.append(queries)
        return instructed(images, queries, task)

    learner.instructed = watched  # type: ignore[method-assign]
    learner.backbone.requires_grad_(True)
    images = learner.backbone.transform(pixels(tiny_stream(), 1))
    loss = learner.objective(make_batch(images), 0, (0, 1))
    assert loss.requires_grad and not seen[0].requires_grad


def make_batch(images: Tensor) -> Any:
    """A batch of images, labelled 0 and 1 in turn."""
    from cl.training.batches import Batch

    return Batch(images, torch.arange(len(images)) % 2)
