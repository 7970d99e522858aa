"""Class orders as the papers draw them."""

from __future__ import annotations

import random

import numpy as np

from cl.settings.orders import class_order


def test_pycil_order_is_that_of_the_papers() -> None:
    order = class_order("pycil", 100, 1993)
    assert order[:20].tolist() == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89, 3, 92, 55, 9, 26, 80, 43, 38]
    assert class_order("pycil", 200, 1993)[:10].tolist() == [168, 136, 51, 9, 183, 101, 171, 99, 42, 159]


def test_python_and_coda_orders_shuffle_as_the_standard_library() -> None:
    expected = list(range(100))
    random.Random(42).shuffle(expected)
    assert class_order("python", 100, 42).tolist() == expected == class_order("coda", 100, 42).tolist()
    assert class_order("coda", 100, 0).tolist() == list(range(100)) == class_order("natural", 100, 7).tolist()
    assert class_order("python", 100, 0).tolist() != list(range(100))


def test_orders_leave_the_global_generators_alone() -> None:
    before = (random.getstate(), np.random.get_state(legacy=True)[1].tobytes())  # type: ignore[index]
    for rule in ("pycil", "python", "coda", "natural"):
        class_order(rule, 10, 3)
    assert before == (random.getstate(), np.random.get_state(legacy=True)[1].tobytes())  # type: ignore[index]


def test_the_class_order_is_that_of_papers() -> None:
    order = class_order("pycil", 200, 1993)
    assert order[:20].tolist() == np.random.RandomState(1993).permutation(200)[:20].tolist()
    assert order[:10].tolist() == [168, 136, 51, 9, 183, 101, 171, 99, 42, 159]
