"""What a workbench counts and sees."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from cl.protocol import Needs
from cl.stream import View
from cl.testing import examine_strategy
from cl.testing.workbench import Workbench, named, tiny_clip
from cl.training.optim import sgd
from tests.help.broken_strategies import Good


def test_what_compute_and_validate_do_is_counted() -> None:
    class Validates(Good):
        def train_head(self, view: View, lr: float) -> None:
            features = self.encode(view.train)

            def validate() -> float:
                return float(self.head(features).detach().mean())

            def loss(batch: Any) -> Tensor:
                return F.cross_entropy(self.head(batch.x), batch.y)

            data, params = self.encoded_batches(view.train, 16), self.head.parameters()
            self.fit("head", data, loss, params, epochs=2, optimizer=sgd(lr), validate=validate, select="best")
            self.compute("gram", lambda: (features.T @ features).trace())

    assert not examine_strategy(Validates, only=["costs"]).failures


def test_a_method_that_needs_a_text_tower_is_checked_on_a_tiny_clip() -> None:
    class Reads(Good):
        @classmethod
        def needs(cls, options: Any) -> Needs:
            return Needs(text=True)

    with named(Reads) as name:
        backbone = Workbench(name).learner().backbone
    assert backbone.text is not None and backbone.key == tiny_clip().key
    with named(Good) as name:
        assert Workbench(name).learner().backbone.text is None
