"""The additive fast Fourier transform in the Cantor basis, in place, over all columns of an array at once.

A layer with butterflies of span `half = 2**layer` works on blocks of `2 * half` rows. The block that starts at point w
has the twiddle factor with label `w >> layer` (see `field`): spec section 4 builds the same numbers as a skew table.
A block at point 0 has factor zero, which saves a third of the work at the small sizes that we use.
"""

from __future__ import annotations

import numpy as np

from p2pnode.coding.field import Labels, Logs, multiply, tables


def inverse_fft(work: Labels, *, offset: int, used: int) -> None:
    """Turn values at the points `offset`, `offset + 1`, .. into coefficients; rows from `used` on are zero.

    `work` has a power of two of rows, and `offset` is a multiple of that.
    """
    skip = int(offset == 0)
    for layer in range(_layers(work)):
        low, high, twiddles = _butterflies(work, layer, offset=offset, used=used)
        high ^= low
        low[skip:] ^= multiply(high[skip:], twiddles[skip:])


def fft(work: Labels, *, offset: int, used: int) -> None:
    """Turn coefficients into values; only the first `used` rows of the result are right."""
    skip = int(offset == 0)
    for layer in reversed(range(_layers(work))):
        low, high, twiddles = _butterflies(work, layer, offset=offset, used=used)
        low[skip:] ^= multiply(high[skip:], twiddles[skip:])
        high ^= low


def _layers(work: Labels) -> int:
    return len(work).bit_length() - 1


def _butterflies(work: Labels, layer: int, *, offset: int, used: int) -> tuple[Labels, Labels, Logs]:
    """Return views of the lower and upper halves of the blocks that matter, and the logs of their twiddle factors."""
    half = 1 << layer
    count = -(-used // (2 * half))
    blocks = work[: count * 2 * half].reshape(count, 2, half, work.shape[-1])
    points = offset + 2 * half * np.arange(count, dtype=np.intp)
    twiddles = tables().log[points >> layer].reshape(count, 1, 1)
    return blocks[:, 0], blocks[:, 1], twiddles
