"""The systematic Reed-Solomon code over GF(2^16): extend k original symbols by r, and restore any from any k.

Symbols are the rows of an array of labels; its columns are independent, so a whole matrix goes through in one call.

The code evaluates polynomials at points, which are labels. With more originals than recovery symbols (*high rate*) the
recovery symbols stand at the points from 0 and the originals from m on; else (*low rate*) it is the other way round. m
is a power of two that covers the smaller part.

Extending goes through fast transforms. Restoring uses the closed form of interpolation: up to a few hundred shards it
needs fewer table walks than the transforms would, and at a thousand a few times more, for half of the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2pnode.coding.field import Labels, Logs, reduced, tables
from p2pnode.coding.transform import fft, inverse_fft

_STRIP_LABELS = 1 << 16
"""Work goes on in strips of about this many labels: their temporary logarithms, 8 bytes each, stay near the cache, and
numpy's cost per call stays small. Measured: about the best from n = 10 to n = 1000, and half the memory of the best."""


@dataclass(frozen=True, slots=True)
class Code:
    """RS(k, r): `originals` symbols are extended by `recovery` symbols."""

    originals: int
    recovery: int

    @property
    def is_high_rate(self) -> bool:
        """Whether the originals are the larger part, in powers of two; a tie is decided by the counts."""
        larger, smaller = _next_power_of_two(self.originals), _next_power_of_two(self.recovery)
        return larger > smaller or (larger == smaller and self.originals <= self.recovery)

    @property
    def chunk(self) -> int:
        """The power of two m: the size of the transforms."""
        return _next_power_of_two(self.recovery if self.is_high_rate else self.originals)

    def points(self) -> Logs:
        """Return the evaluation point of each symbol, originals first."""
        originals, recovery = np.arange(self.originals, dtype=np.intp), np.arange(self.recovery, dtype=np.intp)
        if self.is_high_rate:
            return np.concatenate((originals + self.chunk, recovery))
        return np.concatenate((originals, recovery + self.chunk))


def _next_power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()


def extend(code: Code, originals: Labels) -> Labels:
    """Return the recovery symbols, of shape (r, width), for originals of shape (k, width)."""
    width = originals.shape[-1]
    recovery = np.empty((code.recovery, width), dtype=np.uint16)
    extend_strip = _extend_high if code.is_high_rate else _extend_low
    step = max(1, _STRIP_LABELS // code.chunk)
    for start in range(0, width, step):
        strip = slice(start, start + step)
        extend_strip(code, originals[:, strip], recovery[:, strip])
    return recovery


def _extend_high(code: Code, originals: Labels, recovery: Labels) -> None:
    """Every chunk of originals gives coefficients; the values of their sum at the points from 0 are the recovery."""
    total = np.zeros((code.chunk, originals.shape[-1]), dtype=np.uint16)
    for start in range(0, code.originals, code.chunk):
        part = originals[start : start + code.chunk]
        work = np.zeros_like(total)
        work[: len(part)] = part
        inverse_fft(work, offset=start + code.chunk, used=len(part))
        total ^= work
    fft(total, offset=0, used=code.recovery)
    recovery[...] = total[: code.recovery]


def _extend_low(code: Code, originals: Labels, recovery: Labels) -> None:
    """The originals give the coefficients; its values at the points from m on are the recovery, chunk by chunk."""
    coefficients = np.zeros((code.chunk, originals.shape[-1]), dtype=np.uint16)
    coefficients[: code.originals] = originals
    inverse_fft(coefficients, offset=0, used=code.originals)
    for start in range(0, code.recovery, code.chunk):
        part = recovery[start : start + code.chunk]
        work = coefficients.copy()
        fft(work, offset=start + code.chunk, used=len(part))
        part[...] = work[: len(part)]


def restore(code: Code, received: Labels, *, positions: Sequence[int], wanted: Sequence[int]) -> Labels:
    """Return the symbols at the `wanted` positions from the received ones at exactly k other positions.

    A position counts originals first, then recovery symbols. `received` has shape (k, width).
    """
    field = tables()
    coefficients = _interpolation_logs(code, positions=positions, wanted=wanted)
    width = received.shape[-1]
    result = np.empty((len(wanted), width), dtype=np.uint16)
    step = max(1, _STRIP_LABELS // code.originals)
    for start in range(0, width, step):
        strip = slice(start, start + step)
        logs = field.log.take(received[:, strip])
        for row, factors in zip(result, coefficients, strict=True):
            row[strip] = np.bitwise_xor.reduce(field.exp.take(logs + factors[:, np.newaxis]), axis=0)
    return result


def _interpolation_logs(code: Code, *, positions: Sequence[int], wanted: Sequence[int]) -> Logs:
    """Return the log of the factor of each received symbol (columns) in each wanted one (rows).

    Lagrange: the factor of the value at point q in that at y is L(y) / ((y - q) * L'(q)), where L vanishes at the known
    points. At low rate these are the received points and the zeros in [k, m). At high rate the known zeros are nearly
    the whole field; but the product over all points except one is 1, so there L is the inverse of the product over the
    unknown points: those not received, and [r, m).
    """
    points = code.points()
    source = points[np.asarray(positions, dtype=np.intp)]
    target = points[np.asarray(wanted, dtype=np.intp)]
    if code.is_high_rate:
        filler = np.arange(code.recovery, code.chunk, dtype=np.intp)
        unknown = np.concatenate((np.setdiff1d(points, source), filler))
        locator_at_source, locator_at_target = -_log_product(source, unknown), -_log_product(target, unknown)
    else:
        filler = np.arange(code.originals, code.chunk, dtype=np.intp)
        known = np.concatenate((source, filler))
        locator_at_source, locator_at_target = _log_product(source, known), _log_product(target, known)
    differences = tables().log[target[:, np.newaxis] ^ source]
    return reduced(locator_at_target[:, np.newaxis] - locator_at_source - differences)


def _log_product(points: Logs, others: Logs) -> Logs:
    """Return for each point the log of the product of its differences to the others, itself left out."""
    # Itself is a difference of zero, whose log counts as 0 modulo ORDER.
    return reduced(tables().log[points[:, np.newaxis] ^ others].sum(axis=1))
