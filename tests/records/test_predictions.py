"""predictions.npz: the same arrays give the same bytes, and wrong ones are refused."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.errors import ContractError, DataError
from cl.records.predictions import (
    ABSENT,
    Predictions,
    check_predictions,
    predictions_sha256,
    read_predictions,
    write_predictions,
)


def example(**changes: Any) -> Predictions:
    table = np.array([[0, 1, ABSENT], [2, 1, 0]])
    base = Predictions(
        rows=np.array([7, 5, 100_000], dtype=np.int32),
        label=np.array([0, 1, 2], dtype=np.uint16),
        group=np.array([0, 0, 1], dtype=np.uint16),
        prediction={"cil_seen": table, "til_masked": table},
        margin={"cil_seen": np.array([[0.5, 1e9, np.nan], [0, 1, 2]])},
    )
    return replace(base, **changes)


def test_round_trip_with_fixed_types(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.npz", example())
    got = read_predictions(tmp_path / "predictions.npz")
    np.testing.assert_array_equal(got.rows, [7, 5, 100_000])
    assert [array.dtype.name for array in (got.rows, got.label, got.group)] == ["int32", "uint16", "uint16"]
    assert set(got.prediction) == {"cil_seen", "til_masked"}
    assert got.prediction["cil_seen"].dtype == np.uint16
    np.testing.assert_array_equal(got.prediction["cil_seen"], example().prediction["cil_seen"])
    assert got.margin["cil_seen"].dtype == np.float16
    # Margins beyond the range of float16 stay finite, absent ones stay NaN.
    np.testing.assert_array_equal(got.margin["cil_seen"], [[0.5, 65504, np.nan], [0, 1, 2]])


def test_bytes_depend_on_the_arrays_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    digest = write_predictions(first, example())
    turned = dict(reversed(list(example().prediction.items())))
    wide = {rule: np.asfortranarray(table.astype(np.int64)) for rule, table in turned.items()}
    assert write_predictions(second, example(prediction=wide, rows=[7, 5, 100_000])) == digest
    assert first.read_bytes() == second.read_bytes()
    assert digest == predictions_sha256(example()) == predictions_sha256(read_predictions(first))
    assert write_predictions(second, example(label=np.array([0, 1, 3]))) != digest


def test_files_are_compressed_and_uncompressed_ones_are_read_with_the_same_hash(tmp_path: Path) -> None:
    small, plain = tmp_path / "small.npz", tmp_path / "plain.npz"
    digest = write_predictions(small, example())
    with np.load(small) as archive:
        arrays = {name: archive[name] for name in archive.files}
    with zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as archive:  # as version 0.1.0 wrote them
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0))
            archive.writestr(entry, content.getvalue())
    assert predictions_sha256(read_predictions(plain)) == digest == hashlib.sha256(plain.read_bytes()).hexdigest()
    many = example(rows=np.arange(3000), label=np.zeros(3000, int), group=np.zeros(3000, int), margin={},
                   prediction={"cil_seen": np.zeros((9, 3000), int)})  # fmt: skip
    write_predictions(small, many)
    assert small.stat().st_size < 9 * 3000, "54,000 bytes of predictions, compressed"


def test_the_system_that_wrote_the_file_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = write_predictions(tmp_path / "a.npz", example())
    monkeypatch.setattr("sys.platform", "win32")  # what zipfile asks for the system it records
    assert write_predictions(tmp_path / "b.npz", example()) == digest


def test_no_evaluation_yet(tmp_path: Path) -> None:
    empty = example(prediction={}, margin={})
    write_predictions(tmp_path / "predictions.npz", empty)
    assert read_predictions(tmp_path / "predictions.npz").prediction == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"label": np.array([0, 1])},
        {"prediction": {"cil_seen": np.zeros((2, 4), dtype=int)}},
        {"prediction": {"cil_seen": np.zeros((3, 3), dtype=int)}},
        {"prediction": {"cil_seen": np.zeros(3, dtype=int)}, "margin": {}},
        {"label": np.array([0, 1, 65536])},
        {"prediction": {"cil_seen": np.full((2, 3), -1)}},
        {"rows": np.array([0.5, 1, 2])},
    ],
)
def test_wrong_shapes_and_values_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="Predictions: "):
        write_predictions(tmp_path / "predictions.npz", example(**changes))
    assert list(tmp_path.iterdir()) == []


def test_damaged_and_missing_files_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    with pytest.raises(DataError, match=r"predictions\.npz"):
        read_predictions(path)
    write_predictions(path, example())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"predictions\.npz"):
        read_predictions(path)
    np.savez(path, rows=np.arange(3))
    with pytest.raises(DataError, match="label"):
        read_predictions(path)


def archive_of(path: Path, **changes: Any) -> Path:
    """A predictions file with some arrays replaced, by name with `__` for the slash; None leaves one out."""
    write_predictions(path, example())
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays |= {name.replace("__", "/"): value for name, value in changes.items()}
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"prediction__cil_seen": np.zeros((2, 1), np.uint16)},
        {"prediction__cil_seen": np.zeros(3, np.uint16)},
        {"prediction__cil_seen": np.array(0, np.uint16)},
        {"prediction__cil_seen": np.full((2, 3), "a")},
        {"margin__cil_seen": np.zeros((2, 3), np.int16)},
        {"label": np.zeros(2, np.uint16)},
        {"rows": np.array(3)},
        {"group": None},
    ],
    ids=["narrow", "1-d", "0-d", "text", "margin", "short", "scalar", "missing"],
)
def test_arrays_that_were_never_written_so_are_damage(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = archive_of(tmp_path / "predictions.npz", **changes)
    with pytest.raises(DataError, match=r"Cannot read predictions from .*predictions\.npz \("):
        read_predictions(path)


def npz(path: Path, header: bytes, data: bytes = b"", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A predictions file whose array `rows` has this header."""
    whole = archive_of(path)
    with zipfile.ZipFile(whole) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["rows.npy"] = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("header", "data", "says"),
    [
        (b"{'descr': '<i4', 'fortran_order': False, 'shape': (900000000000,)}\n", b"", "declares"),
        (b"{'descr': '<i4', 'fortran_order': False, 'shape': (3, -1, -1)}\n", bytes(12), "declares"),
        (b"{'descr': '<i4', 'fortran_order': False, 'shape': (" + b"9" * 400 + b",)}\n", b"", "declares"),
        (b"{'descr': '<i4', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b",)}\n", b"", ""),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}\n", b"cos\nsystem\n(S'false'\ntR.", "rows has type"),
        (b"{'descr': '<U9', 'fortran_order': False, 'shape': (3,)}\n", bytes(108), "rows has type"),
        (b"{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (3,)}\n", bytes(12), "rows has type"),
        (b"[" * 4000, b"", ""),
        (b"", b"", ""),
    ],
    ids=["huge", "negative", "400 digits", "5,000 digits", "pickle", "text", "fields", "deep", "empty"],
)
def test_headers_are_checked_before_anything_is_allocated(
    tmp_path: Path, header: bytes, data: bytes, says: str
) -> None:
    path = npz(tmp_path / "predictions.npz", header, data)
    with pytest.raises(DataError, match=rf"Cannot read predictions from .*predictions\.npz \(.*{says}"):
        read_predictions(path)


def test_archives_that_unpack_to_more_than_allowed_are_not_unpacked(tmp_path: Path) -> None:
    path = npz(
        tmp_path / "predictions.npz", b"{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}\n", bytes(1 << 20)
    )
    with pytest.raises(DataError, match="declare more than 1,000 bytes"):
        read_predictions(path, most=1000)
    npz(path, b"{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}\n", bytes(12), zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match="another compression"):
        read_predictions(path)


def test_several_rules_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    write_predictions(path, example())
    got = read_predictions(path, ("til_masked", "dil", "cil_seen"))
    assert set(got.prediction) == {"cil_seen", "til_masked"} and not got.margin
    np.testing.assert_array_equal(got.prediction["til_masked"], example().prediction["til_masked"])
    with pytest.raises(DataError, match="prediction/dil"):
        read_predictions(path, "dil")


def test_a_file_is_checked_against_the_hash_of_its_record(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    digest = write_predictions(path, example())
    assert set(check_predictions(path, digest).prediction) == {"cil_seen", "til_masked"}
    for wrong in ("0" * 64, None):
        with pytest.raises(DataError, match=r"predictions\.npz is damaged or of another run: .*; run it again with"):
            check_predictions(path, wrong)
    np.savez(path, rows=np.arange(3) - 1, label=np.arange(3), group=np.arange(3))
    with pytest.raises(DataError, match="rows needs integers from 0 to 2147483647"):
        check_predictions(path, digest)
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        check_predictions(path, digest)


def test_a_plain_array_is_no_archive(tmp_path: Path) -> None:
    with open(tmp_path / "predictions.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="it is no archive"):
        read_predictions(tmp_path / "predictions.npz")


def test_every_flipped_byte_is_damage_or_changes_no_array(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    digest = write_predictions(path, example())
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = predictions_sha256(read_predictions(path))
        except (DataError, ContractError):
            continue
        assert found == digest, place


def test_other_types_of_integers_are_read_as_the_fixed_ones(tmp_path: Path) -> None:
    arrays = {"rows": np.array([1, 2], np.uint64), "label": np.array([0, 1], np.int64)}
    arrays |= {"group": np.zeros(2, np.uint64), "prediction/cil_seen": np.array([[0, 1]], np.int64)}
    np.savez(tmp_path / "p.npz", **arrays)  # type: ignore[arg-type]
    found = read_predictions(tmp_path / "p.npz")
    assert [array.dtype.name for array in (found.rows, found.label, found.group)] == ["int32", "uint16", "uint16"]
    assert found.prediction["cil_seen"].dtype == np.uint16
    np.savez(tmp_path / "p.npz", **{**arrays, "label": np.array([0, -1])})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"label needs integers from 0 to 65535.*--existing always"):
        read_predictions(tmp_path / "p.npz")


def test_files_of_incomplete_runs_hold_the_same_without_compression(tmp_path: Path) -> None:
    small, large = tmp_path / "small.npz", tmp_path / "large.npz"
    digest = write_predictions(small, example())
    assert write_predictions(large, example(), compressed=False) == digest
    assert predictions_sha256(read_predictions(large)) == predictions_sha256(read_predictions(small)) == digest
    with zipfile.ZipFile(small) as one, zipfile.ZipFile(large) as two:
        assert {entry.compress_type for entry in one.infolist()} == {zipfile.ZIP_DEFLATED}
        assert {entry.compress_type for entry in two.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize(("answered", "small"), [(25, True), (26, False)])
def test_files_of_incomplete_runs_are_compressed_if_few_images_have_an_answer(
    answered: int, small: bool, tmp_path: Path
) -> None:
    images = 4000
    table = np.full((100, images), ABSENT)
    table[:answered] = np.random.default_rng(0).integers(0, 1000, (answered, images))
    margin = np.where(table == ABSENT, np.nan, 0.5)
    index = np.arange(images)
    found = Predictions(index, index % 1000, index % 100, {"til_oracle": table}, {"til_oracle": margin})
    path = tmp_path / "predictions.npz"
    assert write_predictions(path, found, compressed=False) == predictions_sha256(found)
    assert (path.stat().st_size < 2 * 2 * images * answered) == small
    assert predictions_sha256(read_predictions(path)) == predictions_sha256(found)
