"""Which leases a node's disk really has, beyond those in its pair files, and which certificates.

The record files are the durable truth; the index beside them can be rebuilt and is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from p2pnode.protocols.receipts import pairs_of
from p2pnode.storage.names import RECORDS_DIRECTORY, PairKey, is_prefix, record_name
from p2pnode.storage.recordfile import KeptRenewal, KeptSuccession, KeptTombstone, lease_record_digest, read_record
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from testnet.sim.files import SimFiles
from testnet.sim.judges.pairs import HeldLease, held_lease, lease_digest
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Digest, PublicKey, ShardIndex
from wire.messages import CommitLease
from wire.ownership import Succession
from wire.records import Certificate, Envelope, RecordBundle, Retraction, Tombstone

Record = CommitLease | KeptRenewal | Certificate | KeptTombstone | KeptSuccession | RecordBundle
"""What of the record files is judged by."""


class RecordInspector:
    """Looks at record files; remembers what they said."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._read: dict[bytes, Record | None] = {}

    def has_lease_record(self, files: SimFiles, record: CommitLease) -> bool:
        """Tell whether a lease record survives every power loss at this moment."""
        for kept in (record, KeptRenewal(commit=record)):
            data = files.certain(record_name(lease_record_digest(kept)))
            if data is not None and self.read(data) == kept:
                return True
        return False

    def covers(self, files: SimFiles, lease: HeldLease, key: PairKey) -> bool:
        """Tell whether some record that survives a power loss puts a pair under a lease, or a later one in its place.

        An owner's newer lease that ends no earlier makes the older one needless. What a writer signs for itself is
        heard of with its certificate, and by then it may have renewed again.
        """
        for data in self._certain_records(files):
            record = _commit(self.read(data))
            if record is None or not _is_as_good(held_lease(record.lease), lease):
                continue
            if isinstance(record, Certificate):
                if key.blob_id in record.page.blob_ids:
                    return True
            elif key in pairs_of(record.page, record.shard_sets):
                return True
        return False

    def certificates(self, files: SimFiles) -> list[Certificate]:
        """Return the certificates that survive every power loss at this moment."""
        found = [self.read(data) for data in self._certain_records(files)]
        return [each for each in found if isinstance(each, Certificate)]

    def later_leases(self, files: SimFiles) -> dict[PairKey, list[HeldLease]]:
        """Return the leases that pairs were put under after they were stored, as the record files say now."""
        found: dict[PairKey, list[HeldLease]] = {}
        for data in self._certain_records(files):
            record = _commit(self.read(data))
            if isinstance(record, CommitLease):
                lease = held_lease(record.lease)
                for blob_id, shard in pairs_of(record.page, record.shard_sets):
                    found.setdefault(PairKey(blob_id, shard), []).append(lease)
        return found

    def renewals(self, files: SimFiles) -> dict[PairKey, set[Digest]]:
        """Return, by pair, the leases that took effect without a certificate, because they renew one in effect."""
        found: dict[PairKey, set[Digest]] = {}
        for data in self._certain_records(files):
            record = self.read(data)
            if isinstance(record, KeptRenewal):
                for blob_id, shard in pairs_of(record.commit.page, record.commit.shard_sets):
                    found.setdefault(PairKey(blob_id, shard), set()).add(lease_digest(record.commit.lease))
        return found

    def tombstones(self, files: SimFiles) -> list[tuple[PublicKey, Tombstone]]:
        """Return the tombstones that survive every power loss at this moment, each with its signer.

        One of an owner who has succeeded another stands for that one too, whatever the sequences.
        """
        found = [self.read(data) for data in self._certain_records(files)]
        envelopes = [each.tombstone for each in found if isinstance(each, KeptTombstone)]
        signed = [(each.signer, decode(each.body, Tombstone, bytes_max=limits.RECORD_BYTES_MAX)) for each in envelopes]
        kept = [each.succession.body for each in found if isinstance(each, KeptSuccession)]
        successions = [decode(body, Succession, bytes_max=limits.RECORD_BYTES_MAX) for body in kept]
        for _ in successions:  # As often as one may follow another.
            for each in successions:
                signed += [
                    (each.predecessor, replace(tombstone, sequence=limits.UINT64_MAX))
                    for owner, tombstone in list(signed)
                    if owner == each.successor
                ]
        return signed

    def retracted(self, files: SimFiles, signer: bytes) -> dict[PairKey, int]:
        """Return the highest number with which a key has retracted each pair, by what survives every power loss."""
        found: dict[PairKey, int] = {}
        for data in self._certain_records(files):
            record = self.read(data)
            for envelope in record.retractions if isinstance(record, RecordBundle) else ():
                if envelope.signer == signer:
                    each = decode(envelope.body, Retraction, bytes_max=limits.RECORD_BYTES_MAX)
                    key = PairKey(each.blob_id, ShardIndex(each.shard))
                    found[key] = max(each.sequence, found.get(key, 0))
        return found

    def read(self, data: bytes) -> Record | None:
        """Return what a record file holds; None when it holds something else, or nothing that can be read."""
        if data not in self._read:
            self._read[data] = _parsed(data)
        return self._read[data]

    def _certain_records(self, files: SimFiles) -> Iterator[bytes]:
        for prefix in files.peek_names(RECORDS_DIRECTORY):
            if is_prefix(prefix):
                directory = f"{RECORDS_DIRECTORY}/{prefix}"
                for base in files.peek_names(directory):
                    data = files.certain(f"{directory}/{base}")
                    if data is not None:
                        yield data


def end_of(lease: HeldLease, tombstones: list[tuple[PublicKey, Tombstone]]) -> int:
    """Return when a lease ends: at its end, or when its own owner has ended it."""
    end = lease.record.end
    for owner, tombstone in tombstones:
        is_its = owner == lease.owner and tombstone.target == lease.record.target
        if is_its and lease.record.is_deletable and tombstone.sequence >= lease.record.sequence:
            end = min(end, tombstone.time)
    return end


def _is_as_good(found: HeldLease, lease: HeldLease) -> bool:
    if found.digest == lease.digest:
        return True
    is_of_same = found.owner == lease.owner and found.record.target == lease.record.target
    return is_of_same and found.record.sequence > lease.record.sequence and found.record.end >= lease.record.end


def _commit(record: Record | None) -> CommitLease | Certificate | None:
    """Return what puts pairs under a lease."""
    if isinstance(record, KeptRenewal):
        return record.commit
    return None if isinstance(record, KeptTombstone | KeptSuccession | RecordBundle) else record


def _parsed(data: bytes) -> Record | None:
    try:
        record = read_record(data)
        if isinstance(record, Envelope):
            return decode(record.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
    except (DamagedFileError, NewerFormatError, WireError):
        return None
    kinds = CommitLease | KeptRenewal | KeptTombstone | KeptSuccession | RecordBundle
    return record if isinstance(record, kinds) else None
