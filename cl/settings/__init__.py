"""Settings that change how the images of any stream arrive: long-tailed, blurry boundaries, online.

Each is a pure function Stream -> Stream that keeps the dataset and its test images. All draws use the data seed.
Importing this module imports neither NumPy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cl.errors import UsageError
from cl.options import DEFAULT, Layer, Value, option, options_of, resolve

if TYPE_CHECKING:
    from cl.stream import Stream

LONG_TAILED, I_BLURRY, SI_BLURRY, ONLINE = SETTINGS = ("long-tailed", "i-blurry", "si-blurry", "online")
"""The settings by name, in the order in which they are applied."""

NEEDS = {LONG_TAILED: "long-tailed", I_BLURRY: "blurry", SI_BLURRY: "blurry", ONLINE: "online"}
"""The member of `cl.protocol.SETTINGS` that a strategy must support."""

LEFT_OUT = "leave such tasks out with --set stream.multi_label=skip"
"""What a user can do where tasks with several classes per image do not fit."""


@dataclass(frozen=True)
class SettingOptions:
    """Options that every stream has in addition to those of its family."""

    setting: tuple[str, ...] = option(
        (), "one or more settings: long-tailed, blurry boundaries, online", choices=SETTINGS, unlisted=True
    )
    imbalance: float = option(
        100.0, "long-tailed: training images of the most frequent class / of the rarest class", ge=1, unlisted=True
    )
    tail: str = option(
        "ordered", "long-tailed: classes become rarer in the order of learning, or in a random order (shuffled)",
        choices=("ordered", "shuffled"), unlisted=True,
    )  # fmt: skip
    disjoint: float = option(
        0.5, "blurry: share of the classes whose images are all in one task (N of i-Blurry-N-M)",
        ge=0, le=1, unlisted=True,
    )  # fmt: skip
    blur: float = option(
        0.1, "blurry: share of the other classes' images that are spread over all tasks (M of i-Blurry-N-M)",
        ge=0, le=1, unlisted=True,
    )  # fmt: skip
    chunk: int = option(10, "online: images per chunk; each image arrives once", ge=1, unlisted=True)
    evaluate_every: int | None = option(
        None, "online: images between additional evaluations within tasks", ge=1, unlisted=True
    )


OPTIONS_OF: Mapping[str, tuple[str, ...]] = {
    LONG_TAILED: ("imbalance", "tail"),
    I_BLURRY: ("disjoint", "blur"),
    SI_BLURRY: ("disjoint", "blur"),
    ONLINE: ("chunk", "evaluate_every"),
}
"""The options of each setting."""


def resolve_stream(
    family_options: type, layers: Iterable[Layer], prefix: str = "stream."
) -> tuple[Any, SettingOptions, dict[str, Value]]:
    """Resolve layers into options of a family and options of the settings; every value with its origin.

    Raises `UsageError` for an unknown key or a wrong value, for two kinds of blur, and for an option of a setting that
    was not chosen.
    """
    known, layers = set(options_of(SettingOptions)) - set(options_of(family_options)), list(layers)
    split = [_split(layer, known) for layer in layers]
    options: Any
    options, resolved = resolve(family_options, [theirs for theirs, _ in split], prefix=prefix)
    chosen, own = resolve(SettingOptions, [ours for _, ours in split], prefix=prefix)
    _check(chosen, {key for _, (_, given) in split for key in given}, prefix)
    values, in_force = asdict(chosen), _in_force(chosen)
    own |= {prefix + key: Value(values[key], DEFAULT) for key in in_force if prefix + key not in own}
    return options, chosen, {**resolved, **own}


def needed(options: SettingOptions) -> tuple[str, ...]:
    """The settings that a strategy must declare in `settings` for these options."""
    return tuple(NEEDS[name] for name in SETTINGS if name in options.setting)


def usual(options: SettingOptions, method: Any) -> dict[str, Any]:
    """Defaults of a method's options in these settings.

    In an online stream a method makes one pass over each chunk (`epochs` is 1); an upper bound that may read the past
    keeps its default.
    """
    once = ONLINE in options.setting and "epochs" in options_of(method.Options) and method.access != "past"
    return {"epochs": 1} if once else {}


def transform(stream: Stream, options: SettingOptions, data_seed: int) -> Stream:
    """The stream in the chosen settings; the same stream if none is chosen.

    Raises `UsageError` if a setting does not fit the stream.
    """
    from cl.settings.blurry import i_blurry, si_blurry
    from cl.settings.long_tailed import long_tailed
    from cl.settings.online import online

    o = options
    if o.setting and stream.multi_label:
        raise UsageError(
            f"The setting {o.setting[0]} deals the images of a class, and those of {stream.multi_label[0]} may have "
            f"several classes; {LEFT_OUT}."
        )
    if LONG_TAILED in o.setting:
        stream = long_tailed(stream, o.imbalance, shuffled=o.tail == "shuffled", seed=data_seed)
    if I_BLURRY in o.setting:
        stream = i_blurry(stream, o.disjoint, o.blur, seed=data_seed)
    if SI_BLURRY in o.setting:
        stream = si_blurry(stream, o.disjoint, o.blur, seed=data_seed)
    if ONLINE in o.setting:
        stream = online(stream, o.chunk, o.evaluate_every, seed=data_seed)
    return stream


def _split(layer: Layer, known: set[str]) -> tuple[Layer, Layer]:
    origin, values = layer
    theirs = {key: value for key, value in values.items() if key not in known}
    return (origin, theirs), (origin, {key: value for key, value in values.items() if key in known})


def _in_force(options: SettingOptions) -> list[str]:
    return list(dict.fromkeys(key for name in SETTINGS if name in options.setting for key in OPTIONS_OF[name]))


def _check(options: SettingOptions, given: set[str], prefix: str) -> None:
    if I_BLURRY in options.setting and SI_BLURRY in options.setting:
        raise UsageError("A stream is blurred once; choose either i-blurry or si-blurry.")
    for key in sorted(given - {"setting", *_in_force(options)}):
        owners = [name for name in SETTINGS if key in OPTIONS_OF[name]]
        raise UsageError(
            f"{prefix}{key} belongs to the setting {_or(owners)}; add --setting {owners[0]} or leave it out."
        )


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)
