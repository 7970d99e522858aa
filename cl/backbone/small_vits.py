"""Small Vision Transformers for 32 px without pretrained weights: the widths of the study of architectures.

The study (Mirzadeh et al. 2022) names its networks by width and hidden units of the MLP, 512/1024 and 1024/1546. Four
blocks, four heads and patches of 4 px are our reading; its text was not at hand.
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer

from cl.backbone.from_scratch import configuration

default_cfgs = generate_default_cfgs(
    {
        name: configuration(32, grey=False, first="patch_embed.proj")
        for name in ("vit_128_256_patch4_32", "vit_512_1024_patch4_32", "vit_1024_1546_patch4_32")
    }
)


def _vit(name: str, pretrained: bool, kwargs: dict[str, Any], width: int, hidden: int) -> VisionTransformer:
    shape: dict[str, Any] = {"img_size": 32, "patch_size": 4, "embed_dim": width, "depth": 4, "num_heads": 4}
    return build_model_with_cfg(VisionTransformer, name, pretrained, **{**shape, "mlp_ratio": hidden / width, **kwargs})


@register_model
def vit_128_256_patch4_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT 128/256 for 32 px: 4 blocks, 4 heads, patches of 4 px (0.54 M parameters, 128 features)."""
    return _vit("vit_128_256_patch4_32", pretrained, kwargs, 128, 256)


@register_model
def vit_512_1024_patch4_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT 512/1024 for 32 px: 4 blocks, 4 heads, patches of 4 px (8.5 M parameters, 512 features)."""
    return _vit("vit_512_1024_patch4_32", pretrained, kwargs, 512, 1024)


@register_model
def vit_1024_1546_patch4_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT 1024/1546 for 32 px: 4 blocks, 4 heads, patches of 4 px (29.6 M parameters, 1,024 features)."""
    return _vit("vit_1024_1546_patch4_32", pretrained, kwargs, 1024, 1546)
