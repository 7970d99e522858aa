"""The embedded backbone: a small Vision Transformer for 32 px images; its weights are in the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

WEIGHTS = Path(__file__).with_name("weights") / "vit_micro_patch4_32.safetensors"
"""The model card next to it, vit_micro_patch4_32.md, gives data, recipe, terms and measurements."""

default_cfgs = generate_default_cfgs(
    {
        "vit_micro_patch4_32.tinyimagenet_distill": {
            "file": str(WEIGHTS),
            "input_size": (3, 32, 32),
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "num_classes": 0,
            "classifier": "head",
            "first_conv": "patch_embed.proj",
            "license": "mit",
        }
    }
)


@register_model
def vit_micro_patch4_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT for 32 px: width 192, depth 6, 3 heads, patches of 4 px (2.7 M parameters), weights embedded."""
    settings: dict[str, Any] = {"img_size": 32, "patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 3}
    settings |= {"pretrained_filter_fn": checkpoint_filter_fn}  # resamples the position embedding for other sizes
    return build_model_with_cfg(VisionTransformer, "vit_micro_patch4_32", pretrained, **{**settings, **kwargs})
