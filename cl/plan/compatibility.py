"""Whether a strategy supports the setting of a stream, and a probe.

Imports no torch: a plan refuses an unsupported combination before anything expensive happens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cl import registry
from cl.errors import Incompatible, UsageError
from cl.family import argument_of, family_of
from cl.options import options_of
from cl.protocol import BLURRY, RETURNING, SETTINGS
from cl.settings import LEFT_OUT


def setting_of(stream: str, options: Any) -> str:
    """The setting of a stream with these options, known before it is built."""
    return str(family_of(stream).setting_of(options, argument_of(stream)))


def version_of(stream: str) -> str:
    """The version of a stream's definition; for a declared stream it covers the declaration."""
    return str(family_of(stream).version_of(argument_of(stream)))


def check(strategy: str, options: Any, stream: str, stream_options: Any, also: Sequence[str] = ()) -> None:
    """Raise `Incompatible` if a strategy with these options does not support the stream's setting or one of `also`, or
    tasks of it whose images may have several classes.

    `also` are the settings that transform the stream. The base of a wrapper is checked too.
    """
    setting = setting_of(stream, stream_options)
    asked = (*((BLURRY, setting.removeprefix(f"{RETURNING} ")) if setting.startswith(RETURNING) else (setting,)), *also)
    method = registry.strategies.get(strategy)
    several = family_of(stream).multi_label_of(stream_options, argument_of(stream))
    if several and not getattr(method, "multi_label", False):
        raise Incompatible(f"{strategy} {one_class_only(stream, several)}.")
    supports = getattr(method, "supports", None)
    if supports is not None and (wrong := [each for each in asked if not supports(each, options)]):
        able = [each for each in SETTINGS if supports(each, options)]
        returns = wrong[0] == BLURRY and setting.startswith(RETURNING)
        what = "has classes that return in later tasks" if returns else f"is {wrong[0]}"
        can = f"; `clbench recommend --setting {BLURRY}` names strategies for it" if returns else ""
        raise Incompatible(
            f"Stream {stream} {what}, which {strategy} cannot learn with these options; it can: "
            f"{', '.join(able) or 'nothing'}. Choose another strategy or stream{can}."
        )
    for key, info in options_of(method.Options).items():
        if info.nested == "base":
            base = registry.strategies.get(options.base)
            check(options.base, base.Options(**getattr(options, key)), stream, stream_options, also)


def one_class_only(stream: str, several: Sequence[str]) -> str:
    """Why a strategy cannot learn a stream in whose tasks `several` an image may have several classes, and the fix."""
    names = ", ".join(several[:3]) + (f" and {len(several) - 3} more" if len(several) > 3 else "")
    return f"learns one class per image, and images of {names} of {stream} may have several; {LEFT_OUT}"


def check_probe(probe: str | None, strategy: str, options: Any, *, last_only: bool = False) -> None:
    """Check the option `probe` of a run: a name, not a path, and a method with one network.

    Raises `UsageError` for what is no name, and `Incompatible` for a method that no probe can measure.
    """
    if probe is None:
        if last_only:
            raise UsageError("--probe-last says when a probe is measured; name its dataset with --probe.")
        return
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", probe) is None:
        raise UsageError(
            f"--probe takes the name of a dataset, such as tinyimagenet_60 for tinyimagenet_60.npz in a folder of "
            f"CLBENCH_DATA_PATH, or of a stream, not {probe[:100]!r}."
        )
    method = registry.strategies.get(strategy)
    if not getattr(method, "one_network", True):
        raise Incompatible(
            f"{strategy} does not predict with one network, which --probe could measure: it has one for every task, or "
            "chooses parts for every image; leave --probe out, or choose another strategy."
        )
    for key, info in options_of(method.Options).items():
        if info.nested == "base":
            base = registry.strategies.get(options.base)
            check_probe(probe, options.base, base.Options(**getattr(options, key)))
