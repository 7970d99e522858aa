"""Stream files (TOML): a setting, and datasets in the order of learning."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.data.official.release import listed
from cl.data.releases import release
from cl.errors import UsageError, did_you_mean
from cl.protocol import CLASS, DOMAIN, TASK
from cl.tables import read_toml, record

SETTINGS = (CLASS, TASK, DOMAIN)
READERS = ("pack", "folder", "stream", "official", "hub")
"""One or more .npz packs with the splits of a dataset; a folder of images; the images of a registered stream; the files
that the authors of a dataset published (see `cl.data.releases`); a dataset of the Hugging Face hub (`cl.data.hub`)."""
ONLY = ("train-only", "test-only")
"""A domain whose images are all learned and none tested; all tested after every task and none learned."""
SPLITS = ("official", "nevis", "nevis-90", "nevis-halves", *ONLY)
"""The dataset's own splits; the rule of NEVIS'22 for what the dataset has (see `cl.declared.union.splits_of`); the same
with 90 % train, 5 % dev and 5 % dev_test of the training images; its training images split into 80 % train and 20 %
dev, and its test images into halves dev_test and test; `ONLY`."""
MISSING = ("error", "skip")
_WANTED = {"pack": "files", "folder": "path", "stream": "stream", "official": "release", "hub": "hub"}
_OF_HUB = ("config", "revision", "image", "label")
_COLUMNS = ("image_column", "label_column", "split_column")
_HUB = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class DatasetEntry:
    """One dataset of a stream: its files, and the parts of it that are used."""

    name: str
    reader: str
    year: int | None = None
    title: str = ""
    domain: str = ""  # what the images show, such as "face"; for reports alone, so no part of the digest
    files: tuple[str, ...] = ()  # reader pack: names of files in one folder
    sha256: tuple[str, ...] = ()  # of `files`, in order
    path: str = ""  # reader folder
    labels: str = ""  # of `path`: a table with the classes, and its columns, see `cl.data.label_tables`
    image_column: str = ""
    label_column: str = ""
    split_column: str = ""
    stream: str = ""  # reader stream
    release: str = ""  # reader official: a name of `cl.data.releases`; empty: there is none yet, so it is missing
    also: str = ""  # reader folder: the release with the same images, read if its files are here
    hub: str = ""  # reader hub: ORG/NAME, and what of it is read, see `cl.data.hub.HubDataset`
    config: str = ""
    revision: str = ""  # a commit; empty: the newest, or the local copy
    image: str = ""
    label: str = ""
    classes: tuple[str, ...] = ()  # the classes to use, in this order; empty: all
    tasks: int = 1
    splits: str | None = None  # None: the stream's rule
    licence: str = ""
    citation: str = ""
    source: str = ""  # where to get it

    @property
    def needs(self) -> str:
        """The required files or folder, in words."""
        if self.release:
            return listed([file.name for file in release(self.release).files], " + ")
        if self.also:
            forms = (listed([file.name for file in form], " + ") for form in release(self.also).forms)
            return " or ".join((self.path, *forms))
        if self.hub:
            return f"the dataset {self.hub} of the Hugging Face hub"
        return " + ".join(self.files) or self.path or f"the data of {self.stream}"

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes; the other readers know one class per image.

        An official dataset without a release is one that they would read wrongly.
        """
        return self.reader == "official" and (not self.release or release(self.release).multi_label)


@dataclass(frozen=True)
class Declaration:
    """A declared stream. `size` is the side of its images in pixels, `where` the declaring file."""

    name: str
    setting: str
    size: int
    datasets: tuple[DatasetEntry, ...]
    version: str = "1"
    title: str = ""
    splits: str = "official"
    split_seed: int = 0
    missing: str = "error"
    omitted: tuple[str, ...] = ()  # parts of the stream that are left out, with reasons
    unlearned: tuple[DatasetEntry, ...] = ()  # the datasets among `omitted`
    where: Path | None = dataclasses.field(default=None, compare=False)

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits over the whole declaration, without its path, absolute paths in it, other forms of
        the same images, and what the images show."""
        said = dataclasses.asdict(dataclasses.replace(self, where=None))
        del said["unlearned"]
        for entry in said["datasets"]:
            entry["path"], entry["labels"] = map(_last_name, (entry["path"], entry["labels"]))
            entry["files"] = list(map(_last_name, entry["files"]))
            del entry["also"], entry["domain"]
            for key in ("release", "hub", *_OF_HUB, "labels", *_COLUMNS):
                if not entry[key]:  # the digests of declarations without one are older than it
                    del entry[key]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]

    def rule(self, entry: DatasetEntry) -> str:
        """How a dataset is split."""
        return entry.splits or self.splits


def _last_name(path: str) -> str:
    """The last name of an absolute path; a relative path stays."""
    return Path(path).name if Path(path).is_absolute() else path


def load(path: Path) -> Declaration:
    """Read a stream file; raises `UsageError` with one sentence for the first mistake in it."""
    if not path.is_file():
        raise UsageError(f"There is no stream file {path}; give the path of a TOML file that declares a stream.")
    return parse(read_toml(path), path)


def parse(content: Mapping[str, Any], path: Path) -> Declaration:
    """The declaration in a parsed TOML file; raises as `load`."""
    if not content.get("datasets"):
        raise UsageError(f"{path} declares no datasets; add one table [[datasets]] for each, in the order of learning.")
    made = record(Declaration, content, str(path), where=path)
    for number, (entry, table) in enumerate(zip(made.datasets, content["datasets"], strict=True), 1):
        where = f"{path}, dataset {number} ({entry.name})"
        _check_entry(entry, where)
        if "classes" in table and not entry.classes:
            raise UsageError(f"{where}: classes names none; name the classes to use, or leave it out to use all.")
    _choice(path, "setting", made.setting, SETTINGS)
    _choice(path, "splits", made.splits, SPLITS)
    _choice(path, "missing", made.missing, MISSING)
    if not 1 <= made.size <= 4096:
        raise UsageError(f"{path}: size must lie in 1..4096 pixels, not {made.size}.")
    names = [entry.name for entry in made.datasets]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{path}: two datasets are called '{repeated[0]}'; give each a name of its own.")
    if made.splits in ONLY:
        raise UsageError(f"{path}: splits = '{made.splits}' is a rule for single datasets; write it in their tables.")
    only = [entry for entry in made.datasets if entry.splits in ONLY]
    if only and made.setting != DOMAIN:
        raise UsageError(
            f"{path}: dataset '{only[0].name}' is {only[0].splits}, which needs setting = \"{DOMAIN}\": elsewhere its "
            "classes are its own."
        )
    for rule, what in zip(ONLY, ("to test on", "to learn"), strict=True):
        if all(entry.splits == rule for entry in made.datasets):
            raise UsageError(f"{path}: every dataset is {rule}, so there is nothing {what}; give one another rule.")
    several = [entry for entry in made.datasets if entry.multi_label]
    if several and made.setting != TASK:
        raise UsageError(
            f"{path}: dataset '{several[0].name}' has several classes per image, which needs setting = \"{TASK}\"."
        )
    if made.setting == DOMAIN and (cut := [entry.name for entry in made.datasets if entry.tasks != 1]):
        raise UsageError(f"{path}: a domain is one task; leave tasks out of dataset '{cut[0]}'.")
    return made


def _check_entry(entry: DatasetEntry, where: str) -> None:
    _choice(where, "reader", entry.reader, READERS)
    if entry.splits is not None:
        _choice(where, "splits", entry.splits, SPLITS)
    if not entry.name or "/" in entry.name:
        raise UsageError(f"{where}: a name must not be empty or contain '/', which separates it from the class.")
    for reader, key in _WANTED.items():
        if bool(getattr(entry, key)) != (reader == entry.reader):
            verb = "needs" if reader == entry.reader else "does not take"
            raise UsageError(f"{where}: reader '{entry.reader}' {verb} '{key}'.")
    if entry.also and entry.reader != "folder":
        raise UsageError(f"{where}: reader '{entry.reader}' does not take 'also'.")
    if entry.labels and entry.reader != "folder":
        raise UsageError(f"{where}: reader '{entry.reader}' does not take 'labels'.")
    if not entry.labels and (columns := [key for key in _COLUMNS if getattr(entry, key)]):
        raise UsageError(f"{where}: '{columns[0]}' is a column of a table with the classes; name it with 'labels'.")
    if entry.labels and entry.also:
        raise UsageError(f"{where}: 'also' has classes of its own; leave either it or 'labels' out.")
    check_hub(entry, where)
    for key in _OF_HUB if not entry.hub else ():
        if getattr(entry, key):
            raise UsageError(f"{where}: reader '{entry.reader}' does not take '{key}'.")
    for name in (entry.release, entry.also):
        if name:
            release(name)  # raises if there is none
    if entry.sha256 and len(entry.sha256) != len(entry.files):
        raise UsageError(f"{where}: sha256 needs one entry for each file: {len(entry.files)}, not {len(entry.sha256)}.")
    if entry.multi_label and (entry.tasks != 1 or entry.classes):
        raise UsageError(
            f"{where}: a dataset with several classes per image is one task with all its classes; leave out tasks and "
            "classes."
        )
    if wrong := [digest for digest in entry.sha256 if not _DIGEST.fullmatch(digest)]:
        raise UsageError(f"{where}: a SHA-256 has 64 hexadecimal digits in lower case, '{wrong[0]}' is none.")
    if entry.tasks < 1:
        raise UsageError(f"{where}: tasks must be at least 1, not {entry.tasks}.")
    if len(set(entry.classes)) != len(entry.classes):
        raise UsageError(f"{where}: classes names one twice.")


def check_hub(entry: DatasetEntry, where: str) -> None:
    """Raise `UsageError` for what is no name of a dataset of the hub, or no commit of it."""
    if entry.hub and not _HUB.fullmatch(entry.hub):
        raise UsageError(f"{where}: hub is the name ORG/NAME of a dataset, not '{entry.hub}'.")
    if entry.revision and not _COMMIT.fullmatch(entry.revision):
        raise UsageError(
            f"{where}: revision is a commit of 40 hexadecimal digits, because others move; '{entry.revision}' is none."
        )


def _choice(where: object, key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        hint = did_you_mean(value, list(choices))
        raise UsageError(f"{where}: {key} must be one of {', '.join(choices)}, not '{value}'.{hint}")
