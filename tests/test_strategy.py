"""What a strategy is given: draws that keep `predict` pure, hooks that see the optimiser, the cost of its features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.heads import GrowingHead
from cl.parts.memory import Memory
from cl.strategy import Inputs, Step, Strategy, StreamInfo, UsageError, View, sgd
from cl.testing import check_strategy
from cl.training.optim import adam
from tests.conftest import make, tiny_stream

Learn = Callable[..., list[Any]]


class Averaged(Strategy):
    """A linear head whose scores are averaged over heads drawn around it.

    Paper: none. Trains: the head. Stores: the head. Cost: one forward. Differences from the paper: none.
    """

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim).to(self.device)
        self.steps: list[Step] = []

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.fit(
            "head", self.encoded_batches(view.train, 16), lambda batch: F.cross_entropy(self.head(batch.x), batch.y),
            self.head.parameters(), epochs=2, optimizer=self.optimizer(),
            before_step=self.before, after_step=self.after,
        )  # fmt: skip

    def optimizer(self) -> Any:
        return sgd(0.1)

    def before(self, step: Step) -> None:
        pass

    def after(self, step: Step) -> None:
        pass

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores, draws = self.head(inputs.encode(self.backbone)), self.draws("heads")
        return scores + 0.1 * torch.randn(3, scores.shape[1], generator=draws).mean(0).to(scores)


def test_draws_of_predict_are_the_same_at_every_call_and_named(learn: Learn) -> None:
    learner = make(Averaged)
    learn(learner, tiny_stream(), 1)
    one, again = (torch.rand(4, generator=learner.draws("a")) for _ in range(2))
    assert torch.equal(one, again) and not torch.equal(one, torch.rand(4, generator=learner.draws("b")))
    learner.trainer.journal.begin(1)
    assert torch.equal(one, torch.rand(4, generator=learner.draws("a"))), "whatever the task"


def test_a_method_that_draws_to_predict_is_pure() -> None:
    check_strategy(Averaged, only=["pure", "batch-independent", "state-round-trip"])


def test_hooks_see_the_optimiser_and_its_memory(learn: Learn) -> None:
    seen: list[tuple[int, int, bool]] = []

    class Masked(Averaged):
        """Holds back the first column: its gradient before the step, its momentum after it."""

        def optimizer(self) -> Any:
            return adam(0.01)

        def before(self, step: Step) -> None:
            (weight,) = [p for group in step.optimizer.param_groups for p in group["params"] if p.ndim == 2][:1]
            assert weight.grad is not None
            weight.grad[0] = 0
            seen.append((step.epoch, step.step, bool(step.optimizer.state)))

        def after(self, step: Step) -> None:
            weight = self.head.blocks[0].weight
            assert (
                not step.optimizer.state[weight]["exp_avg"][0].any() and step.optimizer.state[weight]["exp_avg"].any()
            )

    learner = make(Masked)
    stream = tiny_stream(tasks=1)
    before: list[Tensor] = []
    grow = GrowingHead.grow_to

    def grown(head: GrowingHead, *given: Any, **more: Any) -> None:
        grow(head, *given, **more)
        before.append(head.blocks[0].weight.detach().clone())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GrowingHead, "grow_to", grown)
        learn(learner, stream, 1)
    after = learner.head.blocks[0].weight
    assert torch.equal(after[0], before[0][0]) and not torch.equal(after[1], before[0][1])
    assert seen[0] == (0, 0, False) and seen[1][2] and {epoch for epoch, _, _ in seen} == {0, 1}


def test_the_method_knows_the_cost_of_its_features(learn: Learn) -> None:
    learner, stream = make(Averaged), tiny_stream(tasks=1)
    learn(learner, stream, 1)
    view = stream.view(0)
    each = learner.flops_per_image(view.train)
    assert each > 0 and learner.flops >= each * len(view.train)
    source = learner.encoded_batches(view.train, 16)
    assert source.flops_per_item == each


@pytest.mark.parametrize(
    ("pixels", "what"),
    [
        (torch.zeros(2, 1, 8, 8), r"torch\.float32 \(2, 1, 8, 8\)"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"torch\.uint8 \(1, 8, 8\)"),
        (np.zeros((1, 5, 8, 8), np.uint8), r"torch\.uint8 \(1, 5, 8, 8\)"),
        (np.zeros((1, 1, 0, 8), np.uint8), r"torch\.uint8 \(1, 1, 0, 8\)"),
        ("photo.jpg", "of str"),
        (None, "of NoneType"),
        (np.array([None]), "of ndarray"),
    ],
)
def test_images_of_another_type_or_shape_are_refused(pixels: Any, what: str, learn: Learn) -> None:
    learner = make(Averaged)
    learn(learner, tiny_stream(tasks=1), 1)
    takes = r"predict_images takes uint8 images \[B, C, H, W\] with 1 or 3 channels"
    with pytest.raises(UsageError, match=rf"^{takes}, not {what}\.$"):
        learner.predict_images(pixels)
    wrong: tuple[Any, ...] = ("task0", 1.5, -1)
    for task in wrong:
        with pytest.raises(UsageError, match=rf"takes a task as its index from 0, not '?{task}'?\.$"):
            learner.predict_images(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), task)
    image = np.zeros((2, 1, 8, 8), np.uint8)
    assert torch.equal(
        learner.predict_images(image[::-1]), learner.predict_images(image)
    )  # a view with negative strides
    assert torch.equal(learner.predict_images(image), learner.predict_images(torch.from_numpy(image)))


class Holder(Averaged):
    """Holds one of each kind of state, a strategy inside, and what is no state."""

    def setup(self, info: StreamInfo) -> None:
        self.layer = torch.nn.Linear(3, 2)
        self.means = torch.zeros(5)
        self.memory = Memory(4, "reservoir")
        self.inner = Averaged(self.options, self.backbone, self.trainer)
        self.inner.setup(info)
        vars(self.inner).update(sums=torch.zeros(7), layer=torch.nn.Linear(3, 2))
        self._scratch = torch.zeros(1000)


def test_stored_bytes_are_counted_by_kind() -> None:
    learner, stream = make(Holder), tiny_stream(tasks=1)
    learner.setup(stream.info)
    images = stream.view(0).train
    learner.memory.add(images, torch.Generator(), None)
    assert learner.stored() == {"samples": 4 * (64 + 8), "statistics": 4 * (5 + 7), "parameters": 2 * 4 * (3 * 2 + 2)}


def test_a_state_goes_into_a_fresh_learner_without_names_that_start_with_an_underscore() -> None:
    learner, other, info = make(Holder), make(Holder), tiny_stream().info
    for each in (learner, other):
        each.setup(info)
    learner.means += 1
    kept = learner.get_state()
    assert "_scratch" not in kept and not {"options", "info", "trainer"} & set(kept)
    other.set_state(kept)
    assert torch.equal(other.means, torch.ones(5)) and torch.equal(other.layer.weight, learner.layer.weight)


def test_a_method_supports_its_settings_and_has_no_marks_unless_it_says_so() -> None:
    assert Averaged.supports("class-incremental", None) and not Averaged.supports("online", None)
    assert Averaged.marks(None) == () and make(Averaged).report() == {} and make(Averaged).ready


def test_batches_and_features_of_several_sets_follow_one_another(learn: Learn) -> None:
    learner, stream = make(Averaged), tiny_stream()
    learn(learner, stream, 1)
    one, two = (stream.view(task).train for task in (0, 1))
    both = learner.encode([one, two])
    assert torch.equal(both, torch.cat([learner.encode(one), learner.encode(two)]))
    source = learner.encoded_batches([one, two], 48)
    (batch,) = source.epoch(0, lambda *purpose: torch.Generator().manual_seed(0))
    place = torch.cdist(batch.x, both).argmin(1)
    assert sorted(place.tolist()) == list(range(48)) and torch.equal(
        batch.y, torch.cat([one.labels, two.labels])[place]
    )
