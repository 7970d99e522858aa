"""The text tower of a CLIP: captions to unit vectors in the space of the image tower's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone.attention import without_fast_path

Tokenize = Callable[..., Tensor]


class TextTower(nn.Module):
    """A frozen text tower of open_clip: `text(text.tokens(captions))` gives unit vectors [N, dim] in float32.

    A method may train prompts for it (`cl.parts.attached.clip_prompts`), not its weights: they are no part of a
    learner's state. `tower` is open_clip's `CLIP` or `TextTransformer`, `tokenize` its tokenizer.
    """

    def __init__(self, tower: Any, tokenize: Tokenize) -> None:
        super().__init__()
        self.embedding: nn.Embedding = tower.token_embedding
        self.positions: nn.Parameter = tower.positional_embedding
        self.blocks = cast(list[nn.Module], tower.transformer.resblocks)  # typed by what it holds
        self.norm: nn.Module = tower.ln_final
        self.projection: Any = tower.text_projection
        self.causal = tower.attn_mask is not None
        self.precision = torch.float32
        self._tokenize = tokenize
        self.eval().requires_grad_(False)

    @property
    def width(self) -> int:
        """Width of a token."""
        return self.positions.shape[1]

    @property
    def context(self) -> int:
        """Tokens of the longest caption, with its first and its last one."""
        return len(self.positions)

    def tokens(self, captions: Sequence[str], room: int = 0) -> Tensor:
        """Tokens [N, longest] of captions; a longer one is cut so that `room` prompts fit beside it.

        A tower without a causal mask, such as MobileCLIP's, reads its padding too and gets all of it.
        """
        found = self._tokenize(list(captions), context_length=self.context - room)
        if not self.causal:
            return found.to(self.positions.device)
        longest = int(found.argmax(1).max()) + 1 if len(found) else 0  # the end has the largest number
        return found[:, :longest].to(self.positions.device)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        return self.encode(x + self.positions[: x.shape[1]], tokens.argmax(1))

    def encode(
        self, x: Tensor, at: Tensor, enter: Callable[[int, Tensor], tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """Unit vectors [N, dim] of embedded captions [N, S, width] that end at the tokens `at` [N].

        `enter(layer, x)` may change the tokens before a layer; it returns them and where captions end now.
        """
        with torch.autocast(x.device.type, self.precision, enabled=self.precision != torch.float32):
            with without_fast_path():
                for layer, block in enumerate(self.blocks):
                    if enter is not None:
                        x, at = enter(layer, x)
                    x = block(x, attn_mask=self._mask(x))
            x = self.norm(x[torch.arange(len(x), device=x.device), at])
            if isinstance(self.projection, nn.Linear):
                x = self.projection(x)
            elif self.projection is not None:
                x = x @ self.projection
        return F.normalize(x if x.dtype == torch.float64 else x.float(), dim=-1)

    def _mask(self, x: Tensor) -> Tensor | None:
        length = x.shape[1]
        return x.new_full((length, length), float("-inf")).triu(1) if self.causal else None
