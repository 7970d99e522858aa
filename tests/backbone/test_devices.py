"""Copies to accelerators, their number formats and layouts, without such a device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from cl.backbone import devices
from cl.backbone.devices import ahead, arithmetic, channels_last, constants, positions, prepare, to_device
from cl.backbone.model import load
from cl.errors import UsageError
from cl.testing import tiny_backbone
from tests.help.backbones import conv_backbone

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def batches(events: list[str], count: int = 3) -> Iterator[tuple[Tensor, Tensor]]:
    for number in range(count):
        events.append(f"make {number}")
        yield torch.full((2,), number), torch.tensor([number])


def test_a_cpu_gets_the_tensors_themselves_when_it_asks_for_them() -> None:
    events: list[str] = []
    found = []
    for x, y in ahead(batches(events), CPU):
        events.append("use")
        found.append((x.tolist(), y.tolist()))
    assert events == ["make 0", "use", "make 1", "use", "make 2", "use"]
    assert found == [([0, 0], [0]), ([1, 1], [1]), ([2, 2], [2])]
    tensor = torch.ones(1)
    assert to_device(tensor, "cpu") is tensor


def test_the_copy_of_the_next_batch_begins_before_the_current_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    inside: list[str] = ["main"]

    class Stream:
        def __init__(self, device: torch.device) -> None:
            assert device.type == "cuda"

        def wait_stream(self, other: Stream) -> None:
            events.append("wait")

    @contextlib.contextmanager
    def stream(side: Stream) -> Iterator[None]:
        inside.append("side")
        yield
        inside.pop()

    def copy(tensor: Tensor, device: torch.device) -> Tensor:
        if tensor.ndim and len(tensor) == 2:
            events.append(f"copy {int(tensor[0])} on {inside[-1]}")
        return tensor

    main = Stream(CUDA)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(Tensor, "record_stream", lambda self, by: events.append("record") if by is main else None)
    monkeypatch.setattr(devices, "to_device", copy)
    for x, _ in ahead(batches(events, 2), CUDA):
        events.append(f"use {int(x[0])}")
    assert events == [
        *("make 0", "copy 0 on side", "wait", "record", "record"),
        *("make 1", "copy 1 on side", "use 0", "wait", "record", "record", "use 1"),
    ]
    assert list(ahead(iter(()), CUDA)) == []


def test_numbers_become_tensors() -> None:
    assert positions([3, 1], CPU).tolist() == [3, 1] and positions([], CPU).dtype == torch.long
    like = torch.ones(1, dtype=torch.float64)
    assert constants((0.1, 0.2), like).dtype == torch.float64 and constants((0.1,), like).item() == 0.1


def formats() -> dict[str, Any]:
    return {
        "matmul": torch.backends.cuda.matmul.allow_tf32, "convolution": torch.backends.cudnn.allow_tf32,
        "benchmark": torch.backends.cudnn.benchmark, "repeats": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fills": cast(Any, torch.utils.deterministic).fill_uninitialized_memory,
    }  # fmt: skip


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_fp32_is_true_float32_on_a_cuda_device_and_kernels_repeat(precision: str) -> None:
    before = formats()
    assert before["convolution"], "PyTorch's default rounds convolutions to TF32"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), arithmetic("cuda", precision):
            inside = formats()
            raise ZeroDivisionError
        assert inside["matmul"] is inside["convolution"] is (precision == "tf32")
        assert inside["repeats"] and inside["warns"] and not inside["benchmark"] and not inside["fills"]
        assert formats() == before
    with arithmetic("cpu", "fp32"):
        assert formats() == before


def test_tf32_is_refused_without_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with pytest.raises(UsageError, match="needs a CUDA device, and this run is on cpu; choose fp32 or bf16"):
        prepare("cpu", "tf32")
    prepare("cpu", "fp32")
    assert "CUBLAS_WORKSPACE_CONFIG" not in devices.os.environ
    prepare("cuda:1", "tf32")
    assert devices.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_features_of_another_arithmetic_are_not_shared() -> None:
    names = {p: load("resnet10t@random", precision=p).key for p in ("fp32", "bf16", "tf32")}
    assert len(set(names.values())) == 3 and names["fp32"].endswith(":float32") and names["tf32"].endswith(":tf32")


def test_networks_of_convolutions_keep_channels_last_on_a_cuda_device() -> None:
    assert channels_last(conv_backbone().model, CUDA) and not channels_last(conv_backbone().model, CPU)
    assert not channels_last(tiny_backbone().model, CUDA), "a Vision Transformer has one convolution"
