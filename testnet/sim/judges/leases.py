"""Which leases a node's disk really has, beyond those in its pair files, and which certificates.

The record files are the durable truth; the index beside them can be rebuilt and is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from p2pnode.protocols.receipts import pairs_of
from p2pnode.storage.names import RECORDS_DIRECTORY, PairKey, is_prefix, record_name
from p2pnode.storage.recordfile import lease_record_digest, read_record
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from testnet.sim.files import SimFiles
from testnet.sim.judges.pairs import HeldLease, held_lease, lease_digest
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Digest
from wire.messages import CommitLease
from wire.records import Certificate, Envelope


class RecordInspector:
    """Looks at record files; remembers what they said."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._read: dict[bytes, CommitLease | Certificate | None] = {}

    def has_lease_record(self, files: SimFiles, record: CommitLease) -> bool:
        """Tell whether a lease record survives every power loss at this moment."""
        data = files.certain(record_name(lease_record_digest(record)))
        return data is not None and self.read(data) == record

    def covers(self, files: SimFiles, lease: Digest, key: PairKey) -> bool:
        """Tell whether some record that survives a power loss puts a pair under a lease."""
        for data in self._certain_records(files):
            record = self.read(data)
            if record is None or lease_digest(record.lease) != lease:
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
            record = self.read(data)
            if isinstance(record, CommitLease):
                lease = held_lease(record.lease)
                for blob_id, shard in pairs_of(record.page, record.shard_sets):
                    found.setdefault(PairKey(blob_id, shard), []).append(lease)
        return found

    def read(self, data: bytes) -> CommitLease | Certificate | None:
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


def _parsed(data: bytes) -> CommitLease | Certificate | None:
    try:
        record = read_record(data)
        if isinstance(record, Envelope):
            return decode(record.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
    except (DamagedFileError, NewerFormatError, WireError):
        return None
    return record if isinstance(record, CommitLease) else None
