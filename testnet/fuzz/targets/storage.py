"""What is read back from a node's disk: sealed headers, pair files, records, names, and manifests out of blobs."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import p2pnode.protocols.manifest
import p2pnode.storage.names
import p2pnode.storage.pairfile
import p2pnode.storage.recordfile
import p2pnode.storage.sealed
from p2pnode.errors import IntegrityError
from p2pnode.protocols.manifest import (
    MAGIC,
    Manifest,
    ManifestEntry,
    check_child,
    manifest_from_bytes,
    manifest_to_bytes,
)
from p2pnode.protocols.successions import make_succession
from p2pnode.storage import pairfile, recordfile
from p2pnode.storage.names import (
    is_temporary,
    pair_name,
    parse_pair_name,
    parse_record_name,
    parse_trash_name,
    record_name,
    temporary_name,
    trash_name,
)
from p2pnode.storage.pairfile import header_of, make_header, sealed_header, sliver_place, verify_pair_file
from p2pnode.storage.recordfile import (
    KeptRenewal,
    KeptSuccession,
    KeptTombstone,
    SequenceCeiling,
    SequenceCeilings,
    kept,
    lease_record_digest,
    read_record,
    record_bytes,
)
from p2pnode.storage.sealed import PREFIX_BYTES, SEAL_BYTES, DamagedFileError, NewerFormatError, seal
from testnet.fuzz import honest
from testnet.fuzz.target import Mutate, Target, plain
from testnet.fuzz.targets.texts import bytes_of, edited_text, text_of
from testnet.fuzz.targets.wire_types import edited_tree, tree_or_value
from testnet.fuzz.values import KEYS, NETWORK, random_value
from wire import limits
from wire.ids import Axis, BlobId, ShardIndex
from wire.messages import CommitLease
from wire.ownership import Succession
from wire.records import Certificate, Envelope, Lease, Tombstone

SEALED_FRAMING = r"DamagedFileError: (cut short|expected|a body has|the checksum)"
_ERRORS = (DamagedFileError, NewerFormatError)
_SHARD = 1


def targets() -> list[Target]:
    """Return the targets of this file."""
    kinds = (Envelope, CommitLease, KeptRenewal, KeptTombstone, KeptSuccession, SequenceCeilings)
    return [
        Target(
            name="storage/pair-header",
            open=plain(_header),
            errors=_ERRORS,
            seeds=lambda _rng: [_pair_file()[:-600], _pair_file(2000)],
            modules=(p2pnode.storage.pairfile, p2pnode.storage.sealed),
            mutate=resealed(tree_or_value(pairfile.PairHeader), pairfile.MAGIC),
            framing=SEALED_FRAMING,
        ),
        Target(
            name="storage/pair-file",
            open=plain(_pair),
            errors=_ERRORS,
            seeds=lambda _rng: [_pair_file(), _pair_file(2000), _pair_file(1)],
            modules=(p2pnode.storage.pairfile, p2pnode.storage.sealed),
            mutate=resealed(tree_or_value(pairfile.PairHeader), pairfile.MAGIC),
            framing=SEALED_FRAMING,
        ),
        Target(
            name="storage/record-file",
            open=plain(_record),
            errors=_ERRORS,
            seeds=_records,
            modules=(p2pnode.storage.recordfile, p2pnode.storage.sealed),
            mutate=resealed(tree_or_value(*kinds), recordfile.MAGIC),
            framing=SEALED_FRAMING,
        ),
        Target(
            name="storage/names",
            open=plain(_name),
            errors=(),
            seeds=_names,
            modules=(p2pnode.storage.names,),
            mutate=edited_text,
        ),
        _manifests(),
    ]


def resealed(mutate: Mutate, magic: bytes) -> Mutate:
    """Change the body of the sealed part at the start, and seal it again; what follows stays, or is changed."""

    def change(rng: random.Random, data: bytes) -> bytes:
        end = PREFIX_BYTES + int.from_bytes(data[PREFIX_BYTES - 4 : PREFIX_BYTES], "big")
        rest = bytearray(data[end + SEAL_BYTES - PREFIX_BYTES :])
        if rest and rng.random() < 0.3:  # noqa: PLR2004 - a sliver's bytes
            rest[rng.randrange(len(rest))] ^= 1 << rng.randrange(8)
            return data[: len(data) - len(rest)] + bytes(rest)
        version = rng.choice((1, 1, 1, 1, 1, 1, 0, 2, 65_535))
        return seal(magic, version, mutate(rng, data[PREFIX_BYTES:end])) + bytes(rest)

    return change


def _pair_file(size: int = 1000) -> bytes:
    blob = honest.honest_blob(size=size)
    request, payload = blob.store_pair(_SHARD)
    header = make_header(
        blob_id=_BLOB_ID,
        shard=ShardIndex(_SHARD),
        metadata=request.metadata,
        leases=request.leases,
        primary=payload[: request.primary_bytes],
        secondary=payload[request.primary_bytes :],
    )
    return sealed_header(header) + payload


_BLOB_ID = BlobId(bytes(range(32)))


def _header(data: bytes) -> None:
    size = header_of(data, blob_id=_BLOB_ID, shard=_SHARD)
    assert size.header.blob_id == _BLOB_ID
    for axis in Axis:
        start, count = sliver_place(size, axis)
        assert size.header_bytes <= start < start + count <= size.file_bytes


def _pair(data: bytes) -> None:
    verify_pair_file(data, blob_id=_BLOB_ID, shard=_SHARD)


def _record(data: bytes) -> object:
    record = read_record(data)
    assert record_bytes(record) == data
    if isinstance(record, CommitLease | KeptRenewal):
        lease_record_digest(record)
        return kept(record.commit.lease if isinstance(record, KeptRenewal) else record.lease, Lease).record
    if isinstance(record, KeptTombstone):
        return kept(record.tombstone, Tombstone).record
    if isinstance(record, KeptSuccession):
        return kept(record.succession, Succession).record
    return kept(record, Certificate).record if isinstance(record, Envelope) else record


def _records(rng: random.Random) -> list[bytes]:
    ceilings = SequenceCeilings(ceilings=(SequenceCeiling(purpose="member record", ceiling=1024),))
    made = (
        honest.file_commit(3),
        honest.honest_blob().commit(0),
        KeptRenewal(commit=honest.honest_blob().commit(0)),
        KeptTombstone(tombstone=honest.file_certificate(3).envelope),
        KeptSuccession(succession=make_succession(KEYS[5], KEYS[6], time=honest.WALL, network=NETWORK).envelope),
        honest.file_certificate(3).envelope,
        ceilings,
        random_value(SequenceCeilings, rng),
    )
    return [record_bytes(each) for each in made]


def _name(data: bytes) -> str:
    name = text_of(data)
    key = parse_pair_name(name)
    if key is not None:
        assert pair_name(key.blob_id, key.shard).rpartition("/")[2] == name
    trashed = parse_trash_name(name)
    if trashed is not None:
        assert trash_name(*trashed[0], trashed[1]).rpartition("/")[2] == name
    assert not (key and trashed), "a file in the trash passes for one that is held"
    digest = parse_record_name(name)
    if digest is not None:
        assert record_name(digest).rpartition("/")[2] == name
    is_half_made = is_temporary(name)
    assert not (is_half_made and (key or trashed or digest)), "a file that was never finished passes for one that was"
    return f"{key is not None} {trashed is not None} {digest is not None} {is_half_made}"


def _names(_rng: random.Random) -> list[bytes]:
    pair = pair_name(_BLOB_ID, 7).rpartition("/")[2]
    record = lease_record_digest(honest.file_commit(3)).hex() + ".rec"
    trashed = trash_name(_BLOB_ID, 7, 1_800_000_000).rpartition("/")[2]
    return [bytes_of(each) for each in (pair, trashed, record, temporary_name(pair, 3), "index.db")]


def _manifests() -> Target:
    def check(data: bytes) -> object:
        manifest = manifest_from_bytes(data, _BLOB_ID)
        assert manifest_to_bytes(manifest) == data
        for entry in manifest.entries[:2]:
            check_child(manifest, entry, _manifest(0, 1))
        return manifest

    def behind_the_magic(mutate: Callable[[random.Random, bytes], bytes]) -> Mutate:
        return lambda rng, data: MAGIC + mutate(rng, data[len(MAGIC) :])

    return Target(
        name="storage/manifest",
        open=plain(check),
        errors=(IntegrityError,),
        seeds=lambda _rng: [manifest_to_bytes(_manifest(level, count)) for level in range(2) for count in (1, 5)],
        modules=(p2pnode.protocols.manifest,),
        mutate=behind_the_magic(partial(_edited_manifest, tree_or_value(Manifest))),
        framing=r"IntegrityError: (blob .* is no manifest|.*: not msgpack|.*message: (expected|unknown))",
    )


def _manifest(level: int, count: int) -> Manifest:
    entries = tuple(ManifestEntry(blob_id=_BLOB_ID, file_bytes=1000) for _ in range(count))
    base = random_value(Manifest, random.Random(1))
    return Manifest(
        level=level,
        n=honest.N,
        segment_bytes=limits.BLOB_BYTES_MAX,
        salt=base.salt,
        content=base.content,
        file_bytes=1000 * count,
        entries=entries,
    )


def _edited_manifest(mutate: Mutate, rng: random.Random, data: bytes) -> bytes:
    return mutate(rng, data) if rng.random() < 0.5 else edited_tree(rng, data)  # noqa: PLR2004 - either
