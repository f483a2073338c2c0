"""The set of receipts: who promised which pair, and whose promise has ended. It needs no coordinator (ADR 0012).

For each pair and signer there is a register: the signer's newest promise under each lease, and the highest number with
which it retracted the pair. Receipts and retractions of one signer share one rising number, so the larger number wins,
in whatever order they arrive; nothing that anybody else signs touches the register. A promise ends in two ways only:
by its signer's retraction with a larger number, or with its lease.

Merging is commutative, associative and idempotent as long as the view stays the same: which signers are kept of a pair
depends on the view, not on what they signed. When the view changes, what it left out comes again with the next sync.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from p2pnode.protocols.certificates import SIGNERS_PER_SHARD_MAX
from wire.ids import BlobId, Digest, PeerId, ShardIndex

SIGNERS_KEPT_MAX = 16
"""Registers kept of one pair. At most SIGNERS_PER_SHARD_MAX of them count; the others have ended, and are remembered so
that an old receipt does not come back, or wait for their turn."""

PROMISES_PER_SIGNER_MAX = 64
"""Leases under which one signer's newest promises for one pair are kept: no holder keeps a pair under more leases."""

RANKS_PER_SHARD_COUNT = 2
"""Without a certificate or an audit, a signer counts only if it is among this many times n candidates by rank."""

Pair = tuple[BlobId, ShardIndex]

Standing = tuple[int, int, PeerId]
"""How good a claim a signer has to one of the places, the least first: its class, its rank, its id."""

_NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What this node holds to be true of signers: it decides who is kept first, and whose receipts count."""

    audited: Mapping[Pair, frozenset[PeerId]] = field(default_factory=dict)
    """Those that have passed an audit of ours, for a pair: who holds one pair may well have signed for others."""
    named: Mapping[Pair, frozenset[PeerId]] = field(default_factory=dict)
    """Those that a certificate, signed by the owner, names for a pair."""
    ranks: Mapping[PeerId, int] = field(default_factory=dict)
    """The ranks of the first RANKS_PER_SHARD_COUNT times n candidates among the members that we know."""

    def standing(self, signer: PeerId, pair: Pair) -> Standing | None:
        """Return how good a signer's claim is; None for one whose receipts are not kept."""
        if signer in self.audited.get(pair, ()):
            return (0, 0, signer)
        if signer in self.named.get(pair, ()):
            return (1, 0, signer)
        rank = self.ranks.get(signer)
        return None if rank is None else (2, rank, signer)

    def counts(self, signer: PeerId, pair: Pair) -> bool:
        """Tell whether a live receipt of this signer makes its shard healthy."""
        return signer in self.audited.get(pair, ()) or signer in self.named.get(pair, ())


@dataclass(frozen=True, slots=True, order=True)
class Promise:
    """One receipt for one pair."""

    sequence: int
    record: Digest
    """The record that proves it."""
    lease: Digest
    lease_end: int
    """Until then, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Register:
    """What one signer said of one pair."""

    promises: tuple[Promise, ...] = ()
    """The newest under each lease, the newest of all first."""
    ended: int = _NEVER
    """The number of its last retraction: promises with a lower one have ended."""
    retraction: Digest | None = None
    """The record that proves it."""

    @property
    def live(self) -> tuple[Promise, ...]:
        """The promises that were not retracted, the newest first."""
        return tuple(each for each in self.promises if each.sequence > self.ended)

    def merged(self, other: Register) -> Register:
        """Return what both say together."""
        newest: dict[Digest, Promise] = {}
        for each in (*self.promises, *other.promises):
            newest[each.lease] = max(each, newest.get(each.lease, each))
        promises = tuple(sorted(newest.values(), reverse=True)[:PROMISES_PER_SIGNER_MAX])
        last = max(self, other, key=lambda each: (each.ended, each.retraction or b""))
        return Register(promises, last.ended, last.retraction)


class ReceiptSet:
    """The registers of some pairs, as one view keeps them."""

    def __init__(self, view: View) -> None:
        """Start empty."""
        self.view = view
        self._registers: dict[Pair, dict[PeerId, Register]] = {}
        self.refused = 0
        """Receipts and retractions of signers that have no claim to a place."""

    def __eq__(self, other: object) -> bool:
        """Tell whether two sets say the same."""
        return isinstance(other, ReceiptSet) and self._registers == other._registers

    __hash__ = None  # type: ignore[assignment]  # a set of receipts changes

    def promise(self, pair: Pair, signer: PeerId, promise: Promise) -> None:
        """Take a checked receipt."""
        self._take(pair, signer, Register(promises=(promise,)))

    def retract(self, pair: Pair, signer: PeerId, sequence: int, record: Digest) -> None:
        """Take a checked retraction."""
        self._take(pair, signer, Register(ended=sequence, retraction=record))

    def merge(self, other: ReceiptSet) -> None:
        """Take all that another set says."""
        for pair, registers in other._registers.items():
            for signer, register in registers.items():
                self._take(pair, signer, register)

    def _take(self, pair: Pair, signer: PeerId, register: Register) -> None:
        if self.view.standing(signer, pair) is None:
            self.refused += 1
            return
        registers = self._registers.setdefault(pair, {})
        registers[signer] = registers.get(signer, Register()).merged(register)
        if len(registers) > SIGNERS_KEPT_MAX:
            del registers[self._in_order(pair)[-1]]

    def _in_order(self, pair: Pair) -> list[PeerId]:
        """Return the signers of a pair, those with the best claim first."""
        ranked = (self.view.standing(signer, pair) for signer in self._registers.get(pair, ()))
        return [standing[-1] for standing in sorted(each for each in ranked if each is not None)]

    def register(self, pair: Pair, signer: PeerId) -> Register:
        """Return what is kept of one signer; an empty register when nothing is."""
        return self._registers.get(pair, {}).get(signer, Register())

    def holders(self, pair: Pair, *, now: float) -> tuple[PeerId, ...]:
        """Return who has a live receipt for a pair, at most SIGNERS_PER_SHARD_MAX, those with the best claim first."""
        registers = self._registers.get(pair, {})
        live = [
            signer for signer in self._in_order(pair) if any(each.lease_end >= now for each in registers[signer].live)
        ]
        return tuple(live[:SIGNERS_PER_SHARD_MAX])

    def healthy(self, pair: Pair, *, now: float) -> tuple[PeerId, ...]:
        """Return those of `holders` whose receipts count as healthy."""
        return tuple(signer for signer in self.holders(pair, now=now) if self.view.counts(signer, pair))

    def pairs(self) -> Iterable[Pair]:
        """Return every pair of which something is kept."""
        return self._registers.keys()

    def committee(self) -> frozenset[PeerId]:
        """Return who has a receipt that was not retracted, for any of the pairs."""
        return frozenset(
            signer for registers in self._registers.values() for signer, register in registers.items() if register.live
        )

    def signers(self) -> frozenset[PeerId]:
        """Return everybody of whom something is kept."""
        return frozenset(signer for registers in self._registers.values() for signer in registers)

    def signers_of(self, pair: Pair) -> tuple[PeerId, ...]:
        """Return everybody of whom something is kept for a pair, in the order of their ids."""
        return tuple(sorted(self._registers.get(pair, ())))

    def records(self) -> frozenset[Digest]:
        """Return the records that prove what is kept; no other one is needed."""
        found: set[Digest] = set()
        for registers in self._registers.values():
            for register in registers.values():
                found.update(each.record for each in register.promises)
                if register.retraction is not None:
                    found.add(register.retraction)
        return frozenset(found)
