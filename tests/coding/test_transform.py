"""The fast transform: its twiddle factors, its inverse, and what it may leave out."""

import random

import numpy as np
import pytest

from p2pnode.coding.field import FIELD_SIZE, ORDER, Labels, tables
from p2pnode.coding.transform import fft, inverse_fft
from tests.coding import slow_code


def spec_skew_labels() -> list[int]:
    """Build the skew table of spec section 4, up to the final logarithm."""
    log = tables().log
    skew = [0] * FIELD_SIZE
    temp = [1 << bit for bit in range(1, 16)]
    for m in range(15):
        step = 2 << m
        for i in range(m, 15):
            size = 2 << i
            for j in range((1 << m) - 1, size, step):
                skew[j + size] = skew[j] ^ temp[i]
        scale = ORDER - log[slow_code.label_times(temp[m], temp[m] ^ 1)]
        for i in range(m + 1, 15):
            factor = tables().exp[(log[temp[i] ^ 1] + scale) % ORDER]
            temp[i] = slow_code.label_times(temp[i], int(factor))
    return skew[: FIELD_SIZE - 1]


def test_a_point_shifted_by_its_layer_is_the_skew_factor_of_the_spec() -> None:
    """Entry w + 2**layer - 1 belongs to the block at point w, a multiple of 2**(layer + 1)."""
    for index, skew in enumerate(spec_skew_labels()):
        layer = ((index + 1) & -(index + 1)).bit_length() - 1
        point = index + 1 - (1 << layer)
        assert skew == point >> layer


def random_labels(rng: random.Random, rows: int) -> Labels:
    generator = np.random.default_rng(rng.getrandbits(64))
    return generator.integers(0, FIELD_SIZE, (rows, 3), dtype=np.uint16)


@pytest.mark.parametrize("offset_in_sizes", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 4, 8, 64, 512])
def test_the_transform_and_its_inverse_undo_each_other(rng: random.Random, size: int, offset_in_sizes: int) -> None:
    values = random_labels(rng, size)
    work = values.copy()
    inverse_fft(work, offset=offset_in_sizes * size, used=size)
    fft(work, offset=offset_in_sizes * size, used=size)
    assert (work == values).all()


@pytest.mark.parametrize("used", range(1, 17))
@pytest.mark.parametrize("offset", [0, 16, 48])
def test_what_is_left_out_changes_nothing_that_is_used(rng: random.Random, used: int, offset: int) -> None:
    values = random_labels(rng, 16)
    values[used:] = 0
    short, full = values.copy(), values.copy()
    inverse_fft(short, offset=offset, used=used)
    inverse_fft(full, offset=offset, used=16)
    assert (short == full).all()
    fft(short, offset=offset + 16, used=used)
    fft(full, offset=offset + 16, used=16)
    assert (short[:used] == full[:used]).all()
