"""The stream part of `clbench info`: tasks with years, classes and counts, and a sheet of sample images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from cl.cli.text import room, say
from cl.data.releases import release
from cl.errors import counted
from cl.paths import look_only

if TYPE_CHECKING:
    from cl.declared.declaration import DatasetEntry, Declaration
    from cl.stream import Stream

_TILE, _MARGIN, _LABEL, _SAMPLES = 64, 6, 230, 10
"""Pixels of a sample, between samples and of the labels; samples per task."""

_LEAST_NAMES, _OF_A_PIPE = 40, 120
"""Characters that names of classes need beside the table, and those of a line where there is no terminal."""


def build(name: str, assignments: Sequence[str]) -> Stream:
    """Build the stream with these options from available data; nothing is downloaded. Raises `ClbenchError`."""
    from cl.family import family_of, make_stream
    from cl.options import parse_assignments, split_keys
    from cl.plan.run_options import DEFAULT_SEED
    from cl.running.build import sized
    from cl.settings import resolve_stream, transform

    chosen = split_keys(parse_assignments(assignments)).get("stream", {})
    options, transforms, _ = resolve_stream(family_of(name).Options, [("command line", chosen)])
    with look_only(cache=True):
        stream = make_stream(name, sized(name, options), order_seed=DEFAULT_SEED, data_seed=DEFAULT_SEED)
        return transform(stream, transforms, DEFAULT_SEED)


def declared(name: str) -> Declaration | None:
    """The declaration of a stream, None if it is not a declared one. Raises `UsageError` for an invalid file."""
    from cl.family import argument_of, family_of

    found: Declaration | None = family_of(name).declaration(argument_of(name))
    return found


def tasks(stream: Stream, declaration: Declaration | None) -> list[dict[str, Any]]:
    """One row per group of test images: name, year, classes with their names, and images by split; `measure` is "mAP"
    where images may have several classes. If tasks have names, rows also hold their training images, and tasks without
    tests have rows too. Datasets in official files say how far their reader was tested
    (`cl.data.official.release.Release.checked`).
    """
    learned = dict(zip(names_of(stream), stream.experiences, strict=False))
    tested = {group.name: group for group in stream.groups}
    rows = []
    for name in dict.fromkeys([*learned, *tested]):
        entry, group, own = _entry(name, declaration), tested.get(name), learned.get(name)
        about: Any = own or group
        row = {"group": name, "year": entry.year if entry is not None else None, "classes": len(about.classes)}
        row |= {"train": len(own.train), "val": len(own.val)} if own is not None else {}
        several = (own is not None and own.tags is not None) or (group is not None and group.tags is not None)
        row |= {"measure": "mAP"} if several else {}
        splits = group.rows if group is not None else {}
        if entry is not None and entry.release:
            row["reader tested on"] = release(entry.release).checked
        row |= {split: len(splits[split]) for split in ("dev_test", "test") if split in splits}
        rows.append(row | {"class_names": [stream.info.class_names[place] for place in about.classes]})
    return rows


def names_of(stream: Stream) -> list[str]:
    """The name of every experience, its own or its only group's; empty if some experience has none."""
    names = [experience.name for experience in stream.experiences]
    if [group.task for group in stream.groups] == list(range(len(names))):
        names = [group.name for group in stream.groups]
    return names if all(names) and len(set(names)) == len(names) else []


def show(stream: Stream, declaration: Declaration | None) -> None:
    """Print the tasks as a table, and the datasets that a declaration left out."""
    from cl.declared.family import without_multi_label
    from cl.declared.options import SKIP
    from cl.results.fitted import fitted

    rows = tasks(stream, declaration)
    wanted = ("group", "year", "classes", "train", "val", "dev_test", "test", "measure", "reader tested on")
    columns = [key for key in wanted if any(row.get(key) for row in rows)]
    cells = [columns, *([str(row.get(key) or "") for key in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    names = stream.info.class_names
    say(
        f"\n{stream.setting}: {counted(len(stream.experiences), 'task')}, {counted(len(names), 'class')}, "
        f"images {_shape(stream)}:"
    )
    own = [[_plain(name, row["group"], declaration) for name in row["class_names"]] for row in rows]
    width, table = room() or _OF_A_PIPE, 2 * len(columns) + sum(widths)
    beside = table + 2 + _LEAST_NAMES <= width
    if table > width and room() is not None:
        click.echo("\n".join(fitted(columns, cells[1:], width, left=[columns[0]])))
    else:
        for line, said in zip(cells, [["class names"], *own], strict=True):
            numbers = [cell.rjust(most) for cell, most in zip(line[1:], widths[1:], strict=True)]
            text = "  ".join(["", line[0].ljust(widths[0]), *numbers])
            click.echo(f"{text}  {_fitted(said, width - table - 2)}".rstrip() if beside else text)
    if not beside:
        click.echo("\nclass names:")
        for line, said in zip(cells[1:], own, strict=True):
            click.echo(f"  {line[0]}: {_fitted(said, width - len(line[0]) - 4)}")
    if several := [row["group"] for row in rows if "measure" in row]:
        say(f"\nSeveral classes per image, measured by mean average precision (mAP): {', '.join(several)}.")
    if declaration is not None and stream.options.get("multi_label") == SKIP:
        declaration = without_multi_label(declaration)
    here = [_entry(row["group"], declaration) for row in rows]
    if absent := [entry for entry in (declaration.datasets if declaration else ()) if entry not in here]:
        click.echo("\nNot here (dataset: what it needs, how to get it):")
        for entry in absent:
            say(f"  {entry.name}: {entry.needs}{f', {entry.source}' if entry.source else ''}")
    if declaration is not None and declaration.omitted:
        say(f"\nLeft out: {', '.join(declaration.omitted)}.")


def contact_sheet(stream: Stream, declaration: Declaration | None, path: Path) -> None:
    """Write a PNG with a row of training images per task, one of each of its first classes and then more of them.

    Raises `UsageError` for another file type, `StorageError` if it cannot be written.
    """
    import io

    from PIL import Image, ImageDraw, ImageFont

    from cl.errors import UsageError
    from cl.files import write_bytes

    if path.suffix.lower() != ".png":
        raise UsageError(f"--contact-sheet writes a PNG; call the file {path.with_suffix('.png').name}.")
    step = _TILE + _MARGIN
    width, height = _LABEL + _SAMPLES * step + _MARGIN, len(stream.experiences) * step + _MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(14), ImageFont.load_default(11)
    names = names_of(stream)
    for task, experience in enumerate(stream.experiences):
        top = _MARGIN + task * step
        title = names[task] if names else f"experience {task + 1}"
        draw.text((_MARGIN, top + 10), _cut(title, _LABEL - 2 * _MARGIN, font), fill="black", font=font)
        entry = _entry(title, declaration)
        year = f"{entry.year}: " if entry is not None and entry.year else ""
        about = f"{year}{counted(len(experience.classes), 'class')}, {counted(len(experience.train), 'image')}"
        draw.text((_MARGIN, top + 32), about, fill="#555555", font=small)
        for place, row in enumerate(samples(stream, task, _SAMPLES)):
            pixels = np.asarray(stream.dataset.train.pixels[row])
            image = Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels).convert("RGB")
            smooth = Image.Resampling.BICUBIC if max(image.size) > _TILE else Image.Resampling.NEAREST
            sheet.paste(image.resize((_TILE, _TILE), smooth), (_LABEL + place * step, top))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    write_bytes(path, data.getvalue())


def notes(stream: Stream) -> list[str]:
    """What to know about the images: files left out, duplicates."""
    from cl.data.duplicates import notes_on

    return notes_on(stream.dataset)


def samples(stream: Stream, task: int, count: int) -> list[int]:
    """Sample training rows of a task: the first image of each class, then the second, ..."""
    rows = stream.experiences[task].train
    labels = stream.dataset.train.labels[rows]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.arange(len(rows)) - first[inverse]  # rows are in the order of their labels
    spread = np.lexsort((labels, rank))[: max(count, len(first))]
    if len(first) > count:  # more classes than samples: evenly spaced
        spread = spread[np.linspace(0, len(first) - 1, count).astype(int)]
    return [int(row) for row in rows[spread]]


def _entry(group: str, declaration: Declaration | None) -> DatasetEntry | None:
    """The dataset of a group; one with several tasks has groups "name-1", "name-2", ..."""
    entries = {entry.name: entry for entry in declaration.datasets} if declaration is not None else {}
    return entries.get(group, entries.get(group.rpartition("-")[0]))


def _plain(name: str, group: str, declaration: Declaration | None) -> str:
    """The name of a class without that of its dataset, which the row has already."""
    from cl.errors import printable

    entry = _entry(group, declaration)
    return printable(name.removeprefix(f"{entry.name}/") if entry is not None else name)


def _fitted(names: Sequence[str], width: int) -> str:
    """As many names as fit into the width, and "..." for the others."""
    text = ", ".join(names)
    if len(text) <= width:
        return text
    text = text[: width - 3]
    return (text.rpartition(", ")[0] + ", " if ", " in text else text) + "..."


def _shape(stream: Stream) -> str:
    channels, height, width = stream.info.image_shape
    return f"{height}x{width}, {'RGB' if channels == 3 else 'grey'}"


def _cut(text: str, width: int, font: Any) -> str:
    while font.getlength(text) > width:
        text = text[:-2].rstrip(".") + "."
    return text
