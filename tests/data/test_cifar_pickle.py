"""CIFAR's pickles: the originals load; hostile and damaged ones are refused."""

from __future__ import annotations

import codecs
import io
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data.cifar_pickle import load_cifar_pickle
from cl.errors import DataError


def test_a_pickle_that_names_itself_a_billion_times_is_refused() -> None:
    value: Any = ["x"]
    for _ in range(30):
        value = [value, value]
    with pytest.raises(DataError, match="holds a list, which no CIFAR file does"):
        load_cifar_pickle(pickle.dumps({"fine_label_names": value}, protocol=2), "meta")


def test_a_pickle_that_claims_memory_is_refused() -> None:
    claim = b"\x80\x05" + pickle.BYTEARRAY8 + (1 << 30).to_bytes(8, "little") + b"."
    with pytest.raises(DataError, match=f"is not a CIFAR batch .{pickle.BYTEARRAY8[0]}"):  # the code it refuses
        load_cifar_pickle(claim, "meta")


class Hostile:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "function", [os.system, subprocess.run, eval, exec, getattr, io.open, np.load, np.save, pickle.loads, __import__]
)
def test_a_hostile_pickle_is_refused_before_anything_is_imported(function: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = pickle.dumps({"data": Hostile(function, f"touch {marker}")}, protocol=2)
    with pytest.raises(DataError, match=r"x is not a CIFAR batch \(it asks for"):
        load_cifar_pickle(data, "x")
    assert not marker.exists()


def test_damaged_pickles_are_data_errors() -> None:
    good = pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 1]}, protocol=2)
    assert load_cifar_pickle(good, "x")["data"].shape == (2, 3072)
    for data in (b"", good[:40], good[:-1], b"\x80\x02]q\x00.", b"hello", b"\x80\x02K"):
        with pytest.raises(DataError, match="x is not a CIFAR batch"):
            load_cifar_pickle(data, "x")
    for place in range(2, 200):  # a flipped byte either loads or is refused, and raises nothing else
        damaged = bytearray(good)
        damaged[place] ^= 0x21
        try:
            load_cifar_pickle(bytes(damaged), "x")
        except DataError as error:
            assert "x is not a CIFAR batch" in str(error)


def test_dtypes_and_encodings_that_no_batch_needs_are_refused() -> None:
    for value in (np.zeros(2, object), np.zeros(2, "f8,i4"), np.zeros(2, "S4"), Hostile(codecs.encode, "x", "zlib")):
        with pytest.raises(DataError, match=r"it asks for the (dtype|encoding)"):
            load_cifar_pickle(pickle.dumps({"data": value}, protocol=2), "x")


def test_pickles_of_python_2_load() -> None:
    """The originals are protocol 2 from Python 2, with byte strings and the array's data as a latin-1 string."""
    raw = bytes([0, 200, 255])
    data = (
        b"\x80\x02}q\x01(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01K\x03"
        b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03"
        + raw
        + b"tbu."
    )
    assert load_cifar_pickle(data, "x")["data"].tolist() == [[0, 200, 255]]
