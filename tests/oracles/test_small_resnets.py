"""The reduced ResNet-18 of TAG against pranshu28/TAG @187d4df: features in evaluation and training, batch norms."""

from __future__ import annotations

import torch

from cl.backbone.small_resnets import ReducedResNet, resnet18_tag_32
from tests.help.oracles import Oracle


def test_the_network_of_tag() -> None:
    oracle = Oracle("forward-resnet-tag-a")
    model = ReducedResNet(oracle.meta["width"], single=True)
    ours = {name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}
    theirs = {f"body.{name.replace('.bn1.0.', '.bn1.').replace('.bn2.0.', '.bn2.')}": tensor
              for name, tensor in oracle.group("net").items()}  # fmt: skip
    assert ours.keys() == theirs.keys()
    model.load_state_dict(theirs, strict=False)
    with torch.no_grad():
        oracle.compare("forward", model.eval()(oracle.tensor("x")), oracle.tensor("eval"))
        oracle.compare("forward", model.train()(oracle.tensor("x")), oracle.tensor("train"))
    after = model.state_dict()
    for name, tensor in oracle.group("after").items():
        own = f"body.{name.replace('.bn1.0.', '.bn1.').replace('.bn2.0.', '.bn2.')}"
        oracle.compare("training", after[own], tensor)
    assert sum(p.numel() for p in resnet18_tag_32().parameters()) == oracle.meta["parameters"]
