"""TOML tables as dataclasses: every kind of field, and every mistake in one sentence with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.tables import read_record, read_toml, record, records, refuse_unknown


@dataclass(frozen=True)
class Item:
    name: str
    sizes: tuple[int, ...] = ()
    share: float | None = None


@dataclass(frozen=True)
class File:
    title: str
    items: tuple[Item, ...] = ()
    by_name: Mapping[str, Item] = field(default_factory=dict)
    one: Item = Item("default")
    free: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    where: Path | None = None


TEXT = """
title = "t"
one = {name = "x", share = 0.5}
free = {a = 1, "b.c" = [2]}
words = {k = "v"}
rows = [{z = 1}, {}]
[[items]]
name = "a"
sizes = [1, 2]
[[items]]
name = "b"
[by_name.c]
name = "d"
"""


def test_every_kind_of_field(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(TEXT)
    found = read_record(path, File, where=path)
    assert found.items == (Item("a", (1, 2)), Item("b")) and found.by_name == {"c": Item("d")}
    assert found.one == Item("x", share=0.5) and found.free == {"a": 1, "b.c": [2]} and found.words == {"k": "v"}
    assert found.rows == ({"z": 1}, {}) and found.where == path and found.title == "t"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f.toml lacks 'title'; add it."),
        ('titel = "t"', "f.toml: unknown key 'titel'. Did you mean title"),
        ('title = "t"\nzzz = 1', "f.toml: unknown key 'zzz'. Known: title, items, by_name, one, free, words, rows."),
        ("title = 3", "f.toml: title must be text, not 3."),
        ("title = [3]", "f.toml: title must be text, not [3]."),
        ('title = "t"\nitems = 3', "f.toml: items must be an array of tables, [[items]]."),
        ('title = "t"\nitems = [3]', "f.toml: item 1 must be a table, not 3."),
        ('title = "t"\n[[items]]\nname = "a"\nsize = 3', "f.toml, item 1 (a): unknown key 'size'. Did you mean sizes?"),
        ('title = "t"\n[[items]]\nname = "a"\n[[items]]\nsizes = [1]', "f.toml, item 2 lacks 'name'; add it."),
        (
            'title = "t"\n[[items]]\nname = "a"\nsizes = ["b"]',
            "f.toml, item 1 (a): sizes must be a list of whole numbers",
        ),
        ('title = "t"\n[by_name]\nc = 1', "f.toml, by_name: c must be a table, not 1."),
        ('title = "t"\none = {share = 1}', "f.toml, one lacks 'name'; add it."),
        ('title = "t"\nfree = 1', "f.toml: free must be a table, not 1."),
        ('title = "t"\nwords = {k = 1}', "f.toml, words: k must be text, not 1."),
        ('title = "t"\nwhere = "x"', "f.toml: unknown key 'where'."),
        ("title =", "f.toml is not valid TOML: "),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_record(path, File, where=path)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'title = "\xff"', "is not UTF-8 text; save it as UTF-8."),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "is not valid TOML: "),
        (b"x = " + b"1" * 5000, "is not valid TOML: "),
        (b"x = 1\nx = 2", "is not valid TOML: Cannot overwrite a value"),
        (None, "cannot be read: Is a directory."),
    ],
    ids=["encoding", "deep", "digits", "twice", "folder"],
)
def test_a_file_that_cannot_be_read_is_one_sentence(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbfx = 1\r\ny = 2\r\n")
    assert read_toml(tmp_path / "f.toml") == {"x": 1, "y": 2}


def test_tables_by_name_fill_the_field_of_their_name() -> None:
    assert records(Item, {"a": {"sizes": [3]}, "b": {}}, "here", "name") == {"a": Item("a", (3,)), "b": Item("b")}
    with pytest.raises(UsageError, match="here, a: unknown key 'name'"):
        records(Item, {"a": {"name": "b"}}, "here", "name")
    with pytest.raises(UsageError, match="here, a must be a table, not 1"):
        records(Item, {"a": 1}, "here", "name")


def test_unknown_keys_of_anything() -> None:
    refuse_unknown(["a"], ["a", "b"], "here")
    with pytest.raises(UsageError, match=r"here: unknown key 'c'\. Known: none\."):
        refuse_unknown(["c"], [], "here")


def test_defaults_of_the_format_hold() -> None:
    assert record(File, {"title": "t"}, "here") == File("t")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = " + b"[" * 5000, "is not valid TOML: it is nested too deeply."),
        (b"a = " + b"9" * 5000, "is not valid TOML: Exceeds the limit (4300 digits) for integer string conversion"),
        ("a = 'é'".encode("latin-1"), "is not UTF-8 text; save it as UTF-8."),
        ("a = 1".encode("utf-16"), "is not UTF-8 text; save it as UTF-8."),
        (b"a = 1\x00", "is not valid TOML: "),
    ],
)
def test_files_that_are_no_toml_are_one_sentence(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(tmp_path / "a.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'a.toml'} {says}") and "sys.set_int" not in str(caught.value)
