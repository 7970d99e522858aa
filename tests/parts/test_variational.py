"""Gaussians over weights: their draws, their distance, factors of units, and networks that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts import variational
from cl.parts.variational import Layers, MeanField, adapted, gaussian_layers, scaled
from cl.testing import tiny_backbone
from cl.training import state
from tests.help.backbones import chain_backbone, conv_backbone


class Convolutions(nn.Module):
    """A convolution with stride and padding, one that sees all places, and a linear layer."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.Conv2d(4, 5, 2, stride=2)
        self.fc = nn.Linear(5 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.conv2(self.conv1(x).relu()).relu().flatten(1))
        return out


def convolutions() -> Backbone:
    torch.manual_seed(0)
    held = chain_backbone()
    return Backbone(Convolutions(), held.transform, {**held.identity, "dim": 3})


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(5))


def field(layers: Layers, log_variance: float = -3.0) -> MeanField:
    found = MeanField(log_variance)
    found.begin(layers)
    return found


def test_the_draws_of_a_linear_layer_have_the_distribution_of_drawn_weights() -> None:
    torch.manual_seed(1)
    layer, x = nn.Linear(5, 2), torch.randn(4, 5)
    gaussian, copies = field({"fc": layer}, 0.0), 20_000
    with torch.no_grad():
        for value in gaussian.log_variances.values():
            value.normal_(-1, 0.5)
        deviations = [gaussian.log_variances[f"fc.{kind}"].exp().sqrt() for kind in ("weight", "bias")]
        weight = layer.weight + deviations[0] * torch.randn(copies, 2, 5)
        bias = layer.bias + deviations[1] * torch.randn(copies, 2)
        drawn = torch.einsum("kod,bd->kbo", weight, x) + bias[:, None]
        with gaussian.sampling({"fc": layer}, copies):
            ours = layer(x).unflatten(0, (copies, -1))
    torch.testing.assert_close(ours.mean(0), drawn.mean(0), atol=0.08, rtol=0)
    torch.testing.assert_close(ours.std(0), drawn.std(0), atol=0, rtol=0.05)


def test_a_convolution_has_the_variance_of_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.Conv2d(3, 4, 3, stride=2, padding=1), images()
    gaussian = field({"conv": layer})
    found = []
    for size in (0.0, 1.0):
        monkeypatch.setattr(variational, "normal", lambda shape, like, generator, size=size: torch.full(shape, size))
        with torch.no_grad(), gaussian.sampling({"conv": layer}, 1):
            found.append(layer(x))
    torch.testing.assert_close(found[0], layer(x))
    patches = torch.nn.functional.unfold(x, 3, padding=1, stride=2)  # [B, 27, places]
    expected = (torch.exp(torch.tensor(-3.0)) * (patches.square().sum(1) + 1)).sqrt().view(3, 1, 4, 4)
    torch.testing.assert_close(found[1] - found[0], expected.expand(-1, 4, -1, -1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backbone", [chain_backbone, convolutions])
def test_the_first_layer_is_computed_once_and_images_share_draws_with_a_generator(backbone: Any) -> None:
    network = backbone()
    layers = gaussian_layers(network)
    gaussian, sizes = field(layers), []
    first = next(iter(layers))
    own = variational._applied

    def noted(layer: nn.Module, x: Tensor, *tensors: Any) -> Tensor:
        sizes.append((layer is layers[first], len(x)))
        return own(layer, x, *tensors)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(variational, "_applied", noted)
        with gaussian.sampling(layers, 7, generator=torch.Generator().manual_seed(0)):
            all_three = network(images()).unflatten(0, (7, -1))
    assert set(sizes) == {(True, 3), (False, 21)}
    with torch.no_grad(), gaussian.sampling(layers, 7, generator=torch.Generator().manual_seed(0)):
        alone = network(images()[1:2])
    torch.testing.assert_close(alone, all_three[:, 1])
    with torch.no_grad(), gaussian.sampling(layers, 7):
        same = network(images()[:1].repeat(2, 1, 1, 1)).unflatten(0, (7, 2))
    assert not torch.allclose(same[:, 0], same[:, 1]), "in training every image has draws of its own"
    assert "forward" not in vars(layers[first])


def test_the_distance_is_that_of_the_distributions_and_never_negative() -> None:
    layers = {"a": nn.Linear(4, 3), "b": nn.Conv2d(2, 2, 1, bias=False)}
    gaussian = field(layers)
    gaussian.end()
    assert not gaussian.prior
    gaussian.begin(layers)
    assert float(gaussian.kl(layers).detach()) == 0 and len(gaussian.prior) == 3, "the prior is the distribution before"
    new = nn.Linear(3, 2)
    gaussian.begin({"new": new})
    layers = {**layers, "new": new}
    expected = 0.0
    with torch.no_grad():
        for name, value in gaussian.log_variances.items():
            value.add_(torch.randn(value.shape))
            layer, kind = name.split(".")
            mean = getattr(layers[layer], kind)
            before = mean.clone(), torch.full_like(mean, -3.0)
            mean.add_(torch.randn(mean.shape) / 5)
            centre, log = (torch.zeros_like(mean),) * 2 if layer == "new" else before
            one, two = Normal(mean, value.exp().sqrt()), Normal(centre, log.exp().sqrt())
            expected += float(kl_divergence(one, two).sum())
    found = float(gaussian.kl(layers).detach())
    assert found == pytest.approx(expected, rel=1e-5) and found > 0


def test_factors_multiply_units_at_the_input_of_the_next_layer() -> None:
    network = convolutions()
    layers = gaussian_layers(network)
    head = nn.Linear(3, 2)
    every, gaussian = {**layers, "head": head}, field({**layers, "head": head})
    widths, draws = (4, 5, 3), []
    given = [torch.rand(2, width) for width in widths]
    for factors in ([], [torch.ones(2, width) for width in widths], given):
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad(), gaussian.sampling(every, 2, factors=factors, generator=rng):
            draws.append(head(network(images())))
    assert torch.equal(draws[0], draws[1]), "factors of 1 change no bit"
    assert not torch.allclose(draws[0], draws[2])
    with torch.no_grad():
        one = [factor[:1] for factor in given]
        with adapted(every, one):
            found = head(network(images()))
        model: Any = network.model
        x = model.conv1(images()).relu() * one[0].view(1, -1, 1, 1)
        x = model.conv2(x).relu().flatten(1) * one[1].repeat_interleave(4, 1)
        torch.testing.assert_close(found, head(model.fc(x) * one[2]))
    spread = scaled(torch.ones(4, 4), given[0][:, :2]).view(2, 2, 4)
    assert torch.equal(spread[:, 1], given[0][:, :2].repeat_interleave(2, 1))


@pytest.mark.parametrize(
    ("backbone", "problem"),
    [
        (conv_backbone, r"backbone net has bn1\.running_mean in a BatchNorm2d; .* such as mlp_2x256_28@random"),
        (tiny_backbone, r"in a VisionTransformer; distributions are over the weights of plain linear layers"),
    ],
)
def test_other_networks_are_refused(backbone: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        gaussian_layers(backbone())


def test_the_state_is_restored_in_place_and_grows() -> None:
    layers = {"a": nn.Linear(4, 3)}
    gaussian = field(layers, -2.0)
    held, other = gaussian.log_variances["a.weight"], field(layers, -5.0)
    gaussian.set_state(state.clone(other.get_state()))
    assert gaussian.log_variances["a.weight"] is held and float(held[0, 0]) == -5
    empty = MeanField(-1.0)
    empty.set_state(state.clone(gaussian.get_state()))
    assert torch.equal(empty.log_variances["a.bias"], gaussian.log_variances["a.bias"])
    assert float(empty.kl(layers)) == float(gaussian.kl(layers))


def test_a_state_is_restored_on_the_device_of_the_run() -> None:
    saved = state.clone(field({"a": nn.Linear(4, 3)}).get_state())
    fresh = MeanField(-3.0, "meta")
    fresh.set_state(saved)
    held = [*fresh.log_variances.values(), *(each for pair in fresh.prior.values() for each in pair)]
    assert len(held) == 6 and all(each.device.type == "meta" for each in held)
