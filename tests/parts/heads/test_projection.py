"""SSF, visual prompts, a second set of weights, random projections and ridge regression, against hand-made ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.attached.scale_shift import SITES, ScaleShift
from cl.parts.attached.visual_prompts import VisualPrompts
from cl.parts.heads.projection import RIDGES, RandomProjection, RidgeRegression, _eigen, choose_ridge
from cl.parts.weights.tuned_weights import TunedWeights
from cl.testing import tiny_backbone
from cl.training import state


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def images(count: int = 5) -> Tensor:
    return draw(count, 3, 8, 8, seed=5)


MAKE: dict[str, Callable[[Backbone], nn.Module]] = {
    "ssf": lambda backbone: ScaleShift(backbone, rng()),
    "vpt-deep": lambda backbone: VisualPrompts(backbone, 3, deep=True),
    "vpt-shallow": lambda backbone: VisualPrompts(backbone, 3, deep=False),
    "weights": TunedWeights,
}
every = pytest.mark.parametrize("kind", MAKE)


def filled(kind: str, backbone: Backbone) -> Any:
    part = MAKE[kind](backbone).double()
    with torch.no_grad():
        for number, parameter in enumerate(part.parameters()):
            parameter.add_(0.3 * draw(*parameter.shape, seed=number))
    return part


def attention(attn: Any, x: Tensor, qkv: Callable[[Tensor], Tensor], proj: Callable[[Tensor], Tensor]) -> Tensor:
    """Attention [B, N, d], head by head."""
    width, out = attn.head_dim, []
    q, k, v = qkv(x).chunk(3, -1)
    for head in range(attn.num_heads):
        cut = slice(head * width, (head + 1) * width)
        weights = (q[..., cut] @ k[..., cut].mT / width**0.5).softmax(-1)
        out.append(weights @ v[..., cut])
    return proj(torch.cat(out, -1))


# ----------------------------------------------------------------------------------------------------- what all share


@every
def test_parts_leave_the_backbone_pristine_and_every_parameter_trains(kind: str) -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    before, plain = state.clone(dict(backbone.state_dict())), backbone(x)
    part = filled(kind, backbone).requires_grad_(True)
    features = part(backbone, x)
    assert features.shape == plain.shape and not torch.allclose(features, plain, atol=1e-3)
    features.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    assert torch.equal(backbone(x), plain) and backbone.is_pristine
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all("forward" not in vars(module) for module in backbone.modules())
    assert all(p.grad is None for p in backbone.parameters())


@every
def test_images_do_not_see_each_other_and_states_come_back(kind: str) -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    part = filled(kind, backbone)
    together = part(backbone, x)
    assert torch.allclose(torch.cat([part(backbone, one[None]) for one in x]), together, atol=1e-10)
    other = MAKE[kind](backbone).double()
    other.load_state_dict(state.clone(part.state_dict()))
    assert torch.equal(other(backbone, x), together)


@pytest.mark.parametrize("kind", ["ssf", "vpt-deep", "vpt-shallow"])
def test_a_network_without_blocks_is_refused(kind: str) -> None:
    with pytest.raises(UsageError, match="choose a timm Vision Transformer"):
        MAKE[kind](load("resnet18@random"))


# ----------------------------------------------------------------------------------------------------- one by one


def test_scale_and_shift_stand_after_every_operation() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    part, model = filled("ssf", backbone), cast(Any, backbone.model)

    def after(name: str) -> Callable[[Tensor], Tensor]:
        number, module = part.names.index(name), model.get_submodule(name)
        return lambda t: module(t) * part.scales[number] + part.shifts[number]

    stream = model._pos_embed(after("patch_embed")(x))
    for n, block in enumerate(model.blocks):
        at = {name: after(f"blocks.{n}.{name}") for name in SITES}
        stream = stream + attention(block.attn, at["norm1"](stream), at["attn.qkv"], at["attn.proj"])
        stream = stream + at["mlp.fc2"](F.gelu(at["mlp.fc1"](at["norm2"](stream))))
    assert torch.allclose(part(backbone, x), after("norm")(stream)[:, 0], atol=1e-10)
    assert len(part.names) == 2 + 6 * 2 and [len(part.scales[n]) for n in (2, 5, 6)] == [48, 64, 16]


def test_scales_are_drawn_around_one_and_shifts_around_zero() -> None:
    backbone = tiny_backbone(depth=6, dim=24, heads=3)
    part, x = ScaleShift(backbone, rng()), images().float()
    for values, centre in ((part.scales, 1.0), (part.shifts, 0.0)):
        drawn = torch.cat([value.detach() for value in values])
        assert abs(drawn.mean() - centre) < 0.003 and 0.018 < drawn.std() < 0.022
    assert not torch.equal(part(backbone, x), backbone(x)), "fresh SSF is not neutral"
    with torch.no_grad():
        for scale, shift in zip(part.scales, part.shifts, strict=True):
            scale.fill_(1)
            shift.zero_()
    assert torch.equal(part(backbone, x), backbone(x))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("deep", [True, False])
def test_prompts_stand_at_the_end_and_leave(deep: bool, depth: int) -> None:
    backbone, x = tiny_backbone(depth=depth).double(), images()
    part, model = filled("vpt-deep" if deep else "vpt-shallow", backbone), cast(Any, backbone.model)
    stream = model._pos_embed(model.patch_embed(x))
    own = stream.shape[1]
    for n, block in enumerate(model.blocks):
        if deep or n == 0:
            stream = torch.cat([stream, part.tokens[n].expand(len(x), -1, -1)], 1)
        stream = stream + attention(block.attn, block.norm1(stream), block.attn.qkv, block.attn.proj)
        stream = stream + block.mlp(block.norm2(stream))
        if deep or n == depth - 1:
            stream = stream[:, :own]
    assert torch.allclose(part(backbone, x), model.norm(stream)[:, 0], atol=1e-10)
    assert part.tokens.shape == (depth if deep else 1, 3, 16)


@pytest.mark.parametrize("deep", [True, False])
def test_fresh_prompts_are_zero_and_still_take_part_in_attention(deep: bool) -> None:
    backbone, x = tiny_backbone().double(), images()
    part = VisualPrompts(backbone, 3, deep).double()
    assert not part.tokens.any() and not torch.allclose(part(backbone, x), backbone(x), atol=1e-6)


def test_prompts_leave_before_tokens_are_averaged() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    cast(Any, backbone.model).global_pool = "avg"
    part = filled("vpt-shallow", backbone)
    tokens: list[Tensor] = []
    cast(Any, backbone.model).norm.register_forward_hook(lambda module, args, out: tokens.append(out))
    part(backbone, x)
    assert tokens[0].shape[1] == 5


def test_fresh_weights_change_nothing_and_trained_ones_are_a_network_of_their_own() -> None:
    backbone, x = tiny_backbone(depth=2), images().float()
    part = TunedWeights(backbone)
    assert torch.equal(part(backbone, x), backbone(x))
    with torch.no_grad():
        for number, tensor in enumerate(part.tensors):
            tensor.add_(0.1 * draw(*tensor.shape, seed=number).float())
    other = copy.deepcopy(backbone)
    other.model.load_state_dict(dict(zip(part.names, part.tensors, strict=True)), strict=False)
    assert torch.equal(part(backbone, x), other(x)) and not torch.equal(other(x), backbone(x))
    assert set(part.names) == set(dict(backbone.model.named_parameters()))


# ----------------------------------------------------------------------------------------------------- regression


def problem(images: int, width: int, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features that tell something of the labels, in random order."""
    labels = torch.arange(images) % classes
    h = draw(images, width, seed=seed) + draw(classes, width, seed=seed + 1)[labels]
    return h.relu(), labels


def brute_force(h: Tensor, labels: Tensor, generator: torch.Generator) -> dict[float, float]:
    """The definition: the squared error on the rest of one solution per penalty, in NumPy."""
    order = torch.randperm(len(h), generator=generator).numpy()
    cut = int(0.8 * len(h))
    train, rest = order[:cut], order[cut:]
    x, y = h.numpy(), np.eye(int(labels.max()) + 1)[labels.numpy()]
    errors = {}
    for ridge in RIDGES:
        gram = x[train].T @ x[train] + ridge * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[train].T @ y[train])
        errors[ridge] = float(np.square(x[rest] @ weights - y[rest]).mean())
    return errors


@pytest.mark.parametrize(("count", "width"), [(60, 8), (60, 40), (30, 90), (11, 200)])
def test_the_penalty_is_the_best_on_held_out_rows(count: int, width: int) -> None:
    chosen = set()
    for seed in range(6):
        h, labels = problem(count, width, seed=seed)
        errors, ridge = brute_force(h, labels, rng(seed)), choose_ridge(h, labels, rng(seed))
        chosen.add(ridge)
        assert errors[ridge] <= min(errors.values()) * (1 + 1e-3), "small penalties tie where there are few images"
    assert chosen <= set(RIDGES) and max(chosen) < 1e8


def test_the_penalty_knows_only_its_own_task_and_its_seed() -> None:
    h, labels = problem(40, 30)
    assert choose_ridge(h, labels + 7, rng(1)) == choose_ridge(h, labels, rng(1)), "columns of other classes are zero"
    assert len({choose_ridge(*problem(14, 30), rng(seed)) for seed in range(12)}) > 1, "the split is drawn"
    with pytest.raises(UsageError, match="--set ridge"):
        choose_ridge(h[:1], labels[:1], rng())


def test_directions_that_no_image_has_are_none_for_rounding_either() -> None:
    x = 1e4 * draw(5, 20)
    values, vectors = _eigen(x.T @ x)
    assert int((values > 0).sum()) == 5 and int((values == 0).sum()) == 15
    assert torch.allclose(vectors @ values.diag() @ vectors.T, x.T @ x)


def sums(h: Tensor, labels: Tensor, parts: int, dtype: torch.dtype = torch.float64) -> RidgeRegression:
    found = RidgeRegression(h.shape[1], dtype, torch.device("cpu"))
    for x, y in zip(h.to(dtype).chunk(parts), labels.chunk(parts), strict=True):
        found.add(x, y, 3)
    return found


def test_adding_halves_is_adding_once_and_the_matrix_is_symmetric_and_positive() -> None:
    h, labels = problem(50, 20)
    once, twice = sums(h, labels, 1), sums(h, labels, 2)
    assert torch.allclose(once.gram, twice.gram, atol=1e-12) and torch.allclose(once.cross, twice.cross, atol=1e-12)
    for dtype in (torch.float32, torch.float64):
        gram = sums(h, labels, 3, dtype).gram
        assert torch.equal(gram, gram.T)
        assert torch.linalg.eigvalsh(gram).min() > -1e-5 * gram.diagonal().max()
    assert torch.allclose(once.gram, h.T @ h, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_state_is_a_triangle_and_comes_back_to_the_bit(dtype: torch.dtype) -> None:
    h, labels = problem(50, 33)
    one, two = sums(h, labels, 2, dtype), RidgeRegression(33, dtype, torch.device("cpu"))
    kept = state.clone(one.get_state())
    assert kept["gram"].shape == (33 * 34 // 2,) and state.nbytes(kept) < one.gram.nbytes
    two.set_state(kept)
    assert torch.equal(one.gram, two.gram) and torch.equal(one.cross, two.cross)
    assert torch.equal(one.solve(0.1)[0], two.solve(0.1)[0])


def test_the_solution_is_exact_and_a_penalty_too_small_for_rounding_is_raised() -> None:
    h, labels = problem(50, 20)
    weights, used = sums(h, labels, 1).solve(0.1)
    expected = np.linalg.solve(h.T.numpy() @ h.numpy() + 0.1 * np.eye(20), h.T.numpy() @ np.eye(3)[labels])
    assert np.allclose(weights, expected, atol=1e-12) and used == 0.1
    doubled = torch.cat([h, 1000 * h], 1)
    weights, used = sums(doubled, labels, 1, torch.float32).solve(1e-8)
    assert 1e-8 < used < 1e3 and bool(torch.isfinite(weights).all())
    with pytest.raises(UsageError, match="not finite"):
        sums(h * float("nan"), labels, 1).solve(1.0)


def test_the_projection_is_drawn_from_a_standard_normal_and_rectified() -> None:
    part, features = RandomProjection(16, 4000, rng()), draw(5, 16)
    assert abs(part.matrix.mean()) < 0.01 and abs(part.matrix.std() - 1) < 0.01
    assert torch.equal(part.matrix, RandomProjection(16, 4000, rng()).matrix)
    assert np.allclose(part(features), np.maximum(features.numpy() @ part.matrix.double().numpy(), 0))
    assert torch.allclose(part(3 * features), 3 * part(features)), "features are not normalised"
