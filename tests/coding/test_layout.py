"""How symbols spell field elements, for symbol sizes of every kind."""

import random

import numpy as np
import pytest

from p2pnode.coding.layout import to_labels, to_octets
from tests.coding import slow_code

SIZES = [*range(2, 140, 2), 192, 200, 4096, 4098]


@pytest.mark.parametrize("size", SIZES)
def test_symbols_are_read_and_written_as_the_spec_says(rng: random.Random, size: int) -> None:
    symbols = [rng.randbytes(size) for _ in range(6)]
    octets = np.frombuffer(b"".join(symbols), dtype=np.uint8).reshape(2, 3, size)
    labels = to_labels(octets)
    assert labels.shape == (2, 3, size // 2)
    assert labels.reshape(6, -1).tolist() == [slow_code.labels_of(symbol) for symbol in symbols]
    assert to_octets(labels).tobytes() == b"".join(symbols)


def test_a_strided_array_is_read_like_a_contiguous_one() -> None:
    octets = np.arange(4 * 5 * 130, dtype=np.uint64).astype(np.uint8).reshape(4, 5, 130)
    turned = octets.swapaxes(0, 1)
    assert (to_labels(turned) == to_labels(octets).swapaxes(0, 1)).all()
    assert (to_octets(to_labels(octets).swapaxes(0, 1)) == turned).all()
