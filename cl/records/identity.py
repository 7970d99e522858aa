"""The config hash, equal for two runs of the same configuration, and the identity of everything that a run reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any


def config_hash(
    strategy: tuple[str, str], stream: tuple[str, str], backbone: str, values: Mapping[str, Any],
    *, precision: str, limited: bool, max_tasks: int | None, compiled: bool = False,
    probe: tuple[str, bool] | None = None, sealed: bool = False, stop_below: Sequence[float] = (),
    parent: tuple[str, int, bool] | None = None,
) -> str:  # fmt: skip
    """Eight hex digits over everything that changes a result, except seeds; part of the path of a run's folder.

    `strategy` and `stream` are names with versions, `values` the JSON values of all options, `probe` the dataset of the
    probe and whether it is measured after the last task only, `sealed` and `stop_below` as options of a run, `parent`
    the result that the run continues, the number of its tasks, and whether the rest of its stream follows.
    """
    identity = {
        "strategy": strategy, "stream": stream, "backbone": backbone, "options": values,
        "precision": precision, "limited": limited, "max_tasks": max_tasks, **({"compile": True} if compiled else {}),
        **({"probe": list(probe)} if probe else {}), **({"sealed": True} if sealed else {}),
        **({"stop_below": list(stop_below)} if stop_below else {}), **({"parent": list(parent)} if parent else {}),
    }  # fmt: skip
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class RunIdentity:
    """Everything that a run reads, as text: a checkpoint may be continued, and a result be kept, if all are equal.

    `config`: the config hash; `code`: hash of the strategy's code, empty if its source is not known; `weights`: their
    SHA-256; `inputs`: preprocessing of the backbone; `training_images`, `test_images`: fingerprints; `stream`: its id;
    `probe`: a hash of the fingerprints of its images, empty without one; `parent`: SHA-256 of the file of the learner
    that the run continues, empty without one.
    """

    config: str
    seeds: str
    code: str
    weights: str
    inputs: str
    training_images: str
    test_images: str
    stream: str
    probe: str = ""
    parent: str = ""

    @classmethod
    def of(cls, config: str, result: Mapping[str, Any]) -> RunIdentity:
        """The identity from the `result` of a record; only its parts seeds, strategy, backbone, stream, probe and
        continues are used."""
        prints, backbone = result["stream"]["fingerprints"], result["backbone"]
        return cls(
            config=config,
            seeds=_text(result["seeds"]),
            code=result["strategy"]["source_sha256"] or "",
            weights=str(backbone["weights_sha256"]),
            inputs=_text(backbone.get("input")),
            training_images=prints["train"],
            test_images=prints["test"],
            stream=result["stream"]["id"],
            probe=_of_images(result["probe"]["fingerprints"]) if "probe" in result else "",
            parent=result.get("continues", {}).get("learner_sha256", ""),
        )

    def changed_since(self, then: Mapping[str, Any] | RunIdentity, ignoring: Collection[str] = ()) -> str:
        """As the function `changed_since`."""
        return changed_since(vars(self), then, ignoring)


def of_stream(stream: Any) -> dict[str, str]:
    """The parts of an identity that a `cl.stream.Stream` gives."""
    prints = stream.dataset.fingerprints
    return {"training_images": prints["train"], "test_images": prints["test"], "stream": stream.id}


def of_backbone(backbone: Any) -> dict[str, str]:
    """The parts of an identity that a `cl.backbone.Backbone` gives."""
    return {"weights": str(backbone.identity["weights_sha256"]), "inputs": _text(backbone.identity.get("input"))}


def of_probe(probe: Any) -> dict[str, str]:
    """The part of an identity that a `cl.running.probe.Probe` gives; of None, that of a run without one."""
    return {"probe": "" if probe is None else _of_images(probe.dataset.fingerprints)}


def changed_since(now: Mapping[str, Any], then: Mapping[str, Any] | RunIdentity, ignoring: Collection[str] = ()) -> str:
    """What differs from `then`, as in "the test images (1a2b, now 3c4d) have changed"; empty if nothing does.

    Parts that one of both lacks are not compared.
    """
    before = then if isinstance(then, Mapping) else vars(then)
    names = [each.name for each in fields(RunIdentity) if each.name not in ignoring and each.name in now]
    found = [name for name in names if name in before and before[name] != now[name]]
    if found != ["stream"]:  # its id covers the images
        found = [name for name in found if name != "stream"]
    said = [f"{_SAID[name]} ({_short(before[name])}, now {_short(now[name])})" for name in found]
    has = "has" if len(found) == 1 and found[0] in _ONE else "have"
    return f"{' and '.join(said)} {has} changed" if said else ""


_SAID = {
    "config": "its configuration",
    "seeds": "its seeds",
    "code": "the code of the strategy",
    "weights": "the weights of the backbone",
    "inputs": "the preprocessing of the backbone",
    "training_images": "the training images",
    "test_images": "the test images",
    "stream": "the definition of the stream",
    "probe": "the images of the probe",
    "parent": "the learner that it continues",
}
_ONE = ("config", "code", "inputs", "stream", "parent")


def _of_images(fingerprints: Mapping[str, str]) -> str:
    return hashlib.sha256(f"{fingerprints['train']} {fingerprints['test']}".encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    return str(value)[:8] if len(str(value)) == 64 else str(value) or "unknown"
