"""The tables of the field, against multiplication bit by bit."""

import random

import numpy as np
import pytest

from p2pnode.coding.field import FIELD_SIZE, ORDER, ZERO_LOG, multiply, tables
from tests.coding import slow_code


def test_every_product_is_the_one_by_definition(rng: random.Random) -> None:
    first = [0, 0, 1, 65535, *(rng.randrange(FIELD_SIZE) for _ in range(200))]
    second = [0, 7, 65535, 65535, *(rng.randrange(FIELD_SIZE) for _ in range(200))]
    products = multiply(np.array(first, dtype=np.uint16), tables().log[second])
    assert products.tolist() == [slow_code.label_times(a, b) for a, b in zip(first, second, strict=True)]


def test_the_logarithms_are_those_of_the_spec() -> None:
    """LOG[v] = dlog[std(v)], where dlog counts the multiplications by x from 1."""
    log, state = tables().log, 1
    by_element = {slow_code.element_of(label): label for label in range(FIELD_SIZE)}
    for power in range(ORDER):
        if power % 97 == 0:
            assert log[by_element[state]] == power
        state = slow_code.times(state, 2)
    assert state == 1


def test_powers_undo_logarithms_and_repeat_after_the_order_of_the_group() -> None:
    field = tables()
    labels = np.arange(1, FIELD_SIZE)
    assert (field.exp[field.log[labels]] == labels).all()
    assert (field.exp[field.log[labels] + ORDER] == labels).all()


def test_zero_times_anything_is_zero() -> None:
    field = tables()
    everything = np.arange(FIELD_SIZE, dtype=np.uint16)
    assert not multiply(everything, field.log[np.zeros(1, dtype=np.intp)]).any()
    assert not multiply(np.zeros(FIELD_SIZE, dtype=np.uint16), field.log).any()
    assert ZERO_LOG % ORDER == 0


def test_the_tables_are_shared_and_nobody_can_change_them() -> None:
    assert tables() is tables()
    for table in (tables().log, tables().exp):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
