"""Arithmetic in GF(2^16), on arrays of labels (spec section 4).

A label's set bits choose elements of a Cantor basis, and their sum is the field element. So a sum of elements is the
XOR of their labels, and multiplication goes through logarithms. In this basis the polynomial which vanishes on the
labels below `2**k` maps label `v` to label `v >> k`, once it is scaled to be 1 at `2**k`. The transforms rest on that.

The logarithm of zero is `ZERO_LOG`, far above all others, and the table of powers is zero from there on. So one table
walk multiplies whole arrays, zeros among them, without a branch.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Labels: TypeAlias = npt.NDArray[np.uint16]
Logs: TypeAlias = npt.NDArray[np.intp]
Octets: TypeAlias = npt.NDArray[np.uint8]

FIELD_SIZE = 1 << 16
ORDER = FIELD_SIZE - 1
"""The order of the multiplicative group: logarithms count modulo this."""

ZERO_LOG = 2 * ORDER
"""Above any sum of two logarithms, and 0 modulo ORDER, so that a sum of logarithms may leave out a zero factor."""

_MODULUS = 0x1002D
_CANTOR_BASIS = (
    *(0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012),
    *(0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E),
)


@dataclass(frozen=True, slots=True)
class Tables:
    """`log[label]`, and `exp[log]` for every sum of two logarithms."""

    log: Logs
    exp: Labels


@functools.cache
def tables() -> Tables:
    """Return the tables, built on first use. Two threads that come first both build them, and get equal ones."""
    elements = np.zeros(FIELD_SIZE, dtype=np.intp)
    for bit, element in enumerate(_CANTOR_BASIS):
        half = 1 << bit
        elements[half : 2 * half] = elements[:half] ^ element
    discrete_log = np.empty(FIELD_SIZE, dtype=np.intp)
    discrete_log[_powers_of_x()] = np.arange(ORDER)
    discrete_log[0] = ZERO_LOG
    log = discrete_log[elements]
    exp = np.zeros(2 * ZERO_LOG + 1, dtype=np.uint16)
    exp[log[1:]] = np.arange(1, FIELD_SIZE)
    exp[ORDER:ZERO_LOG] = exp[:ORDER]
    for table in (log, exp):
        table.flags.writeable = False  # All threads share them.
    return Tables(log, exp)


def _powers_of_x() -> list[int]:
    powers = []
    state = 1
    for _ in range(ORDER):
        powers.append(state)
        state <<= 1
        if state >= FIELD_SIZE:
            state ^= _MODULUS
    return powers


def multiply(labels: Labels, logs: Logs) -> Labels:
    """Return the products of labels and the elements with these logarithms, which broadcast."""
    field = tables()
    sums = field.log.take(labels)
    sums += logs
    return field.exp.take(sums)


def reduced(logs: Logs) -> Logs:
    """Return sums and differences of logarithms as logarithms of nonzero elements."""
    return logs % ORDER
