"""SLM against Pbihao/SLM @bef385c: weights of slots, changes of layers, features, and the loss of the keys."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.parts.attached import GroupedKeys, LoRA
from tests.help.oracles import Oracle

ORACLE = Oracle("slm-a")


def keys_of(values: Tensor) -> GroupedKeys:
    keys = GroupedKeys(values.shape[0] * values.shape[2], values.shape[0])
    keys.set_state({"rows": [values]})
    return keys


def slots(count: int) -> LoRA:
    """The first slots of the file, on the layers that the code changes."""
    meta = ORACLE.meta
    part = LoRA(
        ORACLE.backbone(), meta["rank"], ("attn.proj",), slots=count, generator=torch.Generator().manual_seed(0)
    )
    tall, wide = ORACLE.tensor("a"), ORACLE.tensor("b")
    part.set_state(
        {
            "a": [[wide[slot, layer] for layer in range(wide.shape[1])] for slot in range(count)],
            "b": [[tall[slot, layer].mT.contiguous() for layer in range(tall.shape[1])] for slot in range(count)],
        }
    )
    return part


@pytest.mark.parametrize(("case", "key"), [("all", "pool"), ("first", "first")])
def test_every_image_has_the_changes_and_features_of_the_code(case: str, key: str) -> None:
    """The code masks slots of tasks that are left out; ours are not there yet."""
    count, backbone = ORACLE.meta[key], ORACLE.backbone()
    keys, part = keys_of(ORACLE.tensor("keys")[:, :count].contiguous()), slots(count)
    images = ORACLE.images("pixels/0")
    with torch.no_grad():
        queries = backbone(images)
        weights = keys.weights(queries, ORACLE.meta["top"])
        features = part(backbone, images, weights)
    ORACLE.compare("forward", queries, ORACLE.tensor("queries"))
    ORACLE.compare("forward", features, ORACLE.tensor(f"{case}/features"))
    for image, offsets in enumerate(ORACLE.tensor(f"{case}/offset")):
        found = list(part.deltas(weights[image]).values())
        for ours, theirs in zip(found, offsets, strict=True):
            ORACLE.compare("forward", ours, theirs)


def test_keys_are_pulled_as_by_the_code() -> None:
    keys = keys_of(ORACLE.tensor("fit/keys"))
    values = keys.rows[0].requires_grad_(True)
    loss = keys.pull(ORACLE.tensor("queries"), ORACLE.meta["key_top"], dropout=-1.0)
    loss.backward()
    ORACLE.compare("loss", loss, ORACLE.tensor("fit/loss"))
    ORACLE.compare("loss", values.grad, ORACLE.tensor("fit/gradient"))
