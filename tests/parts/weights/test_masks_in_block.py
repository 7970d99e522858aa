"""The weights of one block."""

from __future__ import annotations

import pytest

from cl.errors import UsageError
from cl.parts.weights import in_block
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone


def test_the_last_block_or_a_named_one() -> None:
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert in_block(tiny_backbone()) == tuple(f"blocks.1.{layer}.weight" for layer in layers)
    assert in_block(tiny_backbone(), "blocks.0") == tuple(f"blocks.0.{layer}.weight" for layer in layers)
    assert in_block(conv_backbone()) == ("fc.weight",) and in_block(conv_backbone(), "conv1") == ("conv1.weight",)
    with pytest.raises(UsageError, match=r"block=layer9 has no weights of its own to mask; .* is in blocks.1"):
        in_block(tiny_backbone(), "layer9")
