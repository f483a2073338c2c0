"""What an owner stored, as signed records: how two views of it become one, and how it is sealed for the network.

Several machines may have one owner key, and each changes its own view. Views are merged record by record, and of two
records of one thing the larger counts: so the order in which machines meet does not matter, and nothing is undone by a
machine that was away. A decision of the owner (stored, prolonged, removed) raises a record's sequence; a renewal, which
a machine does by itself, does not. Of two decisions with one sequence a removal counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from crypto.hashing import blake2b_256, tagged_hash
from crypto.keys import SigningKey
from crypto.sealing import SealError, derive_key, seal, unseal
from crypto.signing import BadSignatureError
from p2pnode.errors import IntegrityError
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import Digest, PublicKey
from wire.ownership import KIND_BLOB, KIND_FILE, Catalogue, CatalogueHead, OwnedRecord
from wire.records import Envelope
from wire.references import Reference, ReferenceKind
from wire.signed import Signed, open_envelope

FORGOTTEN_AFTER_S = limits.LEASE_SECONDS_MAX
"""A thing that was removed, or is not wanted any more, stays listed for so long after its lease: machines that were
away learn of it, and no lease that one of them still renewed lives longer."""

CATALOGUE_BYTES_MAX = 32 * limits.MIB
"""The longest sealed catalogue that is read: OWNED_RECORDS_MAX records of the longest kind have 25 MB."""

NOT_YET_OURS = 0
"""The sequence of a lease that a predecessor of the owner key signed: those of a key's own leases begin with 1."""

_MAGIC = b"p2pnode-catalogue-v1"
_KEY_PURPOSE = b"catalogue"

Records = Mapping[Reference, Signed[OwnedRecord]]
"""A view: the record of each thing."""


def reference_of(record: OwnedRecord | CatalogueHead) -> Reference:
    """Return what `get` takes."""
    kind = ReferenceKind.FILE if record.kind == KIND_FILE else ReferenceKind.BLOB
    return Reference(kind, record.blob_id)


def kind_number(kind: ReferenceKind) -> int:
    """Return the number that stands for a kind in a record."""
    return KIND_FILE if kind is ReferenceKind.FILE else KIND_BLOB


def placement_seed(owner: PublicKey) -> bytes:
    """Return the seed by which members keep an owner's head; whoever knows the public key can compute it."""
    return tagged_hash(b"p2pnode/catalogue-seed/v1", owner)


def merged(one: Records, other: Iterable[Signed[OwnedRecord]]) -> dict[Reference, Signed[OwnedRecord]]:
    """Return the view that knows what both know; the arguments' order and repetitions change nothing."""
    view = dict(one)
    for each in other:
        reference = reference_of(each.record)
        known = view.get(reference)
        if known is None or _weight(each) > _weight(known):
            view[reference] = each
    return view


def _weight(signed: Signed[OwnedRecord]) -> tuple[int, int, int, int, bytes]:
    record = signed.record
    return (record.sequence, record.removed_at, record.lease_sequence, record.lease_end, signed.digest)


def remembered(records: Records, *, now: int) -> dict[Reference, Signed[OwnedRecord]]:
    """Return the view without what is long over: removed or no longer wanted, with a lease long past."""
    return {reference: each for reference, each in records.items() if not is_forgotten(each.record, now=now)}


def is_forgotten(record: OwnedRecord, *, now: int) -> bool:
    """Tell whether nobody needs to know of this thing any more; what is wanted is never forgotten."""
    is_over = record.removed_at > 0 or 0 < record.wanted_until <= now
    return is_over and max(record.lease_end, record.removed_at) + FORGOTTEN_AFTER_S < now


def view_digest(records: Records) -> Digest:
    """Return what tells two views apart."""
    return Digest(blake2b_256(b"".join(sorted(each.digest for each in records.values()))))


def with_wish(record: OwnedRecord, *, wanted_until: int) -> OwnedRecord:
    """Return the record after its owner said how long to keep the thing; one that was removed is wanted again."""
    return replace(record, sequence=record.sequence + 1, wanted_until=wanted_until, removed_at=0)


def without_wish(record: OwnedRecord, *, removed_at: int, lease_sequence: int) -> OwnedRecord:
    """Return the record after its owner removed the thing; the sequence is that of the tombstone."""
    return replace(record, sequence=record.sequence + 1, removed_at=removed_at, lease_sequence=lease_sequence)


def with_lease(record: OwnedRecord, *, sequence: int, end: int) -> OwnedRecord:
    """Return the record after a renewal."""
    return replace(record, lease_sequence=sequence, lease_end=end)


def catalogue_key(key: SigningKey) -> bytes:
    """Return what the catalogue of an owner key is sealed under."""
    return derive_key(key.seed, _KEY_PURPOSE)


def inherited(record: OwnedRecord) -> OwnedRecord:
    """Return the record of a predecessor as its successor's: its lease is not ours yet, which a sequence of 0 tells.

    So it is renewed soon, and every later lease of the new key counts before it.
    """
    return record if record.removed_at else replace(record, lease_sequence=NOT_YET_OURS)


def seal_catalogue(records: Records, *, key: SigningKey, network: str, nonce: bytes) -> bytes:
    """Return the view as bytes that only the owner can read; the nonce is random."""
    ordered = sorted(records.items(), key=lambda item: (item[0].kind, item[0].blob_id))
    content = encode(Catalogue(records=tuple(each.envelope for _, each in ordered)))
    return seal(catalogue_key(key), content, nonce=nonce, context=_context(network))


def open_catalogue(sealed: bytes, *, key: SigningKey, network: str) -> list[Signed[OwnedRecord]]:
    """Return the records of a sealed catalogue, each with a good signature of the owner. Raises `IntegrityError`."""
    return open_catalogue_of(PublicKey(key.public), sealed, sealed_under=catalogue_key(key), network=network)


def open_catalogue_of(
    owner: PublicKey, sealed: bytes, *, sealed_under: bytes, network: str
) -> list[Signed[OwnedRecord]]:
    """Return the records of a catalogue whose owner's `catalogue_key` is known; see `open_catalogue`."""
    try:
        content = unseal(sealed_under, sealed, context=_context(network))
        catalogue = decode(content, Catalogue, bytes_max=CATALOGUE_BYTES_MAX)
        return open_records(catalogue.records, owner=owner, network=network)
    except (SealError, WireError, BadSignatureError) as error:
        message = f"the catalogue cannot be read: {error}"
        raise IntegrityError(message) from error


def open_records(envelopes: Sequence[Envelope], *, owner: PublicKey, network: str) -> list[Signed[OwnedRecord]]:
    """Open an owner's records. Raises `WireError` or `BadSignatureError`."""
    opened = [open_envelope(each, OwnedRecord, network=network) for each in envelopes]
    if any(each.signer != owner for each in opened):
        message = "a record of another owner"
        raise WireError(message)
    return opened


def _context(network: str) -> bytes:
    return tagged_hash(_MAGIC, network.encode())
