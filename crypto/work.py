"""Admission work: what a new identity costs in one network, so that nobody makes thousands (PROTOCOL section 2).

A solution has three parts, and each has its reason.

- The *nonce* is tried until scrypt over (public key, network, cost, nonce) begins with ZERO_BITS zero bits. It needs
  128 * r * N bytes at a time, 64 MiB at cost 16, so that a graphics card wins little. One solution serves one identity
  in one network. Nobody can tell the output from the nonce without the work; the placement key is made from the output,
  therefore, and each attempt to land near a blob costs the whole work.
- The *output* is told too. The zero bits are seen before anything is computed, and a placement key from the record.
- The *stamp* makes a plain hash over nonce and output begin with zero bits as well. To check a solution costs as much
  as one try, and to forge one that must be checked would else cost nothing: with the stamp it costs about a million
  hashes, which is about the processor time of the check, and whoever saves them is refused after a microsecond.

What is left for a forger to gain, and who checks whom in which order: `p2pnode/membership/newcomers.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from crypto.hashing import HASH_BYTES, tagged_hash

ZERO_BITS = 7
"""128 tries on average: 13 s where one takes 0.1 s, as on a fast laptop, and 24 s at the 0.19 s of a server of 2022."""

STAMP_BITS_ABOVE_COST = 4
"""Zero bits of the stamp beyond the cost: 20 at cost 16, a second for whoever counts them in Python."""

COST_MAX = 24
"""scrypt with N = 2**24 needs 16 GiB: no network asks for more."""

STAMPS_PER_STEP = 1 << 17
"""Stamps that are tried in one step: a tenth of a second."""

NONCE_BYTES = 8
STAMP_BYTES = 8
WORK_BYTES = NONCE_BYTES + HASH_BYTES + STAMP_BYTES

_BLOCK_FACTOR = 8
"""scrypt's r: the usual one, 1 KiB blocks."""

_STAMP_PERSON = b"p2pnode-stamp"


class BadWorkError(ValueError):
    """Bytes that are no solution of the task."""


@dataclass(frozen=True, slots=True)
class Task:
    """What has to be solved: one identity in one network, at the cost that the network asks for."""

    public_key: bytes
    network: str
    cost: int
    """log2 of scrypt's N, 1 to COST_MAX."""

    def __post_init__(self) -> None:
        """A profile names the cost, never a peer."""
        assert 1 <= self.cost <= COST_MAX, "no such cost"

    @property
    def tries_expected(self) -> int:
        """How many nonces have to be tried on average."""
        return 1 << ZERO_BITS

    @property
    def stamp_bits(self) -> int:
        """How many zero bits the stamp's hash begins with."""
        return self.cost + STAMP_BITS_ABOVE_COST

    def digest(self) -> bytes:
        """Return the name of the task."""
        return tagged_hash(b"p2pnode/admission", self.public_key, self.network.encode(), bytes([self.cost]))


@dataclass(frozen=True, slots=True)
class _Found:
    """A nonce whose output is good."""

    nonce: bytes
    output: bytes


def attempts(task: Task, *, start: int) -> Iterator[bytes | None]:
    """Work on a task, from the nonce `start` on: yield None after each step, and as the last item the solution.

    The steps are short (a fifth of a second at cost 16), so that a caller can show how far it is, or give up. Two that
    begin at the same nonce do the same work.
    """
    number = start
    while (found := _try_nonce(task, number)) is None:
        yield None
        number += 1
    first = 0
    while (solution := _try_stamps(task, found, first)) is None:
        yield None
        first += STAMPS_PER_STEP
    yield solution


def _try_nonce(task: Task, number: int) -> _Found | None:
    nonce = (number % (1 << (8 * NONCE_BYTES))).to_bytes(NONCE_BYTES, "big")
    output = _scrypt(task, nonce)
    return _Found(nonce, output) if _begins_with_zeros(output) else None


def _try_stamps(task: Task, found: _Found, first: int) -> bytes | None:
    prefix = _stamp_prefix(task, found)
    low_enough = 1 << (8 * STAMP_BYTES - task.stamp_bits)
    for number in range(first, first + STAMPS_PER_STEP):
        stamp = number.to_bytes(STAMP_BYTES, "big")
        if _stamp_number(prefix, stamp) < low_enough:
            return found.nonce + found.output + stamp
    return None


def check_claim(task: Task, work: bytes) -> None:
    """Check all that can be checked in some microseconds. Raises `BadWorkError`; without it nothing is proven yet."""
    if len(work) != WORK_BYTES:
        message = f"a solution of the admission work has {WORK_BYTES} bytes, got {len(work)}"
        raise BadWorkError(message)
    found = _claimed(work)
    if not _begins_with_zeros(found.output):
        message = f"the output of the admission work does not begin with {ZERO_BITS} zero bits"
        raise BadWorkError(message)
    number = _stamp_number(_stamp_prefix(task, found), work[-STAMP_BYTES:])
    if number >> (8 * STAMP_BYTES - task.stamp_bits):
        message = f"the stamp on the admission work does not begin with {task.stamp_bits} zero bits"
        raise BadWorkError(message)


def check_work(task: Task, work: bytes) -> None:
    """Check a solution to the end. Raises `BadWorkError`. Costs as much as one try: call it in a worker."""
    check_claim(task, work)
    found = _claimed(work)
    if _scrypt(task, found.nonce) != found.output:
        message = "the output of the admission work is not that of its nonce"
        raise BadWorkError(message)


def key_of_work(work: bytes) -> bytes:
    """Return the placement key that comes with a checked solution.

    It is made from the output alone: of the nonce the outcome would be known before the work, and a new stamp is cheap.
    """
    return tagged_hash(b"p2pnode/placement key", _claimed(work).output)


def _claimed(work: bytes) -> _Found:
    return _Found(work[:NONCE_BYTES], work[NONCE_BYTES:-STAMP_BYTES])


def _scrypt(task: Task, nonce: bytes) -> bytes:
    n = 1 << task.cost
    memory = 128 * _BLOCK_FACTOR * (n + 8)  # OpenSSL counts some blocks beside those of the table.
    return hashlib.scrypt(task.digest(), salt=nonce, n=n, r=_BLOCK_FACTOR, p=1, maxmem=memory, dklen=HASH_BYTES)


def _stamp_prefix(task: Task, found: _Found) -> bytes:
    return task.digest() + found.nonce + found.output


def _stamp_number(prefix: bytes, stamp: bytes) -> int:
    state = hashlib.blake2b(prefix + stamp, digest_size=STAMP_BYTES, person=_STAMP_PERSON)
    return int.from_bytes(state.digest(), "big")


def _begins_with_zeros(output: bytes) -> bool:
    return not int.from_bytes(output, "big") >> (8 * HASH_BYTES - ZERO_BITS)
