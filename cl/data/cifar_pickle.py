"""Safe reading of CIFAR's pickles: no code from the file runs, and NumPy never parses a dtype from it."""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

import numpy as np

from cl.errors import DataError


def load_cifar_pickle(data: bytes, name: str) -> dict[str, Any]:
    """Load one batch of CIFAR's Python version: strings, numbers, lists and integer arrays.

    `name` is used in errors. Raises `DataError` for a file that is damaged, malicious or of another kind.
    """
    try:
        batch = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(batch, dict):
            raise pickle.UnpicklingError("it is not a dictionary")
        return {key: _flat(key, value) for key, value in batch.items()}
    except Exception as error:  # random opcodes of a damaged pickle can raise anything
        raise DataError(f"{name} is not a CIFAR batch ({error}); delete it and run again.") from error


def _flat(key: str, value: Any) -> Any:
    """Check and unwrap a value; nested lists are refused, since shared references could expand to fill the memory."""
    if isinstance(value, _Array):
        return value.value
    for item in value if isinstance(value, list) else (value,):
        if not isinstance(item, str | bytes | int):
            raise pickle.UnpicklingError(f"its {key!r} holds a {type(item).__name__}, which no CIFAR file does")
    return value


class _Dtype:
    """Replaces numpy.dtype, which parses structures from its name and takes unsafe flags from its state."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in ("b1", "u1", "i4", "i8"):
            raise pickle.UnpicklingError(f"it asks for the dtype {code!r}, which no CIFAR file needs")
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Replaces numpy.ndarray during reconstruction from (version, shape, dtype, is_fortran, bytes)."""

    value: np.ndarray

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        content = raw.encode("latin1") if isinstance(raw, str) else bytes(memoryview(raw))
        order = dtype.order if dtype.order in ("<", ">") else ""
        self.value = np.frombuffer(content, order + dtype.code).reshape(shape, order="F" if fortran else "C")


def _latin1(text: str, encoding: str) -> bytes:
    """Decodes bytes that Python 3 wrote into a pickle for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}, which no CIFAR file needs")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle._Unpickler):
    """Refuses every name except those needed, before it is imported.

    Uses the Python implementation, fast enough for a batch, because a damaged index makes the C implementation allocate
    gigabytes. Byte arrays of protocol 5 are removed: they are allocated by their declared length.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    del dispatch[pickle.BYTEARRAY8[0]]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file needs") from None
