"""What NEVIS'22's baselines are made of: rounds of steps, warm-up, networks kept, weights drawn anew."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from cl.backbone import load
from cl.backbone.options import BackboneOptions
from cl.errors import UsageError
from cl.parts.weights.kept_networks import Networks
from cl.parts.weights.lend import Lent
from cl.testing import tiny_backbone
from cl.training.batches import Batch, Rng, TensorBatches
from cl.training.generators import generator
from cl.training.optim import WarmupCosine, When
from cl.training.rounds import Rounds
from tests.help.backbones import conv_backbone


def named(*purpose: str | int, epoch: int) -> torch.Generator:
    return generator(0, epoch, *purpose)


def rounds_of(rounds: Rounds, epoch: int, start: int = 0) -> list[list[int]]:
    def rng(*purpose: str | int, epoch: int = epoch) -> torch.Generator:
        return named(*purpose, epoch=epoch)

    return [batch.y.tolist() for batch in rounds.epoch(epoch, rng, start)]


def source(count: int = 10, size: int = 4) -> TensorBatches:
    return TensorBatches(torch.zeros(count, 1), torch.arange(count), size)


def plain(total: int) -> Iterator[list[int]]:
    """Batches of the source's own epochs."""
    for step in range(total):
        epoch, within = divmod(step, 3)

        def rng(*purpose: str | int, epoch: int = epoch) -> torch.Generator:
            return named(*purpose, epoch=epoch)

        yield next(iter(source().epoch(epoch, rng, within))).y.tolist()


@pytest.mark.parametrize(("total", "size"), [(7, 2), (7, 3), (7, 7), (7, 100), (2, 1), (1, 1), (6, 4)])
def test_rounds_are_the_sources_own_epochs_however_they_are_cut(total: int, size: int) -> None:
    rounds = Rounds(source(), total, size)
    found = [rounds_of(rounds, epoch) for epoch in range(rounds.count)]
    assert [batch for each in found for batch in each] == list(plain(total))
    assert [len(each) for each in found[:-1]] == [min(size, total)] * (rounds.count - 1) and found[-1]
    assert rounds.steps == min(size, total)
    for epoch, each in enumerate(found):
        for start in range(len(each) + 1):
            assert rounds_of(rounds, epoch, start) == each[start:], "resumed at any step"


def test_a_source_is_asked_for_no_more_than_is_used() -> None:
    class Endless:
        steps = 5
        given = 0

        def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
            for step in range(start, self.steps):
                self.given += 1
                yield Batch(torch.zeros(1), torch.tensor([step]))

    endless = Endless()
    assert rounds_of(Rounds(endless, 3, 3), 0) == [[0], [1], [2]] and endless.given == 3


def test_warm_up_then_half_a_cosine() -> None:
    schedule = WarmupCosine(warmup=4, total=12, minimum=0.1)
    rates = [schedule(When(step // 3, step % 3, 4, 3)) for step in range(12)]
    assert rates[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert rates[8] == pytest.approx(0.1 + 0.9 / 2) and schedule(When(4, 0, 4, 3)) == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert WarmupCosine(0, 1)(When(0, 0, 1, 1)) == 1 and math.isfinite(WarmupCosine(1, 1)(When(0, 1, 1, 2)))


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_weights_are_drawn_anew_as_an_untrained_backbone_has_them() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = (load("test_resnet@random") for _ in range(3))
    for backbone, seed in ((one, 4), (two, 5), (other, 6)):
        backbone.redraw(seed)
    assert torch.equal(torch.rand(1), expected), "the global generator stays where it is"
    one.train()
    one(torch.randn(4, 3, 64, 64))  # statistics move
    one.redraw(5)
    states = [backbone.model.state_dict() for backbone in (one, two, other)]
    assert same(states[0], states[1]), "statistics too"
    assert not same(states[0], states[2])
    assert not one.is_pristine and one.key == two.key != other.key
    with pytest.raises(UsageError, match="backbone net cannot be drawn anew"):
        conv_backbone().redraw(0)


def test_kept_networks_answer_as_they_did_under_their_old_name() -> None:
    backbone, images = tiny_backbone(), torch.randn(3, 3, 8, 8)
    networks, expected, keys = Networks(torch.device("cpu")), [], []
    for seed in (1, 2):
        backbone.redraw(seed)
        networks.add(backbone)
        keys.append(backbone.key)
        expected.append(backbone(images))
    backbone.redraw(3)
    for index in range(2):
        network = networks.extractor(index, backbone)
        assert torch.equal(network(images), expected[index]) and network.key == keys[index] and network.lasting
    assert torch.equal(Lent(backbone, key=backbone.key)(images), backbone(images))
    other = Networks(torch.device("cpu"))
    other.set_state(networks.get_state())
    other.put_back(1, backbone)
    assert torch.equal(backbone(images), expected[1]) and backbone.key == keys[1] and len(other) == 2


@pytest.mark.parametrize(("name", "parameters"), [("resnet18_64", 11_168_832), ("resnet34_64", 21_276_992)])
def test_the_networks_of_the_paper(name: str, parameters: int) -> None:
    backbone = load(f"{name}@random", BackboneOptions())
    assert backbone.identity["parameters"] == parameters and backbone.dim == 512
    assert backbone.transform.size == 64 and backbone.transform.mean == backbone.transform.std == (0.5,) * 3
    maps = []
    backbone.model.layer4.register_forward_hook(lambda module, given, made: maps.append(made.shape[-2:]))  # type: ignore[union-attr]
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 512)
    assert tuple(maps[0]) == (8, 8), "3 x 3 stem without pooling"
