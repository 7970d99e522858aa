"""OML and its control against khurramjaved96/mrcl @2855a6b: meta steps, and the online passes after them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.strategies.oml import OML
from cl.training.fit import FitSpec
from tests.help.oracles import Oracle, half, identity, losses_of, names, replay

LAYERS = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")


class Net(nn.Module):
    """relu(conv1: 3 x 3, stride 2), relu(conv2: 2 x 2), flattened."""

    num_features = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.conv1(x)))).flatten(1)


def network(oracle: Oracle) -> Backbone:
    model = Net()
    model.load_state_dict({name: oracle.tensor(f"init/{name}") for name in LAYERS})
    return Backbone(model, half(8), identity(oracle.name, 24))


def given_rows(oracle: Oracle) -> Any:
    """The drawn rows of each meta step in the place of ours, and its images."""
    drawn, batches = iter(oracle.tensor("rows")), iter(oracle.tensor("batches/0"))

    def data(task: int, spec: FitSpec) -> Any:
        vars(spec.data)["draw"] = lambda rng: next(batches)
        return spec.data

    def redraw(head: Any) -> Any:
        def rows(classes: Tensor, rng: torch.Generator) -> None:
            with torch.no_grad():
                head.last.weight[classes] = next(drawn)

        return rows

    return data, redraw


@pytest.mark.parametrize("name", names("train-oml"))
def test_meta_training_and_the_online_passes_end_in_the_same_weights(name: str) -> None:
    oracle, done = Oracle(name), []
    meta, (data, redraw) = oracle.meta, given_rows(oracle)

    def begin(learner: Any, task: int, phase: str) -> None:
        if phase == "meta-training":
            learner.head.load_state_dict({k: v for k, v in oracle.group("init").items() if k[:4] in ("firs", "last")})
            vars(learner.head)["redraw_rows"] = redraw(learner.head)
        elif task == 0:
            for key, value in oracle.group("meta").items():  # the head is drawn again before the online pass
                if key in LAYERS:
                    oracle.compare("training", learner.backbone.model.get_parameter(key), value)
            learner.head.load_state_dict(oracle.group("online"))

    def after(learner: OML, task: int) -> None:
        for key, value in oracle.group(f"final/{task}").items():
            held: Any = learner.backbone.model if key in LAYERS else learner.head
            oracle.compare("training", held.get_parameter(key), value)
        pixels = torch.cat([oracle.tensor("pixels/0"), oracle.tensor("pixels/1")])
        oracle.compare("forward", learner.predict_images(pixels), oracle.tensor(f"logits/{task}"))
        done.append(task)

    learner = replay(
        OML, oracle, {"meta-training": data}, begin=begin, after=after, backbone=network(oracle),
        tasks=meta["classes_per_trajectory"], clip=0.0, random=max(meta["random"], 1),
        **{key: meta[key] for key in (
            "outer", "meta_steps", "meta_lr", "inner_lr", "inner_steps", "others", "hidden", "lr",
        )},
    )  # fmt: skip
    oracle.compare("loss", losses_of(learner)[0, "meta-training"], oracle.tensor("loss/0"))
    assert done == [0, 1]


def test_inner_steps_of_the_files_change_the_loss() -> None:
    for name in names("train-oml"):
        oracle = Oracle(name)
        assert float((oracle.tensor("loss/0") - oracle.tensor("before/0")).abs().max()) > 0.1
