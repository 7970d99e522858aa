"""O-LoRA: a task in a plain loop, what it freezes, and its penalty."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.strategies.o_lora import OLoRA
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.oracles import Oracle, replay, rows

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.02, "augment": "none", "rank": 2}
ORACLE = Oracle("train-slca-b")  # its network, images and batches


class Sum(nn.Module):
    """A fused qkv layer with additions to its first and its last third, one pair of matrices after another."""

    def __init__(self, qkv: nn.Module, parts: list[tuple[Tensor, Tensor, Tensor, Tensor]], scale: float) -> None:
        super().__init__()
        self.qkv, self.parts, self.scale = qkv, parts, scale

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        for aq, bq, av, bv in self.parts:
            q = q + self.scale * (x @ aq.T) @ bq.T
            v = v + self.scale * (x @ av.T) @ bv.T
        return torch.cat([q, k, v], -1)


@pytest.mark.parametrize(("penalty", "clip"), [("absolute", 0.0), ("squared", 0.8)])
def test_two_tasks_end_in_the_weights_of_a_plain_loop(penalty: str, clip: float) -> None:
    epochs, rate = 3, 0.02
    norms: list[float] = []
    starts: list[Any] = []
    ends: list[Any] = []

    def begin(learner: Any, task: int, phase: str) -> None:
        block = learner.head.blocks[-1]
        drawn = [a.detach().clone() for a in learner.lora.a[-1]]
        starts.append((drawn, block.weight.clone(), block.bias.clone()))

    def after(learner: Any, task: int) -> None:
        head = learner.head.blocks[-1]
        ends.append(state.clone([list(learner.lora.a[task]), list(learner.lora.b[task]), head.weight, head.bias]))

    replay(
        OLoRA, ORACLE, {"train": rows(ORACLE)}, begin=begin, after=after, epochs=epochs, batch_size=4, lr=rate,
        weight_decay=0.1, rank=2, alpha=6.0, dropout=0.0, orthogonality=0.3, penalty=penalty, l2=0.01, clip=clip,
        augment="none",
    )  # fmt: skip
    model: Any = copy.deepcopy(ORACLE.backbone().model).requires_grad_(False)
    for block in model.blocks:
        block.attn.qkv = Sum(block.attn.qkv, [], 3.0)
    first = 0
    for task, (drawn, weight, bias) in enumerate(starts[:2]):
        for number, block in enumerate(model.blocks):
            q, v = drawn[2 * number], drawn[2 * number + 1]
            b = torch.zeros(len(block.norm1.weight), 2)
            block.attn.qkv.parts.append(tuple(t.clone().requires_grad_() for t in (q, b, v, b)))
        low = [factor for block in model.blocks for factor in block.attn.qkv.parts[-1]]
        trained = [*low, weight.requires_grad_(), bias.requires_grad_()]
        optimizer = torch.optim.AdamW(trained, rate, weight_decay=0.1)
        images, labels = ORACLE.images(f"pixels/{task}"), ORACLE.tensor(f"labels/{task}") - first
        for batch in ORACLE.tensor(f"batches/{task}").reshape(-1, 4):
            loss = F.cross_entropy(model(images[batch]) @ weight.T + bias, labels[batch])
            for block in model.blocks:
                *earlier, (aq, _, av, _) = block.attn.qkv.parts
                for old_q, _, old_v, _ in earlier:
                    for product in (old_q.detach() @ aq.T, old_v.detach() @ av.T):
                        loss = loss + 0.3 * (product**2 if penalty == "squared" else product.abs()).sum()
            loss = loss + 0.01 * sum(factor.norm() for factor in low)
            optimizer.zero_grad()
            loss.backward()
            norms.append(float(nn.utils.clip_grad_norm_(trained, clip or float("inf"))))
            optimizer.step()
        for factor in low:
            factor.requires_grad_(False)
        a, b, head, offset = ends[task]
        for number, block in enumerate(model.blocks):
            aq, bq, av, bv = block.attn.qkv.parts[task]
            ours = (a[2 * number], b[2 * number], a[2 * number + 1], b[2 * number + 1])
            assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(ours, (aq, bq, av, bv), strict=True))
        assert torch.allclose(head, weight, atol=1e-5) and torch.allclose(offset, bias, atol=1e-5)
        first += len(weight)
    assert not clip or min(norms) < clip < max(norms), "some steps are clipped, and others are not"


def test_earlier_additions_heads_and_the_backbone_are_frozen(learn: Learn) -> None:
    learner = make(OLoRA, **FAST)
    one, three = (
        found for found in learn(learner, tiny_stream(), 3, lambda it, view: state.clone(it.get_state()))[::2]
    )
    for key in ("a", "b"):
        assert len(three["lora"][key]) == 3
        assert all(torch.equal(x, y) for x, y in zip(one["lora"][key][0], three["lora"][key][0], strict=True))
    assert all(b.any() for slot in three["lora"]["b"] for b in slot)
    assert torch.equal(one["head"]["weights"][0], three["head"]["weights"][0])
    assert learner.backbone.is_pristine
    assert {site.start // 16 for site in learner.lora.sites} == {0, 2}, "queries and values"
    assert learner.lora.scale == 32 / 2


def test_the_penalty_makes_the_additions_orthogonal(learn: Learn) -> None:
    found = {}
    for weight in (0.0, 0.5):
        learner = make(OLoRA, **{**FAST, "epochs": 6, "lr": 0.005}, orthogonality=weight)
        learn(learner, tiny_stream(), 2)
        found[weight] = float(learner.overlap())
    assert found[0.5] < 0.5 * found[0.0]


def test_there_is_no_penalty_in_the_first_task() -> None:
    learner = make(OLoRA, **FAST)
    learner.setup(tiny_stream().info)
    learner.lora.grow(torch.Generator())
    assert float(learner.overlap()) == 0.0
    assert float(learner.length()) == pytest.approx(sum(float(a.norm()) for a in learner.lora.a[0]), rel=1e-5)
    learner.lora.grow(torch.Generator().manual_seed(3))
    products = [one @ two.T for one, two in zip(learner.lora.a[0], learner.lora.a[1], strict=True)]
    assert float(learner.overlap()) == pytest.approx(float(sum(p.abs().sum() for p in products)), rel=1e-5)


def test_the_defaults_are_those_of_the_authors_scripts() -> None:
    o = OLoRA.Options()
    assert (o.epochs, o.batch_size, o.lr, o.rank, o.alpha, o.dropout) == (1, 64, 1e-3, 8, 32.0, 0.1)
    assert (o.orthogonality, o.penalty, o.l2, o.weight_decay, o.clip) == (0.5, "absolute", 0.0, 0.0, 1.0)


def test_gradients_are_clipped_at_the_norm_of_the_trainer(learn: Learn, fits: list[dict[str, Any]]) -> None:
    for clip, expected in ((1.0, 1.0), (0.0, None)):
        learn(make(OLoRA, **FAST, clip=clip), tiny_stream(), 1)
        assert fits[-1]["clip"] == expected
