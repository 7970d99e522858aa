"""The ResNets for CIFAR against G-U-N/ECCV22-FOSTER @555c7f0: features, batch norms and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cl.backbone import cifar_resnet
from tests.help.oracles import Oracle


@pytest.mark.parametrize("name", ["resnet20", "resnet32"])
def test_features_and_gradients(name: str) -> None:
    oracle = Oracle("forward-resnet-cifar-a")
    model: nn.Module = getattr(cifar_resnet, f"{name}_cifar")(num_classes=0)
    given = np.random.RandomState(oracle.meta["seed"])
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            drawn = torch.from_numpy(given.standard_normal(parameter.shape))
            if parameter.ndim == 4:
                parameter.copy_(drawn * (2 / (9 * len(parameter))) ** 0.5)
            else:
                parameter.copy_(0.1 * drawn + float(key.endswith("weight")))
    x = oracle.images("images")
    features = model.train()(x)
    oracle.compare("forward", features, oracle.tensor(f"{name}/train"))
    (features.square().sum() / 2).backward()
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    oracle.compare("forward", torch.stack(norms), oracle.tensor(f"{name}/gradients"), "gradients")
    with torch.no_grad():
        for _ in range(oracle.meta["passes"] - 1):
            model(x)
        oracle.compare("forward", model.eval()(x), oracle.tensor(f"{name}/eval"))
