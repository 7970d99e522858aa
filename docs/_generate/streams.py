"""A page per stream family: its docstring, its dataset, its classes and its options."""

from __future__ import annotations

import logging
from typing import Any

from cl import registry
from cl.errors import ClbenchError
from cl.family import family_of, make_stream
from cl.options import options_of

from .markdown import code, fenced, parse_docstring, sentence, table, text
from .strategies import option_table, own, page_of

log = logging.getLogger("mkdocs.clbench")
_ARGUMENTS = {"folder:": "folder:/path/to/images", "avalanche/": "avalanche/NAME", "*.toml": "my-stream.toml"}


def overview() -> str:
    """One line per stream family."""
    rows = []
    for name in own(registry.streams):
        summary = parse_docstring(registry.streams.docstring(name)).summary
        shown = _ARGUMENTS.get(name, name)
        rows.append([f"[`{shown}`](streams/{page_of(name)}.md)", text(summary)])
    return table(["stream", "what it is"], rows)


def page(name: str) -> str:
    """The page of one stream family; sections that cannot be generated are left out, and the reason is logged."""
    doc = parse_docstring(registry.streams.docstring(name))
    shown = _ARGUMENTS.get(name, name)
    sections = [f"**{title}.** {sentence(words)}\n" for title, words in doc.sections.items()]
    parts = [f"# {shown}\n", text(doc.summary) + "\n", *(text(each) + "\n" for each in doc.body), *sections]
    parts.append(fenced(f"clbench run -s simplecil --stream {shown}\nclbench info {shown}", "bash"))
    try:
        family = family_of(name)
    except ClbenchError as error:
        log.info("%s: %s", name, error)
        return "\n".join(parts)
    parts.append(_dataset(name, family))
    options = options_of(family.Options)
    if options:
        parts += [
            "## Options\n",
            f"Set with `--set stream.KEY=VALUE`. Version of the definition: {code(family.version)}.\n",
        ]
        parts.append(option_table(options, "stream."))
    return "\n".join(part for part in parts if part)


def _dataset(name: str, family: Any) -> str:
    """Licence, citation, source and classes of the dataset."""
    from cl.data.catalog import DATASETS

    declared = DATASETS.get(family.dataset)
    if declared is not None:
        names = [*(source.names for source in declared.sources), tuple(file.name for file in declared.archives)]
        forms = [" + ".join(map(code, each)) for each in names]
        found = "any of " + "; ".join(forms) + ", in a folder of `CLBENCH_DATA_PATH` or in the cache"
        check = "fingerprints of all images" if declared.fingerprints else "SHA-256 of the archive only"
        if declared.archive.md5 and not declared.fingerprints:
            check = f"MD5 of the archives, as published; {declared.checked}"
        if declared.is_tree:
            check = f"MD5 of the archive, as published; {declared.checked}"
        images = f"{declared.sizes[0]:,} for training, {declared.sizes[1]:,} for testing"
        rows = [
            ["Dataset", text(declared.title)],
            ["Images", f"{declared.sizes[0]:,} in all" if declared.is_tree else images],
            ["Licence", text(declared.licence)],
            ["Cite", text(declared.citation)],
            ["Found as", found],
            [
                "Downloaded from",
                "<br>".join(f"<{url}>" for file in declared.archives for url in file.urls) or "no longer available",
            ],
            ["Checked by", check],
        ]
        return _section(rows, declared.class_names)
    if name in _ARGUMENTS:
        return ""
    declaration = family.declaration()
    if declaration is not None:
        rows = [
            [
                code(entry.name),
                str(entry.year or ""),
                text(entry.citation or entry.title),
                text(entry.licence),
                text(entry.source),
            ]
            for entry in declaration.datasets
        ]
        return "## Datasets\n\n" + table(["dataset", "year", "citation", "licence", "available from"], rows)
    try:
        dataset = make_stream(name).dataset
    except ClbenchError as error:
        log.info("%s: %s", name, error)
        return ""
    rows = [
        ["Dataset", text(dataset.name)],
        ["Images", f"{len(dataset.train):,} for training, {len(dataset.test):,} for testing"],
        ["Licence", text(dataset.licence)],
        ["Cite", text(dataset.citation)],
        ["Comes from", text(dataset.origin)],
        ["Fingerprints", f"train {code(dataset.train.fingerprint[:16])}…, test {code(dataset.test.fingerprint[:16])}…"],
    ]
    return _section(rows, dataset.class_names)


def _section(rows: list[list[str]], classes: tuple[str, ...]) -> str:
    if not classes:  # the classes of a tree of images are the names of its folders
        return "\n".join(["## Data\n", table(["", ""], rows)])
    listed = ", ".join(map(text, classes))
    return "\n".join(["## Data\n", table(["", ""], rows), f'??? info "The {len(classes)} classes"\n\n    {listed}\n'])
