"""Task vectors: subtraction, addition, norms, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from cl.parts.merging import added, average, check_moved, check_vectors, norm, task_vector
from cl.parts.merging.vectors import check_alike, flat, order_statistic, stacked
from tests.help.merging import BROKEN, broken, close, dense, refused, vectors


def dyadic(seed: int) -> dict[str, torch.Tensor]:
    """A checkpoint whose values are multiples of 1/1024, so float64 adds and subtracts them exactly."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": torch.randint(-4096, 4096, (6, 5), generator=generator).double() / 1024,
        "running_var": torch.randint(1, 4096, (5,), generator=generator).double() / 1024,
        "num_batches_tracked": torch.tensor(seed),
    }


def test_a_vector_added_to_its_origin_gives_the_weights_bit_for_bit() -> None:
    origin, weights = dyadic(1), dyadic(2)
    vector = task_vector(weights, origin)
    assert list(vector) == ["weight", "running_var"], "counts of batches are left out"
    again = added(origin, vector)
    assert torch.equal(again["weight"], weights["weight"]) and torch.equal(again["running_var"], weights["running_var"])
    assert again["num_batches_tracked"] is origin["num_batches_tracked"]
    back = added(again, vector, scale=-1.0)
    assert torch.equal(back["weight"], origin["weight"]) and list(back) == list(origin)


def test_a_variance_is_never_negative() -> None:
    origin, vector = dyadic(1), {"running_var": torch.full((5,), -100.0, dtype=torch.float64)}
    assert added(origin, vector)["running_var"].tolist() == [0.0] * 5
    named = {"mean": origin["weight"]}
    assert (added(named, {"mean": torch.full((6, 5), -100.0)})["mean"] < 0).all(), "other tensors may be"


def test_a_vector_needs_no_graph() -> None:
    layer = torch.nn.Linear(2, 2)
    origin = {name: tensor.detach().clone() for name, tensor in layer.named_parameters()}
    with torch.no_grad():
        layer.weight.add_(1)
    vector = task_vector(dict(layer.named_parameters()), origin)
    assert not any(tensor.requires_grad for tensor in vector.values())


def test_the_norm_is_that_of_all_tensors_together() -> None:
    vector = vectors(1)[0]
    assert norm(vector) == pytest.approx(float(torch.linalg.norm(dense(vector))), rel=1e-12)
    assert norm({"large": torch.full((10_000,), 300.0, dtype=torch.float16)}) == pytest.approx(30_000.0)


def test_all_values_are_float32_or_wider() -> None:
    assert flat({"a": torch.ones(2, dtype=torch.bfloat16)}).dtype == torch.float32
    assert flat(vectors(1)[0]).dtype == torch.float64
    assert torch.equal(flat(vectors(1)[0]), dense(vectors(1)[0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_order_statistics_are_those_of_the_sorted_sizes(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    vector = {"a": torch.randn(7, 5, generator=generator).to(dtype), "b": torch.randn(9, generator=generator).to(dtype)}
    vector["b"][:4] = torch.tensor([0.0, -0.0, 1.0, -1.0])
    order = flat(vector).abs().sort().values
    assert [order_statistic(vector, place) for place in range(len(order))] == order.tolist()


def test_tensors_are_stacked_one_by_one() -> None:
    given = vectors(3)
    for name, values in stacked(given):
        assert torch.equal(values, torch.stack([vector[name] for vector in given]))


@pytest.mark.parametrize("kind", BROKEN)
def test_vectors_of_other_networks_are_refused(kind: str) -> None:
    given, says = broken(kind)
    refused(lambda: list(stacked(given)), says)
    if kind not in ("finite", "none"):
        refused(lambda: check_alike(given), says)
        refused(lambda: task_vector(given[1], given[0]), says)


def test_a_name_that_only_the_first_has_is_said() -> None:
    one, two = vectors(2)
    del two["bias"]
    refused(lambda: check_alike([one, two]), "only checkpoint 0 has a tensor 'bias'")


def test_a_checkpoint_that_is_not_finite_is_refused() -> None:
    one, two = vectors(2)
    refused(
        lambda: task_vector({**two, "bias": torch.full((5,), torch.inf)}, one), "'bias' .* not finite; leave it out"
    )


def test_a_vector_of_another_network_is_not_added() -> None:
    one, two = vectors(2)
    refused(lambda: added(one, {**two, "head.weight": torch.ones(2)}), "the weights have no tensor 'head.weight'")
    says = r"'bias' has the shape \[5\] in the weights and \[\] in the vector"
    refused(lambda: added(one, {"bias": torch.ones(())}), says)


def test_what_is_no_list_of_dicts_is_refused() -> None:
    one, two = vectors(2)
    layer = torch.nn.Linear(2, 2)
    refused(lambda: average(one), "^a dict was given; give a list of checkpoints")  # type: ignore[arg-type]
    refused(lambda: average(v for v in (one, two)), "^a generator was given")  # type: ignore[arg-type]
    refused(lambda: average([one, layer]), r"^checkpoint 1 is a Linear; .*model\.state_dict\(\)")  # type: ignore[list-item]
    refused(lambda: task_vector(layer, one), "^checkpoint 1 is a Linear")  # type: ignore[arg-type]


def test_checkpoints_on_other_devices_are_refused() -> None:
    one, two = vectors(2)
    away = {name: tensor.to("meta") for name, tensor in two.items()}
    refused(lambda: average([one, away]), "on cpu in checkpoint 0 and on meta in checkpoint 1; .* same map_location")


def test_a_checkpoint_with_counts_is_no_task_vector() -> None:
    one = {**vectors(1)[0], "num_batches_tracked": torch.tensor(3)}
    check_alike([one, one])
    refused(lambda: check_vectors([one, one]), "'num_batches_tracked' holds whole numbers, .* give task vectors, from")


def test_a_vector_of_zeros_is_refused() -> None:
    zero = {name: torch.zeros_like(tensor) for name, tensor in vectors(1)[0].items()}
    refused(lambda: check_moved(zero, "the vector of task 3"), "^the vector of task 3 is zero.*raise the learning rate")
    check_moved({**zero, "gain": torch.ones(())})


def test_two_checkpoints_of_a_timm_network_merge_in_three_lines() -> None:
    model: Any = timm.create_model("test_resnet", num_classes=3)
    pretrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoints = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        checkpoints.append(
            {
                name: tensor + 0.01 * torch.rand(tensor.shape, generator=generator)
                if tensor.is_floating_point()
                else tensor + 7
                for name, tensor in pretrained.items()
            }
        )

    merged = average([task_vector(weights, pretrained) for weights in checkpoints])
    model.load_state_dict(added(pretrained, merged))

    found, mean = model.state_dict(), average(checkpoints)
    floating = [name for name, tensor in mean.items() if tensor.is_floating_point()]
    close({name: found[name] for name in floating}, {name: mean[name] for name in floating}, atol=1e-6)
    assert found["bn1.num_batches_tracked"] == 0 and mean["bn1.num_batches_tracked"] == 7
    assert torch.isfinite(model.eval()(torch.randn(2, 3, 64, 64))).all()
