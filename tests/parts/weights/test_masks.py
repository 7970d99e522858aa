"""Scores and masks over weights, batch norms by task, and the coding of masks."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone, load, wsn_networks
from cl.backbone.options import BackboneOptions
from cl.backbone.transform import Transform
from cl.errors import DataError, UsageError
from cl.parts.statistics.batch_norms import TaskStatistics, batch_statistics
from cl.parts.weights.lend import Lent, under
from cl.parts.weights.mask_coding import (
    Coded,
    capacity,
    coded_bits,
    compression_rate,
    decode,
    encode,
    masks_in,
    symbols,
)
from cl.parts.weights.masks import (
    Scores,
    TaskMasks,
    best,
    maskable,
    pack,
    selected,
    straight_through,
    unpack,
)
from cl.testing import tiny_backbone


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Net(nn.Module):
    """Two convolutions and a linear layer, with dropout and batch norms of both kinds."""

    num_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)
        self.conv2, self.drop = nn.Conv2d(4, 6, 3), nn.Dropout(0.5)
        self.fc, self.bn2 = nn.Linear(6 * 16, 5, bias=False), nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.bn2(self.fc(F.relu(self.conv2(x)).flatten(1)))
        return out


def conv_backbone(seed: int = 0) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Net()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    identity = {
        **{"name": "net", "weights_sha256": f"random-{seed}", "parameters": parameters, "dim": Net.num_features},
        **{"input": {"size": 8}, "pretraining": "none"},
    }
    return Backbone(model, Transform(8, (0.5,) * 3, (0.5,) * 3), identity)


def images(count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=generator(seed))


# ----------------------------------------------------------------------------------------------- choosing the best


@pytest.mark.parametrize("share", [0.03, 0.05, 0.1, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("count", [1, 2, 7, 100, 1001])
def test_the_kept_are_n_minus_k_plus_one_with_the_largest_score(share: float, count: int) -> None:
    scores = torch.randn(count, generator=generator(count))
    k = 1 + round((1 - share) * (count - 1))
    kept = best(scores, share)
    assert int(kept.sum()) == count - k + 1
    assert kept.all() or scores[kept].abs().min() > scores[~kept].abs().max()


def test_the_size_of_a_score_counts_not_its_sign_and_ties_at_the_edge_are_kept() -> None:
    assert best(torch.tensor([-3.0, 2.0, -1.0, 0.5]), 1 / 3).tolist() == [True, True, False, False]
    assert best(torch.tensor([1.0, -1.0, 1.0, 0.0]), 0.3).tolist() == [True, True, True, False]


def test_gradients_pass_straight_through() -> None:
    """grad s = sign(s) theta grad W, and grad theta = m grad W, for a linear layer."""
    backbone = tiny_backbone()
    scores = Scores(backbone, generator(), ["blocks.0.mlp.fc1.weight"])
    (weight,), (s,) = scores.weights(backbone), scores.values
    weight.requires_grad_(True)
    s.requires_grad_(True)
    (mask,) = scores.choose(0.3)
    product = weight * mask
    product.retain_grad()
    under(backbone, {scores.names[0]: product}, images()).square().sum().backward()
    assert product.grad is not None and weight.grad is not None and s.grad is not None
    assert product.grad.abs().min() > 0, "the test must see every weight"
    assert torch.equal(s.grad, s.detach().sign() * weight.detach() * product.grad)
    assert torch.equal(weight.grad, mask.detach() * product.grad)
    assert torch.equal(mask.detach(), best(s, 0.3).float())


def test_straight_through_gives_the_mask_exactly_whatever_the_scores() -> None:
    scores = torch.randn(1000, generator=generator()) * 1e4
    mask = torch.rand(1000, generator=generator(2))
    assert torch.equal(straight_through(mask, scores), mask)


# ------------------------------------------------------------------------------------------------ layers and passes


def test_what_is_masked() -> None:
    assert maskable(conv_backbone()) == ("conv1.weight", "conv2.weight", "fc.weight")
    names = maskable(tiny_backbone(depth=2))
    assert len(names) == 8 and all(name.startswith("blocks.") for name in names)
    assert {name.removesuffix(".weight").split(".", 2)[2] for name in names} == {
        *("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }
    none = conv_backbone()
    none.model.conv1 = none.model.conv2 = none.model.fc = nn.Identity()
    with pytest.raises(UsageError, match="no layers whose weights can be masked"):
        maskable(none)


@pytest.mark.parametrize("make", [conv_backbone, tiny_backbone])
def test_a_masked_pass_is_the_pass_of_a_model_with_zeros(make: Any) -> None:
    backbone = make()
    scores = Scores(backbone, generator())
    scores.choose(0.4)
    zeroed = copy.deepcopy(backbone)
    for name, mask in zip(scores.names, scores.masks, strict=True):
        zeroed.model.get_parameter(name).data[~mask] = 0
    before = copy.deepcopy(backbone.state_dict())
    found = scores(backbone, images(), scores.masks)
    assert torch.equal(found, zeroed(images())) and not torch.equal(found, backbone(images()))
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert backbone.is_pristine


def test_scores_are_drawn_as_weights_are_and_from_the_generator_alone() -> None:
    backbone = conv_backbone()
    one, two = Scores(backbone, generator(3)), Scores(backbone, generator(3))
    for a, b, weight in zip(one.values, two.values, one.weights(backbone), strict=True):
        bound = 1 / math.sqrt(weight[0].numel())  # kaiming uniform with a = sqrt 5
        assert torch.equal(a, b) and a.shape == weight.shape and 0.8 * bound < float(a.abs().max()) <= bound
    assert not one.training and not any(value.requires_grad for value in one.values)


def test_a_subnetwork_is_known_by_the_weights_that_it_uses() -> None:
    backbone = conv_backbone()
    scores = Scores(backbone, generator())
    scores.choose(0.5)

    def now() -> Lent:
        return Lent(backbone, selected(scores.names, scores.weights(backbone), scores.masks))

    keys, features = [now().key], [now()(images())]
    weight, mask = scores.weights(backbone)[0], scores.masks[0]
    for change in (~mask, mask):
        with torch.no_grad():
            weight[change] = -weight[change]  # zero times a negative weight is -0: another one in its bits
        keys.append(now().key)
        features.append(now()(images()))
    assert keys[0] == keys[1] != keys[2] and torch.equal(features[0], features[1])
    with torch.no_grad():
        backbone.model.get_parameter("conv2.bias").add_(1)  # not masked, and it matters
    assert now().key not in keys


# ------------------------------------------------------------------------------------------------- masks of tasks


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_masks_are_packed_and_back_exactly(count: int) -> None:
    mask = torch.rand(count, generator=generator(count)) < 0.4
    packed = pack(mask)
    assert packed.dtype == torch.uint8 and len(packed) == -(-count // 8)
    assert torch.equal(unpack(packed, mask.shape), mask)
    assert packed.tolist() == np.packbits(mask.numpy(), bitorder="little").tolist()


def test_masks_of_tasks_and_their_union() -> None:
    shapes = [torch.Size((3, 5)), torch.Size((2, 2, 2))]
    masks = TaskMasks(shapes)
    given = [[torch.rand(shape, generator=generator(task)) < 0.3 for shape in shapes] for task in range(3)]
    assert masks.density == 0 and not any(taken.any() for taken in masks.union())
    for task in given:
        masks.add(task)
    assert all(torch.equal(a, b) for task in range(3) for a, b in zip(masks[task], given[task], strict=True))
    union = [given[0][i] | given[1][i] | given[2][i] for i in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(masks.union(), union, strict=True))
    assert masks.density == sum(int(taken.sum()) for taken in union) / 23
    other = TaskMasks(shapes)
    other.set_state(masks.get_state())
    assert len(other) == 3 and all(torch.equal(a, b) for a, b in zip(other[1], masks[1], strict=True))


# ---------------------------------------------------------------------------------------------------- batch norms


def test_batch_statistics_normalise_by_the_batch_and_leave_no_trace() -> None:
    backbone, reference = conv_backbone(), conv_backbone()
    for name in ("bn1", "bn2"):
        reference.model.get_submodule(name).train()
    x = images()
    with batch_statistics(backbone):
        assert torch.equal(backbone(x), reference(x))
        assert torch.isfinite(backbone(x[:1])).all(), "one image has no variance"
        backbone.train()
        backbone(x)
    assert backbone.is_pristine


def test_statistics_of_a_task_are_those_of_its_images_without_dropout() -> None:
    backbone, reference = conv_backbone(), conv_backbone()
    statistics, x = TaskStatistics(backbone), images(8)
    statistics.add(backbone, [x], backbone)
    statistics.add(backbone, [2 * x, -x], backbone)
    for name in ("bn1", "bn2"):
        reference.model.get_submodule(name).train()
    assert torch.allclose(under(backbone, statistics.of(0), x), reference(x), atol=1e-5)
    assert not torch.allclose(under(backbone, statistics.of(1), x), reference(x), atol=1e-2)
    first = F.conv2d(torch.cat([2 * x, -x]), backbone.model.get_parameter("conv1.weight"))
    mean = statistics.of(1)["bn1.running_mean"]
    assert torch.allclose(mean, first.mean((0, 2, 3)), atol=1e-6)
    other = TaskStatistics(backbone)
    other.set_state(statistics.get_state())
    assert torch.equal(other.of(1)["bn2.running_var"], statistics.of(1)["bn2.running_var"])
    assert backbone.is_pristine


def test_a_vision_transformer_has_no_statistics() -> None:
    backbone = tiny_backbone()
    statistics = TaskStatistics(backbone)
    statistics.add(backbone, [images()], lambda x: pytest.fail("no pass is needed"))
    assert statistics.of(0) == {} and isinstance(backbone.model, VisionTransformer)


# --------------------------------------------------------------------------------------------------------- coding


def random_masks(count: int, density: float, tasks: int = 7) -> list[np.ndarray]:
    draw = np.random.default_rng(count).random
    return [draw((count,)) < density for _ in range(tasks)]


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 9, 5000])
@pytest.mark.parametrize("tasks", [1, 3, 7])
def test_masks_are_coded_and_back_exactly(count: int, density: float, tasks: int) -> None:
    masks = random_masks(count, density, tasks)
    found = symbols(masks)
    coded = encode(found)
    back = decode(coded)
    assert np.array_equal(back, found)
    assert all(np.array_equal(a, b) for a, b in zip(masks_in(back, tasks), masks, strict=True))
    assert len(coded.stream) == -(-coded_bits(found) // 8)


def test_the_first_mask_is_the_least_significant_bit() -> None:
    assert symbols([np.array([True, False]), np.array([True, True])]).tolist() == [3, 2]


def test_codes_are_as_short_as_huffmans_and_free_of_prefixes() -> None:
    counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144]  # Fibonacci: the deepest tree
    found = np.repeat(np.arange(12), counts).astype(np.uint16)
    np.random.default_rng(0).shuffle(found)
    coded = encode(found)
    assert coded.lengths[:12].tolist() == [11, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert sum(2.0 ** -int(length) for length in coded.lengths if length) == 1, "Kraft: nothing is wasted"
    assert np.array_equal(decode(coded), found)
    assert coded_bits(found) == sum(c * int(length) for c, length in zip(counts, coded.lengths, strict=False))
    assert decode(Coded(coded.stream, coded.lengths, 0)).tolist() == []


def test_skewed_masks_are_compressed_and_even_ones_are_not() -> None:
    skewed, even = random_masks(20000, 0.05), random_masks(20000, 0.5)
    entropy = -(0.05 * math.log2(0.05) + 0.95 * math.log2(0.95))
    rate = compression_rate([skewed])
    assert 1 - entropy - 0.02 < rate <= 1 - entropy + 0.01
    assert abs(compression_rate([even])) < 0.01
    assert compression_rate([]) == 0.0
    blocks = compression_rate([random_masks(20000, 0.05, 9)])  # a block of seven tasks and one of two
    two = coded_bits(symbols(random_masks(20000, 0.05, 9)[7:]))
    seven = coded_bits(symbols(random_masks(20000, 0.05, 9)[:7]))
    assert blocks == 1 - (two + seven) / (9 * 20000)


def test_capacity() -> None:
    """The paper's figures are of this size: c = 0.5 on ten tasks of CIFAR-100 gives 99.13 percent."""
    assert capacity(0.9, 10, 0.78) == pytest.approx(0.9 + 0.22 * 10 / 32)
    assert capacity(1.0, 40, 0.0) == pytest.approx(2.25)


# -------------------------------------------------------------------------------------- networks from scratch


@pytest.mark.parametrize(
    ("name", "dim", "weights"),
    [("wsn_alexnet", 2048, 6_499_328), ("wsn_lenet", 500, 2_986_500), ("wsn_resnet18", 640, 1_090_140)],
)
def test_networks_from_scratch(name: str, dim: int, weights: int) -> None:
    backbone = load(f"{name}@random", seed=1)
    assert name in wsn_networks.default_cfgs and backbone.dim == dim
    assert backbone.identity["parameters"] == weights, "weights of convolutions and linear layers, nothing else"
    assert len(maskable(backbone)) == len(list(backbone.model.parameters()))
    assert all(not norm.affine for norm in backbone.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm))
    assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, dim)
    larger = load(f"{name}@random", BackboneOptions(image_size=40))
    assert larger(torch.zeros(2, 3, 40, 40)).shape == (2, larger.dim)


def test_alexnet_drops_out_as_in_the_paper_and_has_no_weights_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    net = wsn_networks.AlexNet(num_classes=10)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.2, 0.5, 0.5, 0.5]
    assert net.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10) and net.head.bias is None
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    with pytest.raises(DataError, match="wsn_alexnet"):
        load("wsn_alexnet")
