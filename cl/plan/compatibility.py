"""Settings of streams, which of them a strategy is right on, and the prediction rules that they ask for.

Imports no torch: a plan refuses what does not fit before anything heavy is touched.
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
    """The version of a stream's definition; a declared one tells how its declaration reads."""
    return str(family_of(stream).version_of(argument_of(stream)))


def check(strategy: str, options: Any, stream: str, stream_options: Any, also: Sequence[str] = ()) -> None:
    """Raise `Incompatible` where a strategy with these options is not right on the stream, or in the settings `also`
    that it is put into; a wrapper asks its base."""
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
