"""Task vectors that are kept: dense, by low-rank factors, or as signs; bytes, state and devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl.errors import ContractError
from cl.parts.merging import FORMS, MergedVector, TaskVectors, average, pcb, smallest_kept, ties
from cl.training import state
from tests.help.merging import SHAPES, Vector, close, dense, vectors


def kept(form: str, given: list[Vector], **options: Any) -> TaskVectors:
    found = TaskVectors(form, **options)
    for vector in given:
        found.add(vector)
    return found


def test_dense_vectors_are_kept_as_they_are() -> None:
    given = vectors(3)
    found = kept("dense", given)
    assert len(found) == 3 and state.nbytes(found.get_state()) == 3 * 8 * len(dense(given[0]))
    for one, two in zip(found, given, strict=True):
        close(one, two, atol=0)


def test_low_rank_vectors_keep_the_leading_directions() -> None:
    given = vectors(1)
    found = kept("low-rank", given, rank=2)
    for name, tensor in given[0].items():
        matrix = tensor.flatten(1) if tensor.ndim > 1 else tensor.reshape(1, -1)
        if 2 * sum(matrix.shape) >= matrix.numel():
            expected = tensor  # factors would be no smaller
        else:
            u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
            expected = (u[:, :2] * s[:2] @ vh[:2]).reshape(tensor.shape)
        assert torch.allclose(found[0][name], expected, rtol=0, atol=1e-12), name
    assert not torch.equal(found[0]["blocks.0.qkv.weight"], given[0]["blocks.0.qkv.weight"])
    # qkv: 2 * (12 + 4) of 48 values; fc: 2 * (6 + 4) of 24; the convolution: 2 * (3 + 8) of 24; bias and gain
    assert state.nbytes(found.get_state()) == 8 * (32 + 20 + 22 + 5 + 1)


def test_factors_of_full_rank_are_exact_or_not_made() -> None:
    given = [{"a": torch.randn(40, 3, dtype=torch.float64) @ torch.randn(3, 40, dtype=torch.float64)}]
    close(kept("low-rank", given, rank=3)[0], given[0], atol=1e-10)
    assert kept("low-rank", given, rank=20)[0]["a"] is given[0]["a"]


def test_signs_and_one_scale() -> None:
    given = vectors(1)
    found = kept("ternary", given, keep=0.3)
    limit, values, decoded = smallest_kept(given[0], 0.3), dense(given[0]), dense(found[0])
    large = values.abs() >= limit
    assert int(large.sum()) == int(0.3 * len(values)) + 1
    assert torch.allclose(decoded, torch.where(large, values.sign() * values[large].abs().mean(), 0), rtol=0, atol=1e-6)
    bits = sum(2 * -(-torch.zeros(shape).numel() // 8) for shape in SHAPES.values())
    assert state.nbytes(found.get_state()) == bits + 8 * len(SHAPES), "two bits per value, and the scale per tensor"


def test_signs_of_zeros_are_zero() -> None:
    found = kept("ternary", [{"a": torch.zeros(9)}])
    assert torch.equal(found[0]["a"], torch.zeros(9))


@pytest.mark.parametrize("form", FORMS)
def test_kept_vectors_merge_like_dicts(form: str) -> None:
    found = kept(form, vectors(3, dtype=torch.float32), rank=2)
    plain = [{name: tensor for name, tensor in vector.items()} for vector in found]
    for merge in (average, ties, pcb):
        close(merge(found), merge(plain), atol=0)
    assert [list(vector) for vector in found[1:]] == [list(SHAPES)] * 2 and len(found[0]) == len(SHAPES)


@pytest.mark.parametrize("form", FORMS)
def test_the_state_survives_a_file(form: str, tmp_path: Path) -> None:
    found = kept(form, vectors(2, dtype=torch.float32), rank=2)
    state.save(tmp_path / "state", state.get(found))
    again = TaskVectors(form, rank=2)
    again.set_state(state.load(tmp_path / "state"))
    assert len(again) == 2
    for one, two in zip(again, found, strict=True):
        close(one, two, atol=0)


def test_they_count_as_parameters_and_are_forgotten() -> None:
    found, merged = kept("dense", vectors(2)), MergedVector()
    assert found.stores == merged.stores == "parameters"
    found.clear()
    assert len(found) == 0 and found.get_state() == []


def test_a_merged_vector_is_replaced_as_a_whole() -> None:
    merged = MergedVector()
    assert merged.get_state() == {}
    merged.set_state(vectors(1)[0])
    before = merged.values
    merged.set_state(vectors(1, seed=1)[0])
    assert merged.values is not before
    close(before, vectors(1)[0], atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_factors_of_16_bits_take_two_bytes_a_value(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 2, generator=generator), torch.randn(2, 40, generator=generator)
    found = kept("low-rank", [{"a": (a @ b).to(dtype)}], rank=2)
    assert state.nbytes(found.get_state()) == 2 * 2 * 80 and found[0]["a"].dtype == dtype
    assert torch.allclose(found[0]["a"].float(), a @ b, rtol=0.02, atol=0.05)


def test_an_unknown_form_is_a_contract_error() -> None:
    with pytest.raises(ContractError, match="task vectors are kept dense, low-rank, ternary, not 'sparse'"):
        TaskVectors("sparse")
    with pytest.raises(ContractError, match="rank=0: give the singular directions to keep"):
        TaskVectors("low-rank", rank=0)
