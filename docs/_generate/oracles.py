"""The table of differences between our methods and numbers that their official code computed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .markdown import code, table, text

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "oracles"

METHODS: dict[str, str] = {
    "acil": "acil",
    "ama": "ama",
    "atlas": "atlas",
    "class-orders": "class orders",
    "cofima": "cofima",
    "cpe-clip": "cpe-clip",
    "ease-prototypes": "ease",
    "fecam": "fecam",
    "erk": "cl-dst",
    "exemplars-mammoth": "a-gem, bic, der-pp, er-ace, gdumb, icarl",
    "exemplars-pycil": "bic, icarl, wa",
    "forward-adapter": "adapters (aper, ease, mos, ranpac)",
    "forward-coda": "coda-prompt",
    "forward-dualprompt": "dualprompt",
    "forward-dualprompt-layers": "dualprompt",
    "forward-hide": "hide-prompt",
    "forward-l2p": "l2p",
    "forward-l2p-prefix": "l2p",
    "forward-lora": "lora-merge",
    "forward-norga": "norga",
    "forward-resnet-cifar": "backbones resnet20_cifar, resnet32_cifar",
    "forward-resnet-tag": "backbone resnet18_tag_32",
    "forward-ssf": "scale and shift (aper, ranpac)",
    "forward-tii": "hide-prompt",
    "forward-vpt": "visual prompts (aper, ranpac)",
    "grace": "grace",
    "i-blurry": "setting i-blurry",
    "kvb-keys": "kvb",
    "lines": "lines",
    "mask-coding": "wsn",
    "metrics": "metrics",
    "mixes": "mixes of classes (fscil-tricks)",
    "model-average": "model-average",
    "mos-merge": "mos",
    "mos-predict": "mos",
    "naswot": "ear",
    "nevis-source": "finetune-dynamic",
    "o-lora": "o-lora",
    "ogd": "ogd",
    "opcm": "opcm",
    "owm": "owm",
    "pcb": "pcb-merging",
    "ranpac": "ranpac",
    "si-blurry": "setting si-blurry",
    "simplecil": "simplecil",
    "slda": "slda",
    "simplex": "simplex (fscil-tricks)",
    "slm": "slm",
    "softnet-loss": "softnet",
    "supcon": "contrastive losses (fscil-tricks)",
    "task-arithmetic": "task-arithmetic",
    "ties": "ties",
    "train-aper": "aper",
    "train-cl-dst": "cl-dst",
    "train-coda": "coda-prompt",
    "train-dualprompt": "dualprompt",
    "train-ease": "ease",
    "train-ewc": "ewc",
    "train-foster": "foster",
    "train-fscil-frozen": "fscil-frozen",
    "train-hard-ash": "hard-ash",
    "train-hat": "hat",
    "train-hide": "hide-prompt",
    "train-hypernetwork": "hypernetwork",
    "train-inflora": "inflora",
    "train-kvb": "kvb",
    "train-l2p": "l2p",
    "train-layernorm": "layernorm",
    "train-lora-merge": "lora-merge",
    "train-mas": "mas",
    "train-mos": "mos",
    "train-norga": "norga",
    "train-oml": "oml",
    "train-packnet": "packnet",
    "train-pairwise": "pairwise",
    "train-sd-lora": "sd-lora",
    "train-si": "si",
    "train-slca": "slca",
    "train-softnet": "softnet",
    "train-tag": "tag",
    "train-taps": "taps",
    "train-vcl": "vcl",
    "train-wsn": "wsn",
    "wsn-masks": "wsn",
}
"""Kinds of files and the method that each is about; other kinds are told apart by their name, see `_method`."""

KINDS = ("forward", "loss", "training")


def differences() -> dict[str, dict[str, float]]:
    """File -> kind of comparison -> the largest difference, as the tests wrote them."""
    found: dict[str, dict[str, float]] = json.loads((FOLDER / "differences.json").read_text(encoding="utf-8"))
    return found


def oracle_table() -> str:
    """One row per method and repository."""
    rows: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: {"files": 0, **dict.fromkeys(KINDS)})
    for name, compared in differences().items():
        row = rows[_method(name), _source(_meta(name))]
        row["files"] += 1
        for kind, largest in compared.items():
            row[kind] = max(largest, row[kind] or 0.0)
    head = ["method", "official code", "files", "forward pass", "loss", "whole training"]
    lines = [
        [text(method), source, str(row["files"]), *("" if row[kind] is None else f"{row[kind]:.0e}" for kind in KINDS)]
        for (method, source), row in sorted(rows.items())
    ]
    return table(head, lines, numbers=(2, 3, 4, 5))


def _method(name: str) -> str:
    if name.startswith("train-distil"):
        return "feat-kd" if "feat" in name else "pred-kd"
    if name.startswith("train-align"):
        return {"hide": "hide-prompt", "mos": "mos", "norga": "norga"}[name.split("-")[2]]
    known = [kind for kind in METHODS if name.startswith(f"{kind}-")]
    return METHODS[max(known, key=len)]


def _meta(name: str) -> Mapping[str, Any]:
    with np.load(FOLDER / f"{name}.npz") as stored:
        meta: dict[str, Any] = json.loads(str(stored["meta"]))
        return meta


def _source(meta: Mapping[str, Any]) -> str:
    made_by = meta["made_by"]
    repositories, commits = str(made_by["repository"]).split("; "), str(made_by["commit"]).split(", ")
    if len(repositories) != 1 or len(commits) != 1:
        return text(", ".join(repositories))
    return f"{code(repositories[0])} at {code(commits[0][:7])}"
