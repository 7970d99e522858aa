"""Networks and streams for strategies that refuse those of the workbench."""

from __future__ import annotations

from typing import Any

_PLAIN = "mlp_2x100_28@random"

NETWORK = {"hat": "wsn_lenet@random", "vcl": _PLAIN, "claw": _PLAIN}
"""A chain of layers without norms and attention, by strategy; the workbench has a Vision Transformer."""

STREAM: dict[str, dict[str, Any]] = {"grace": {"stream.setting": "i-blurry"}}
"""Options of a stream whose classes come back, by strategy; those of the workbench do not."""
