"""What a store was told, and has told done: a value, so that a disk can be held against two of them.

Whatever happens in the middle of a step, each single thing is as it was before or as it shall be after.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from p2pnode.storage.store import SliverStore
from testnet.sim.disk_harness_goods import Pair
from testnet.sim.files import SimFiles
from wire.ids import BlobId, Digest
from wire.records import Certificate, Envelope, Lease, LeaseKind
from wire.signed import Signed


class Standing(enum.StrEnum):
    """How a pair stands that is here."""

    HELD = "held"
    BROKEN = "broken"
    """Its file is damaged, whether the store knows it already or not: it is never served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a store was told, and has told done."""

    pairs: Mapping[Pair, Standing] = field(default_factory=dict)
    until: Mapping[Pair, int] = field(default_factory=dict)
    """When the last provisional lease of a pair ends."""
    leases: frozenset[tuple[Pair, Digest]] = frozenset()
    """The leases that a pair is under, effective or pending."""
    records: Mapping[str, Pair] = field(default_factory=dict)
    """The files of leases that came later, each with its pair: they are there as long as the pair is."""
    certificates: Mapping[BlobId, Signed[Certificate]] = field(default_factory=dict)
    sequence: int = 0
    members: frozenset[Envelope] = frozenset()
    contacts: int = 0
    """How many histories with peers are kept."""

    def has(self, pair: Pair, standing: Standing) -> bool:
        """Tell whether a pair stands like this."""
        return self.pairs.get(pair) is standing

    def is_expired(self, pair: Pair, now: int) -> bool:
        """Tell whether a collection at this time removes a pair that is here."""
        return pair.blob_id not in self.certificates and self.until[pair] < now

    def with_leases(self, pair: Pair, *leases: Signed[Lease]) -> Told:
        """Return what holds once a pair is under these leases too."""
        return replace(self, leases=self.leases | {(pair, lease.digest) for lease in leases})

    def with_lease_record(self, pair: Pair, lease: Signed[Lease]) -> Told:
        """Return what holds once a pair that is here was put under a lease; a lease that is known changes nothing."""
        if (pair, lease.digest) in self.leases:
            return self
        told = self.with_leases(pair, lease)
        return replace(told, records={**told.records, pair.record_names[lease.digest]: pair})

    def with_file(self, pair: Pair, *leases: Signed[Lease]) -> Told:
        """Return what holds once a pair was stored, with the leases that came with it."""
        provisional = (lease for lease in leases if lease.record.kind == LeaseKind.PROVISIONAL)
        ends = [self.until.get(pair, 0), *(lease.record.end for lease in provisional)]
        told = replace(self, pairs={**self.pairs, pair: Standing.HELD}, until={**self.until, pair: max(ends)})
        return told.with_leases(pair, *leases)

    def with_certificate(self, pair: Pair, certificate: Signed[Certificate]) -> Told:
        """Return what holds once a certificate was kept: its lease is on every pair of the blob."""
        told = replace(self, certificates={**self.certificates, pair.blob_id: certificate})
        for each in told.pairs:
            if each.blob_id == pair.blob_id:
                told = told.with_leases(each, pair.final)
        return told

    def after_collection(self, now: int) -> Told:
        """Return what is left."""
        gone = {pair for pair in self.pairs if self.is_expired(pair, now)}
        return replace(
            self,
            pairs={pair: standing for pair, standing in self.pairs.items() if pair not in gone},
            until={pair: end for pair, end in self.until.items() if pair not in gone},
            leases=frozenset(each for each in self.leases if each[0] not in gone),
            records={name: pair for name, pair in self.records.items() if pair not in gone},
        )


Work = Callable[[SliverStore], Awaitable[int | None]]
"""Does something; returns a sequence number when it was given one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a history."""

    name: str
    before: Told
    after: Told
    work: Work | None = None
    """None for an opening."""
    change: Callable[[SimFiles], None] | None = None
    """What happens to the disk before: between two lives for an opening, behind the store's back for work."""
