"""Whether a strategy supports the setting of a stream.

Imports no torch: a plan refuses an unsupported combination before anything expensive happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl import registry
from cl.errors import Incompatible
from cl.family import argument_of, family_of
from cl.options import options_of
from cl.protocol import SETTINGS


def setting_of(stream: str, options: Any) -> str:
    """The setting of a stream with these options, known before it is built."""
    return str(family_of(stream).setting_of(options, argument_of(stream)))


def version_of(stream: str) -> str:
    """The version of a stream's definition; for a declared stream it covers the declaration."""
    return str(family_of(stream).version_of(argument_of(stream)))


def check(strategy: str, options: Any, stream: str, stream_options: Any, also: Sequence[str] = ()) -> None:
    """Raise `Incompatible` if a strategy with these options does not support the stream's setting or one of `also`.

    `also` are the settings that transform the stream. The base of a wrapper is checked too.
    """
    asked = (setting_of(stream, stream_options), *also)
    method = registry.strategies.get(strategy)
    supports = getattr(method, "supports", None)
    if supports is not None and (wrong := [each for each in asked if not supports(each, options)]):
        able = [each for each in SETTINGS if supports(each, options)]
        raise Incompatible(
            f"Stream {stream} is {wrong[0]}, which {strategy} cannot learn with these options; it can: "
            f"{', '.join(able) or 'nothing'}. Choose another strategy or stream."
        )
    for key, info in options_of(method.Options).items():
        if info.nested == "base":
            base = registry.strategies.get(options.base)
            check(options.base, base.Options(**getattr(options, key)), stream, stream_options, also)
