"""Work on accelerators: copies that the host need not wait for, number formats, kernels that repeat their bits.

On a CPU every function here takes the plain path, so its results do not depend on this module.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from cl.errors import UsageError

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""cuBLAS repeats the bits of its results only with a fixed workspace."""


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on `device`. A copy to a CUDA device starts from pinned memory, so the host does not wait for it."""
    device = torch.device(device)
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def ahead(batches: Iterable[tuple[Tensor, ...]], device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of each batch on `device`.

    On a CUDA device a stream of its own copies the next batch while the kernels of the current one run. So `batches` is
    one batch ahead of the reader, and must not depend on what the reader does with the current batch.
    """
    if device.type != "cuda":
        for tensors in batches:
            yield tuple(to_device(tensor, device) for tensor in tensors)
        return
    side = torch.cuda.Stream(device)

    def copied(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.cuda.stream(side):
            return tuple(to_device(tensor, device) for tensor in tensors)

    copies = map(copied, batches)
    following = next(copies, None)
    while following is not None:
        current = torch.cuda.current_stream(device)
        current.wait_stream(side)
        for tensor in following:
            tensor.record_stream(current)  # its memory is not reused before the kernels of this stream are done
        ready, following = following, next(copies, None)
        yield ready


def positions(classes: Sequence[int], device: torch.device) -> Tensor:
    """Integers as a tensor on `device`; on a CUDA device they are copied once and kept. Do not change the tensor."""
    if device.type == "cuda":
        return _kept(tuple(classes), torch.long, device)
    return torch.as_tensor(classes, dtype=torch.long, device=device)


def constants(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Numbers as a tensor of the type and device of `like`; as for `positions`."""
    return _kept(values, like.dtype, like.device) if like.device.type == "cuda" else like.new_tensor(values)


@lru_cache(maxsize=256)
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a kept tensor must work in training, too
        return torch.tensor(values, dtype=dtype, device=device)


def channels_last(model: nn.Module, device: torch.device) -> bool:
    """Whether a model is faster with channels as the last dimension: a network of convolutions on a CUDA device.

    A Vision Transformer has one convolution, which cuts the image into patches.
    """
    return device.type == "cuda" and sum(isinstance(module, nn.Conv2d) for module in model.modules()) > 1


def prepare(device: torch.device | str, precision: str) -> None:
    """Check that a device has a precision, and prepare it; call this before the first work on the device.

    Raises `UsageError` for "tf32" on a device other than CUDA.
    """
    device = torch.device(device)
    if device.type == "cuda":
        os.environ.setdefault(_WORKSPACE, ":4096:8")
    elif precision == "tf32":
        raise UsageError(
            f"--precision tf32 needs a CUDA device, and this run is on {device.type}; choose fp32 or bf16."
        )


@contextlib.contextmanager
def arithmetic(device: torch.device | str, precision: str) -> Iterator[None]:
    """The arithmetic of one run within a `with` block; nothing changes on a CPU.

    On a CUDA device "fp32" is true float32: PyTorch would round the inputs of convolutions to TF32 (10 bits of
    mantissa). "tf32" rounds those of matrix products and convolutions; weights, sums and other operators stay float32.
    Kernels are those that repeat their bits, so that a resumed run repeats an uninterrupted one on the same card;
    PyTorch warns of operators that have no such kernel.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # a module whose attributes are properties
    formats = matmul.allow_tf32, convolution.allow_tf32
    benchmark, fills = convolution.benchmark, memory.fill_uninitialized_memory
    repeats, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        matmul.allow_tf32 = convolution.allow_tf32 = precision == "tf32"
        convolution.benchmark = False  # it measures, so it may choose other kernels in a resumed run
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False  # costs time, and nothing here reads such memory
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = formats
        convolution.benchmark, memory.fill_uninitialized_memory = benchmark, fills
        torch.use_deterministic_algorithms(repeats, warn_only=warns)
