"""The OPCM step against the formulas of the paper, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from cl.parts.merging import added, linear_weights, norm, opcm_step, projected, task_vector
from tests.help.merging import BROKEN, MATRICES, broken, close, dense, refused, times, vectors


def by_hand(before: Tensor, change: Tensor, share: float, diagonal: bool) -> tuple[Tensor, int]:
    """The projection with full singular bases, entry by entry of Z; and r."""
    u, s, vh = torch.linalg.svd(before, full_matrices=True)
    z = u.T @ change @ vh.T
    r = sum(float(s[: n + 1].sum() / s.sum()) <= share for n in range(len(s)))
    for p in range(z.shape[0]):
        for q in range(z.shape[1]):
            if (p < r and q < r) or (diagonal and p == q):
                z[p, q] = 0
    return u @ z @ vh, r


def matrix(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("diagonal", [True, False])
def test_a_projection_zeroes_the_leading_block(shape: tuple[int, int], share: float, diagonal: bool) -> None:
    before, change = matrix(*shape), matrix(*shape, seed=1)
    expected, r = by_hand(before, change, share, diagonal)
    found = projected(before, change, share, diagonal=diagonal)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    u, _, vh = torch.linalg.svd(before, full_matrices=False)
    z = u.T @ found @ vh.T
    assert r == 0 or z[:r, :r].abs().max() < 1e-12
    assert (z.diagonal().abs().max() < 1e-12) == diagonal


def test_all_directions_leave_the_rectangular_complement() -> None:
    square = matrix(5, 5)
    assert projected(square, matrix(5, 5, seed=1), 1.0).abs().max() < 1e-12
    before, change = matrix(6, 4), matrix(6, 4, seed=1)
    u = torch.linalg.svd(before, full_matrices=False).U
    complement = change - u @ u.T @ change
    assert torch.allclose(projected(before, change, 1.0), complement, rtol=0, atol=1e-12)


def test_the_part_that_was_merged_before_is_removed() -> None:
    before = matrix(6, 4)
    assert projected(before, before, 0.5).abs().max() < 1e-12, "Z is the diagonal of the singular values"
    kept = projected(before, before, 0.5, diagonal=False)
    _, s, _ = torch.linalg.svd(before)
    r = int((s.cumsum(0) <= 0.5 * s.sum()).sum())
    assert torch.allclose(torch.linalg.svdvals(kept)[: 4 - r], s[r:], rtol=0, atol=1e-12)


def test_a_layer_without_changes_has_no_directions() -> None:
    change = matrix(6, 4)
    assert projected(torch.zeros(6, 4, dtype=torch.float64), change) is change


def test_the_mask_of_the_first_code_changes_nothing() -> None:
    z = matrix(4, 4)
    before = z.clone()
    z.diag().fill_(0)
    assert torch.equal(z, before), "torch.diag copies"


def test_a_step_against_the_formulas() -> None:
    merged, vector = vectors(2)
    found, scale = opcm_step(merged, vector, scale=1.7, length=2.5, matrices=MATRICES)
    sums = {}
    for name, change in vector.items():
        parts = MATRICES.get(name, 0)
        if parts:
            pairs = zip(merged[name].chunk(parts), change.chunk(parts), strict=True)
            change = torch.cat([by_hand(one, two, 0.5, True)[0] for one, two in pairs])
        sums[name] = 1.7 * merged[name] + change
    assert scale == pytest.approx(float(torch.linalg.norm(dense(sums))) / 2.5, rel=1e-12)
    close(found, times(1 / scale, sums))


def test_the_norm_is_the_mean_norm_after_every_step() -> None:
    given = vectors(6)
    merged, scale, norms = given[0], 1.0, [norm(given[0])]
    for vector in given[1:]:
        norms.append(norm(vector))
        length = sum(norms) / len(norms)
        merged, scale = opcm_step(merged, vector, scale=scale, length=length, matrices=MATRICES)
        assert norm(merged) == pytest.approx(length, rel=1e-12)


def test_inputs_do_not_change() -> None:
    merged, vector = vectors(2)
    opcm_step(merged, vector, scale=1.0, length=1.0, matrices=MATRICES)
    close(merged, vectors(2)[0], atol=0)
    close(vector, vectors(2)[1], atol=0)


def test_a_vector_of_zeros_changes_only_the_scale() -> None:
    merged, vector = vectors(2)
    found, scale = opcm_step(merged, times(0.0, vector), scale=2.0, length=norm(merged) / 2, matrices=MATRICES)
    assert scale == pytest.approx(4.0)
    close(found, times(0.5, merged))


def test_the_order_matters() -> None:
    one, two = vectors(2)
    length = (norm(one) + norm(two)) / 2
    forth, _ = opcm_step(one, two, scale=1.0, length=length, matrices=MATRICES)
    back, _ = opcm_step(two, one, scale=1.0, length=length, matrices=MATRICES)
    plain = [name for name in one if name not in MATRICES]
    assert all(not torch.allclose(forth[name], back[name], atol=1e-3) for name in MATRICES)
    ratio = dense({name: forth[name] for name in plain}) / dense({name: back[name] for name in plain})
    assert torch.allclose(ratio, ratio[0].expand_as(ratio)), "tensors that are added differ by the scale alone"


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind != "none"])
def test_what_cannot_be_merged_is_refused(kind: str) -> None:
    given, says = broken(kind)
    refused(lambda: opcm_step(*given, scale=1.0, length=1.0, matrices=MATRICES), says)


def test_an_undefined_scale_is_refused() -> None:
    one, _ = vectors(2)
    refused(
        lambda: opcm_step(one, times(-1.0, one), scale=1.0, length=1.0, matrices={}), "the sum of the task vectors is"
    )
    refused(lambda: opcm_step(one, one, scale=1.0, length=0.0, matrices={}), "give the mean norm of the task vectors")


@pytest.mark.parametrize(
    ("matrices", "says"),
    [
        ({"blocks.0.fc": 1}, r"no tensor 'blocks\.0\.fc' to project; give the names from linear_weights"),
        ({"blocks.0.qkv.weight": 5}, r"has the shape \[12, 4\], which is not that of 5 equal matrices"),
        ({"conv.weight": 1}, r"has the shape \[3, 2, 2, 2\], which is not that of 1 equal matrices"),
        ({"bias": 1}, r"has the shape \[5\]"),
    ],
)
def test_matrices_that_the_vectors_lack_are_refused(matrices: dict[str, int], says: str) -> None:
    one, two = vectors(2)
    refused(lambda: opcm_step(one, two, scale=1.0, length=1.0, matrices=matrices), says)


def test_only_two_matrices_of_one_shape_are_projected() -> None:
    refused(lambda: projected(matrix(3, 4), matrix(4, 3)), r"\[3, 4\] and \[4, 3\] cannot be projected")
    refused(lambda: projected(matrix(3), matrix(3)), "give two matrices of one shape")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_checkpoints_of_16_bits_are_projected_in_float32(dtype: torch.dtype) -> None:
    before, change = matrix(6, 4).to(dtype), matrix(6, 4, seed=1).to(dtype)
    found = projected(before, change)
    assert found.dtype == dtype
    assert torch.equal(found, projected(before.float(), change.float()).to(dtype))


def test_the_linear_layers_of_a_network_and_their_parts() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.kv, self.odd = nn.Linear(4, 12), nn.Linear(4, 8), nn.ModuleDict({"qkv": nn.Linear(4, 10)})
            self.attention, self.norm, self.conv = nn.MultiheadAttention(4, 2), nn.LayerNorm(4), nn.Conv2d(4, 4, 1)
            self.tied = self.kv

    expected = {"qkv.weight": 3, "kv.weight": 2, "odd.qkv.weight": 1, "attention.in_proj_weight": 3}
    assert linear_weights(Block()) == {**expected, "attention.out_proj.weight": 1}
    assert linear_weights(nn.Linear(2, 3)) == {"weight": 1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_checkpoints_of_a_timm_network_are_merged_one_after_another(dtype: torch.dtype) -> None:
    model: Any = timm.create_model("test_vit", num_classes=0).to(dtype)
    pretrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoints = []
    for seed in range(3):
        torch.manual_seed(seed)
        checkpoints.append({name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in pretrained.items()})

    given = [task_vector(weights, pretrained) for weights in checkpoints]
    merged, scale = given[0], 1.0
    for count in range(2, len(given) + 1):
        length = sum(norm(vector) for vector in given[:count]) / count
        merged, scale = opcm_step(merged, given[count - 1], scale=scale, length=length, matrices=linear_weights(model))
    model.load_state_dict(added(pretrained, merged))

    assert norm(merged) == pytest.approx(sum(map(norm, given)) / 3, rel=2e-3 if dtype == torch.bfloat16 else 1e-5)
    assert scale > 1 and torch.isfinite(model.eval()(torch.randn(2, 3, 160, 160, dtype=dtype))).all()


def test_there_is_one_decomposition_per_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, svd = [], torch.linalg.svd

    def counted(matrix: Tensor, full_matrices: bool = True) -> object:
        shapes.append((tuple(matrix.shape), full_matrices))
        return svd(matrix, full_matrices=full_matrices)

    monkeypatch.setattr(torch.linalg, "svd", counted)
    opcm_step(*vectors(2), scale=1.0, length=1.0, matrices=MATRICES)
    assert shapes == [((4, 4), False)] * 3 + [((6, 4), False)], "no null spaces"
