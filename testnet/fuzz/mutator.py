"""Damage to bytes, from a seed: what disks, wires and attackers do, with nothing known of the format."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

INPUT_BYTES_MAX = 1 << 17
"""No input grows beyond: the limits of long inputs have tests of their own."""

EDITS_MAX = 4
"""Edits in one go; more of them make rubbish of everything."""

_RUN_BYTES_MAX = 40
_COPIES_MAX = 64

INTERESTING = tuple(
    sorted(
        {
            near
            for power in (7, 8, 15, 16, 24, 31, 32, 63, 64)
            for near in (2**power - 1, 2**power, 2**power + 1)
            if near < 1 << 64
        }
        | {0, 1, 2, 3, 4, 5, 16, 31, 32, 33, 38, 64, 100, 255, 256, 257, 999, 1000, 1001, 1 << 20, (1 << 20) + 1}
    )
)
"""Numbers at which formats change their mind."""

Edit = Callable[[random.Random, bytearray, bytes], None]


def _flip_bits(rng: random.Random, data: bytearray, _other: bytes) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_bytes(rng: random.Random, data: bytearray, _other: bytes) -> None:
    start = rng.randrange(len(data))
    count = rng.choice((1, 1, 2, 4, 8))
    data[start : start + count] = rng.choice((bytes(count), b"\xff" * count, rng.randbytes(count)))


def _set_number(rng: random.Random, data: bytearray, _other: bytes) -> None:
    """Overwrite what may be a length or a count, in either byte order."""
    size = rng.choice((1, 2, 4, 8))
    start = rng.randrange(max(1, len(data) - size + 1))
    number = rng.choice(INTERESTING) & ((1 << (8 * size)) - 1)
    data[start : start + size] = number.to_bytes(size, rng.choice(("big", "little")))


def _shift_number(rng: random.Random, data: bytearray, _other: bytes) -> None:
    """Make a length one too many, or one too few."""
    position = rng.randrange(len(data))
    data[position] = (data[position] + rng.choice((-2, -1, 1, 2))) % 256


def _truncate(rng: random.Random, data: bytearray, _other: bytes) -> None:
    if rng.random() < 0.5:  # noqa: PLR2004 - at either end
        del data[rng.randrange(len(data)) :]
    else:
        del data[: rng.randrange(len(data))]


def _delete(rng: random.Random, data: bytearray, _other: bytes) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, _RUN_BYTES_MAX)]


def _insert(rng: random.Random, data: bytearray, _other: bytes) -> None:
    start = rng.randrange(len(data) + 1)
    count = rng.randrange(1, _RUN_BYTES_MAX)
    data[start:start] = rng.choice((rng.randbytes(count), bytes(count), b"\xff" * count, b"9" * count))


def _repeat(rng: random.Random, data: bytearray, _other: bytes) -> None:
    start = rng.randrange(len(data))
    run = bytes(data[start : start + rng.randrange(1, _RUN_BYTES_MAX)])
    data[start:start] = run * rng.choice((1, 2, _COPIES_MAX))


def _splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Go on with the end of another input."""
    if other:
        data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def _graft(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Put a run of another input into the middle."""
    if other:
        start = rng.randrange(len(other))
        run = other[start : start + rng.randrange(1, 4 * _RUN_BYTES_MAX)]
        position = rng.randrange(len(data))
        data[position : position + rng.choice((0, len(run)))] = run


_EDITS: tuple[Edit, ...] = (
    _flip_bits,
    _set_bytes,
    _set_number,
    _shift_number,
    _truncate,
    _delete,
    _insert,
    _repeat,
    _splice,
    _graft,
)


def damaged(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return the bytes with one to four edits; `others` are inputs of the same format, to splice with."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, EDITS_MAX))):
        if not changed:
            changed += rng.randbytes(rng.randrange(1, _RUN_BYTES_MAX))
        rng.choice(_EDITS)(rng, changed, rng.choice(others) if others else b"")
    return bytes(changed[:INPUT_BYTES_MAX])
