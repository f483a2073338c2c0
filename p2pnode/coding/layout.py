"""How a symbol's bytes spell field elements (spec section 4).

In every full block of 64 bytes, byte t and byte 32 + t are the low and the high half of element t. A shorter tail is
cut in two halves the same way. The code multiplies elements one by one, so a symbol is a vector of them.
"""

from __future__ import annotations

import numpy as np

from p2pnode.coding.field import Labels, Octets

_BLOCK_BYTES = 64


def to_labels(symbols: Octets) -> Labels:
    """Return `symbols`, of shape (..., symbol bytes), as labels of shape (..., symbol bytes / 2)."""
    spread = np.empty(symbols.shape, dtype=np.uint8)
    for mixed, halves in zip(_interleaved(spread), _halves(symbols), strict=True):
        mixed[...] = halves
    return spread.view("<u2").astype(np.uint16, copy=False)


def to_octets(labels: Labels) -> Octets:
    """Return the bytes that spell these labels: the inverse of `to_labels`."""
    spread = np.ascontiguousarray(labels, dtype="<u2").view(np.uint8)
    symbols = np.empty(spread.shape, dtype=np.uint8)
    for halves, mixed in zip(_halves(symbols), _interleaved(spread), strict=True):
        halves[...] = mixed
    return symbols


def _blocks(octets: Octets) -> tuple[tuple[Octets, int, int], tuple[Octets, int, int]]:
    """Return the full blocks and the tail, each with the count of its blocks and the bytes of half a block."""
    count, tail = divmod(octets.shape[-1], _BLOCK_BYTES)
    end = count * _BLOCK_BYTES
    return (octets[..., :end], count, _BLOCK_BYTES // 2), (octets[..., end:], 1, tail // 2)


def _halves(octets: Octets) -> list[Octets]:
    """View stored bytes as (..., block, half, element)."""
    return [part.reshape(*part.shape[:-1], count, 2, half) for part, count, half in _blocks(octets)]


def _interleaved(octets: Octets) -> list[Octets]:
    """View the bytes of little-endian elements in the order of `_halves`."""
    return [part.reshape(*part.shape[:-1], count, half, 2).swapaxes(-1, -2) for part, count, half in _blocks(octets)]
