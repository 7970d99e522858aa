"""What arrives from elsewhere: names that lead elsewhere, wrong sizes, false hashes, bombs, pickles, control codes."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl.records.record import RECORD, Record, load, rest_sha256, result_sha256
from cl.results import hostile
from cl.results.hostile import LIMITS, Refused, check_files, check_place, check_record
from cl.results.merge import FILES
from tests.help.remote import write_run

LEADING_ELSEWHERE = [
    *("../record.json", "a/../../record.json", "/etc/record.json", "a//record.json", "./record.json", ""),
    *("C:/record.json", "a\\..\\record.json", "a\nb/record.json", "a\x1b[2J/record.json", "a\u202e/record.json"),
    *("con/record.json", "NUL.txt/record.json", "a/com1/record.json", ".hidden/record.json", "a./record.json"),
    *("a /record.json", "~/record.json", "$HOME/record.json", "a*b/record.json", "-rf/record.json"),
    *(f"{'x' * 101}/record.json", "/".join(["x"] * 13), "x/" * 120 + "record.json", "record.json/x/record.json"),
    *("a/Config.TOML/record.json", "\ud800/record.json", "\uff41/record.json", "a\x00/record.json"),
]


@pytest.mark.parametrize("path", LEADING_ELSEWHERE)
def test_names_that_no_run_has_are_refused(path: str) -> None:
    with pytest.raises(Refused) as error:
        check_place(path)
    assert str(error.value).isprintable()


def test_names_of_runs_pass() -> None:
    check_place("split-toy@1/l2p/vit_base_patch16_224.augreg_in21k@x/0badcafe/order1-init2-data3/record.json")


@given(st.text(max_size=60))
def test_a_name_that_passes_stays_below_its_folder(path: str) -> None:
    try:
        check_place(path)
    except Refused:
        return
    root = Path("/root-of-results")
    assert root in (root / path).parents and path.isprintable() and "\\" not in path and ":" not in path
    assert Path(path).as_posix() == path and not path.startswith((".", "-", "/"))


def test_every_file_of_a_run_has_a_limit() -> None:
    assert set(LIMITS) == set(FILES)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def test_a_sound_run_passes_unchanged(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    check_files(run, check_record(run / RECORD))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def edited(run: Path, change: Callable[[Record], Any], *, hashes: bool = True) -> Path:
    record = load(run / RECORD)
    change(record)
    if hashes:
        record["result_sha256"], record["rest_sha256"] = result_sha256(record["result"]), rest_sha256(record)
    (run / RECORD).write_text(json.dumps(record))
    return run / RECORD


EDITS: dict[str, Callable[[Record], Any]] = {
    "more right answers than images": lambda r: r["result"]["accuracy"]["cil_seen"]["class_correct"].__setitem__(
        2, [10_000] * 6
    ),
    "another structure": lambda r: r["result"].__setitem__("rows", "x"),
    "a key too few": lambda r: r.pop("run_id"),
    "negative counts": lambda r: r["result"]["count"].__setitem__(0, -1),
}


@pytest.mark.parametrize("what", EDITS)
def test_records_are_refused_for_their_structure_though_their_hashes_fit(what: str, run: Path) -> None:
    with pytest.raises(Refused) as error:
        check_record(edited(run, EDITS[what]))
    assert str(run) not in str(error.value)


def test_records_with_other_hashes_or_none_are_refused(run: Path) -> None:
    original = (run / RECORD).read_text()
    with pytest.raises(Refused):
        check_record(edited(run, lambda r: r["result"].__setitem__("limited", True), hashes=False))
    (run / RECORD).write_text(original)
    with pytest.raises(Refused):
        check_record(edited(run, lambda r: r.__setitem__("run_id", "x"), hashes=False))
    (run / RECORD).write_text(original)

    def new_without_hash(record: Record) -> None:
        record["schema_version"] = "1.5"
        record.pop("rest_sha256")

    with pytest.raises(Refused, match="rest_sha256"):
        check_record(edited(run, new_without_hash, hashes=False))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"schema_version": "1.5"}', "1" * 10_000, "NaN"]
)
def test_files_that_are_no_record_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(Refused):
        check_record(tmp_path / RECORD)


def test_control_characters_of_an_error_are_escaped(run: Path) -> None:
    with pytest.raises(Refused) as error:
        check_record(edited(run, lambda r: r.__setitem__("status", "\x1b]0;evil\x07")))
    assert "\x1b" not in str(error.value) and r"x1b" in str(error.value)


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(shape: str) -> bytes:
    """A .npy file that declares a shape and holds nothing."""
    text = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


class Evil:
    """An object that would write a file if it were unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('executed')",))


BAD_PREDICTIONS = {
    "no archive": b"no archive",
    "empty": b"",
    "bomb": archive({"rows.npy": bytes(300_000_000)}),
    "pickle": archive({"rows.npy": npy(np.array([Evil()], dtype=object), allow_pickle=True)}),
    "huge shape": archive({"rows.npy": header("(1000000000000,)")}),
    "negative shape": archive({"rows.npy": header("(-1,)")}),
    "code as header": archive({"rows.npy": header("__import__('os').system('true')")}),
    "wrong arrays": archive({"rows.npy": npy(np.zeros(3, dtype=np.int32))}),
}


@pytest.mark.parametrize("what", BAD_PREDICTIONS)
def test_predictions_that_are_not_sound_are_refused(what: str, run: Path) -> None:
    record = load(run / RECORD)
    (run / "predictions.npz").write_bytes(BAD_PREDICTIONS[what])
    record["result"]["predictions_sha256"] = hashlib.sha256(BAD_PREDICTIONS[what]).hexdigest()
    with pytest.raises(Refused, match=r"^predictions\.npz: "):
        check_files(run, record)


def test_an_archive_is_not_opened_for_its_size(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, sound = load(run / RECORD), (run / "predictions.npz").read_bytes()
    (run / "predictions.npz").write_bytes(archive({f"prediction/{n}.npy": b"" for n in range(3000)}))
    with pytest.raises(Refused, match="its table of contents is too large"):
        check_files(run, record)
    (run / "predictions.npz").write_bytes(sound)
    record["result"]["count"] = [10**15] * 3  # a record may state any number of images
    monkeypatch.setattr(hostile, "MOST_MEMORY", 100)
    with pytest.raises(Refused, match="declare more than 100 bytes"):
        check_files(run, record)


def test_predictions_of_another_run_and_without_a_hash_are_refused(run: Path, tmp_path: Path) -> None:
    record = load(run / RECORD)
    other = write_run(tmp_path / "other", seed=1)
    (run / "predictions.npz").write_bytes((other / "predictions.npz").read_bytes())
    with pytest.raises(Refused, match="of another run"):
        check_files(run, record)
    record["result"]["predictions_sha256"] = None
    with pytest.raises(Refused, match="has no predictions"):
        check_files(run, record)


BAD_FILES = {
    "config.toml": [b"[run", b"a = 1\na = 2", b"\xff\xfe", b"a = " + b"[" * 100_000],
    "inputs.json": [b"{", b"[" * 100_000, b"\xff"],
    "profile.json": [b"nothing"],
    "events.jsonl": [b'{"event": 1}\nnothing\n', b"1\n"],
    "learner.safetensors": [b"", b"\x80\x04\x95", struct.pack("<Q", 1 << 60) + b"{}", b"\x02" + bytes(7) + b"{}x"],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, each in BAD_FILES.items() for data in each])
def test_other_files_that_are_not_sound_are_refused(name: str, data: bytes, run: Path) -> None:
    (run / name).write_bytes(data)
    with pytest.raises(Refused, match=f"^{name}: "):
        check_files(run, load(run / RECORD))


def test_a_log_that_would_control_a_terminal_is_escaped(run: Path) -> None:
    (run / "log.txt").write_bytes("ok\tfine\n\x1b[31mred\x07 \u202e \x9b".encode() + b"\xff\n")
    check_files(run, load(run / RECORD))
    assert (run / "log.txt").read_text(encoding="utf-8") == "ok\tfine\n\\x1b[31mred\\x07 \\u202e \\x9b\\xff\n"
