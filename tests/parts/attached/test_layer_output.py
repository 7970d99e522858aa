"""Other outputs of a named layer: where they go, which layers there are, and passes that begin at the layer."""

from __future__ import annotations

import pytest
import torch
from timm.models import create_model
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached import LayerOutput
from cl.parts.attached.layer_output import brief
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone


def images(count: int = 5) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def outputs_of(backbone: Backbone, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """The input and the output of a layer."""
    found: list[Tensor] = []
    hook = backbone.model.get_submodule(name).register_forward_hook(lambda _, args, out: found.extend((args[0], out)))
    with torch.no_grad():
        backbone(x)
    hook.remove()
    return found[0], found[1]


def test_an_empty_name_is_the_last_block_or_the_last_layer() -> None:
    assert LayerOutput(tiny_backbone(depth=4)).name == "blocks.3"
    assert LayerOutput(conv_backbone()).name == "bn2"


def test_a_layer_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"layer=blocks.9: backbone tiny has no such layer .* blocks.1-3, .*norm\.$"):
        LayerOutput(tiny_backbone(depth=4), "blocks.9")
    with pytest.raises(UsageError, match=r"layer=blocks\.0:"):
        LayerOutput(tiny_backbone(), "blocks.0")  # the class token at its input is the same for all images


def test_names_are_told_with_ranges() -> None:
    assert brief(["stem", "a.0.b", "a.1.b", "a.3.b", "a.1", "norm"]) == "stem, a.0-3.b, a.1, norm"


def test_its_own_output_changes_no_feature() -> None:
    for backbone, name in ((tiny_backbone(), "blocks.1"), (conv_backbone(), "fc")):
        backbone.eval()
        layer, x = LayerOutput(backbone, name), images()
        own = layer.query(outputs_of(backbone, name, x)[1])
        with torch.no_grad():
            assert torch.equal(layer.features(backbone, x, own), backbone(x)), name
            assert not torch.equal(layer.features(backbone, x, own + 1), backbone(x)), name
        assert "forward" not in vars(layer.module)


def test_a_value_takes_the_place_of_the_class_token_or_of_all_tokens() -> None:
    for whole in (False, True):
        layer = LayerOutput(tiny_backbone(depth=3), "blocks.1", whole=whole)
        output, values = outputs_of(layer.backbone, "blocks.1", images())[1], torch.randn(5, layer.value_width)
        put = layer.put(output, values)
        assert torch.equal(put[:, 0], values) and put.shape == output.shape
        assert torch.equal(put[:, 1:], values[:, None].expand_as(output)[:, 1:] if whole else output[:, 1:])


def test_of_feature_maps_the_query_is_the_mean_and_a_value_goes_everywhere() -> None:
    layer = LayerOutput(conv_backbone(), "conv2")
    given, output = outputs_of(layer.backbone, "conv2", images())
    assert (layer.width, layer.value_width) == (4, 6)
    assert torch.allclose(layer.query(given), given.mean((2, 3)))
    assert torch.equal(layer.put(output, torch.ones(5, 6)), torch.ones_like(output))


def test_queries_are_the_inputs_of_the_layer_and_end_the_pass_there() -> None:
    backbone = tiny_backbone(depth=3)
    layer = LayerOutput(backbone, "blocks.1")
    query = layer.input_of(backbone)
    last = backbone.model.get_submodule("blocks.2")
    vars(last)["forward"] = None  # never called
    with torch.no_grad():
        found = query(images())
    del vars(last)["forward"]
    assert torch.equal(found, outputs_of(backbone, "blocks.1", images())[0][:, 0]) and query.dim == 16
    key = query.key
    with torch.no_grad():
        backbone.model.get_parameter("norm.bias").add_(1)
    assert key != layer.input_of(backbone).key != LayerOutput(backbone, "blocks.2").input_of(backbone).key


class Writing(nn.Module):
    """A network that writes into what its layers return, before and after them."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act, self.conv2 = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x))
        x += 1
        out: Tensor = self.conv2(x)
        out += x
        return out.relu_().mean((2, 3))


def writing() -> Backbone:
    like = conv_backbone()
    return Backbone(Writing(), like.transform, {**like.identity, "dim": 4})


@pytest.mark.parametrize(("make", "name"), [(lambda: tiny_backbone(depth=3), "blocks.1.mlp.fc2"), (writing, "conv2"),
                                            (conv_backbone, "fc")])  # fmt: skip
def test_passes_that_begin_at_the_layer_are_whole_passes(make, name: str) -> None:  # type: ignore[no-untyped-def]
    backbone, x = make().eval(), images()
    layer = LayerOutput(backbone, name)
    held = layer.held(backbone, x)
    values = nn.Parameter(held.value + 0.3)
    calls: list[nn.Module] = []
    hooks = [each.register_forward_pre_hook(lambda module, args: calls.append(module)) for each in backbone.modules()]
    with held.skipped():
        skipped = backbone(x)
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        plain = backbone(x)
    assert torch.equal(held.features, plain) and torch.allclose(skipped, plain, atol=1e-6)
    for _ in range(2):  # what is kept is not written into
        with held.skipped(values):
            ours = backbone(x)
        whole = layer.features(backbone, x, values)
        assert torch.allclose(ours, whole, atol=1e-6)
        one, two = (torch.autograd.grad(each.sum(), values)[0] for each in (ours, whole))
        assert torch.allclose(one, two, atol=1e-6) and float(one.abs().max()) > 0


def test_a_layer_that_looks_its_inputs_up_gives_values_to_some_images_only() -> None:
    backbone, x = tiny_backbone(depth=3), images()
    layer, hit = LayerOutput(backbone, "blocks.1"), torch.tensor([False, True, False, True, False])
    values = torch.randn(5, layer.value_width)
    asked: list[Tensor] = []
    with torch.no_grad():
        with layer.looked_up(lambda query: (asked.append(query) or hit, values)):  # type: ignore[func-returns-value]
            found = backbone(x)
        assert torch.equal(found[~hit], backbone(x)[~hit])
        assert torch.equal(found[hit], layer.features(backbone, x, values)[hit])
        assert torch.equal(asked[0], layer.input_of(backbone)(x))


def test_means_are_the_queries_of_tokens_without_a_class_token() -> None:
    model = create_model("test_vit", num_classes=0, global_pool="avg", class_token=False, img_size=32)
    like = tiny_backbone()
    backbone = Backbone(model.eval(), type(like.transform)(32, (0.5,) * 3, (0.5,) * 3), {**like.identity, "dim": 64})
    layer = LayerOutput(backbone, "blocks.0")
    x = torch.randn(3, 3, 32, 32)
    given, output = outputs_of(backbone, "blocks.0", x)
    assert torch.allclose(layer.query(given), given.mean(1))
    assert torch.equal(layer.put(output, torch.ones(3, 64)), torch.ones_like(output))


def timm_backbone(name: str, size: int = 64) -> Backbone:
    like = tiny_backbone()
    model = create_model(name, pretrained=False, num_classes=0).eval()
    dim = model.num_features
    return Backbone(model, type(like.transform)(size, (0.5,) * 3, (0.5,) * 3), {**like.identity, "dim": dim})


@pytest.mark.parametrize(("name", "last"), [("test_mambaout", True), ("test_convnext", False)])
def test_maps_with_channels_last_are_read_by_their_channels(name: str, last: bool) -> None:
    backbone, x = timm_backbone(name), torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layer = LayerOutput(backbone)
    given, output = outputs_of(backbone, layer.name, x)
    over, channels = ((1, 2), -1) if last else ((2, 3), 1)
    assert given.ndim == 4 and (layer.width, layer.value_width) == (given.shape[channels], output.shape[channels])
    assert torch.equal(layer.query(given), given.mean(over)) and torch.equal(layer.value(output), output.mean(over))
    put = layer.put(output, layer.value(output))
    assert put.shape == output.shape and torch.allclose(put.mean(over), output.mean(over), atol=1e-5)
    assert torch.equal(layer.input_of(backbone)(x), layer.query(given))


class Cubes(nn.Module):
    """A network whose map has as many channels as rows and columns, in a block that does not say which are which."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.block = nn.Conv2d(3, 4, 2, 2), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.block(self.conv(x)).mean((2, 3))
        return found


def test_a_block_whose_maps_do_not_say_where_their_channels_are_is_refused() -> None:
    like = conv_backbone()
    backbone = Backbone(Cubes(), like.transform, {**like.identity, "dim": 4})
    assert LayerOutput(backbone).name == "block.0", "a convolution says it"
    with pytest.raises(UsageError, match=r"layer=block: .* has no such layer .*; it has conv, block\.0\.$"):
        LayerOutput(backbone, "block")
