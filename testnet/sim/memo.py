"""Remembering in one world what pure functions of the node have answered: ten nodes in one process check one signature.

Nothing else changes by it: what is remembered is the answer to exactly these arguments, and only a yes. It is forgotten
with the world, and bounded, so that neither time nor memory of one run depends on the runs before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from crypto import signing
from crypto.signing import Domain
from testnet.sim.escapes import replaced

ANSWERS_MAX = 50_000
"""Signatures that are remembered; the oldest makes room. Each takes about 500 bytes."""

BODY_BYTES_MAX = 4 * 1024
"""A longer body is checked each time: it would fill the memory, and few of them are seen by many nodes."""


class Verify(Protocol):
    """`crypto.signing.verify`."""

    def __call__(self, domain: Domain, body: bytes, *, public_key: bytes, signature: bytes) -> None: ...


class RememberedSignatures:
    """A `verify` that asks the real one about each signature once, as long as the answer is yes."""

    def __init__(self, verify: Verify, *, answers_max: int = ANSWERS_MAX) -> None:
        """Nothing was asked yet."""
        self._verify = verify
        self._answers_max = answers_max
        self._good: dict[tuple[Domain, bytes, bytes, bytes], None] = {}

    def __len__(self) -> int:
        """Return how many answers are remembered."""
        return len(self._good)

    def __call__(self, domain: Domain, body: bytes, *, public_key: bytes, signature: bytes) -> None:
        """Raise what the real one raises."""
        question = (domain, bytes(body), bytes(public_key), bytes(signature))
        if question in self._good:
            return
        self._verify(domain, body, public_key=public_key, signature=signature)
        if len(body) <= BODY_BYTES_MAX:
            self._good[question] = None
            if len(self._good) > self._answers_max:
                del self._good[next(iter(self._good))]


@contextmanager
def pure_answers_remembered() -> Iterator[None]:
    """Remember while the context lasts."""
    with replaced(signing, "verify", RememberedSignatures(signing.verify)):
        yield
