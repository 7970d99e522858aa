"""Tables inside handwritten pages: the metrics and the fields of a record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from .markdown import code, table, text


def metrics() -> str:
    """Every metric of clbench, from `cl.records.metrics.BUILT_IN`."""
    from cl.records.metrics import BUILT_IN

    parts = []
    for metric in BUILT_IN.values():
        better = "higher is better" if metric.higher_is_better else "lower is better"
        needs = f"; needs {', '.join(metric.needs)}" if metric.needs else ""
        rows = [["Meaning", text(metric.title)], ["Formula", code(metric.formula)], ["Source", text(metric.source)]]
        parts.append(f"### `{metric.id}` {{ #{metric.id} }}\n\n" + table([better + needs, ""], rows))
    summary = table(
        ["name", "meaning", "better"],
        [
            [f"[`{m.id}`](#{m.id})", text(m.title), "higher" if m.higher_is_better else "lower"]
            for m in BUILT_IN.values()
        ],
    )
    return "\n".join([summary, *parts])


def inputs() -> str:
    """What a metric may need in addition to the matrix, from `cl.records.metric.INPUTS`."""
    from cl.records.metric import INPUTS

    return table(["in `needs`", "what `compute` gets"], [[code(name), text(what)] for name, what in INPUTS.items()])


def record() -> str:
    """Every field of a record, from its JSON Schema."""
    schema = json.loads(resources.files("cl.records").joinpath("record.schema.json").read_text(encoding="utf-8"))
    parts = []
    for title, root in (
        ("The envelope", schema),
        *((name, schema["$defs"][name]) for name in ("result", "measurement")),
    ):
        rows = [[code(path), kind, text(words)] for path, kind, words in _fields(root, schema["$defs"], "", title)]
        heading = title if title == "The envelope" else f"`{title}`"
        parts.append(f"### {heading}\n\n" + table(["field", "type", "meaning"], rows))
    return "\n".join(parts)


def _fields(
    node: Mapping[str, Any], defs: Mapping[str, Any], prefix: str, title: str
) -> Iterator[tuple[str, str, str]]:
    for name, child in node.get("properties", {}).items():
        reference = child.get("$ref", "").rpartition("/")[2]
        whole = {**defs.get(reference, {}), **child}
        path = f"{prefix}{name}"
        yield path, _kind(whole), whole.get("description", "")
        if not (title == "The envelope" and reference):  # result and measurement have tables of their own
            yield from _fields(whole, defs, f"{path}.", title)
            for mark, key in (("[]", "items"), (".KEY", "additionalProperties")):
                inner = whole.get(key)
                if isinstance(inner, dict):
                    yield from _fields(inner, defs, f"{path}{mark}.", title)


def _kind(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(code(value) for value in node["enum"])
    kinds = node.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
