"""The files' formats: golden bytes, and every flipped bit is noticed."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import blake2b_256, tagged_hash
from p2pnode.storage import pairfile, recordfile
from p2pnode.storage.names import parse_pair_name, parse_trash_name, trash_name
from p2pnode.storage.pairfile import (
    PairHeader,
    check_sliver,
    header_of,
    make_header,
    pair_of_shard,
    sealed_header,
    sliver_place,
    verify_pair_file,
)
from p2pnode.storage.recordfile import (
    KeptRenewal,
    KeptSuccession,
    KeptTombstone,
    SequenceCeiling,
    SequenceCeilings,
    kept,
    read_record,
    record_bytes,
)
from p2pnode.storage.sealed import SEAL_BYTES, DamagedFileError, NewerFormatError, seal, unseal
from tests import factories
from tests.storage.helpers import make_pair
from wire.codec import encode
from wire.errors import WireError
from wire.ids import Axis, BlobId, PublicKey, ShardIndex, Signature
from wire.records import Certificate, Envelope, Lease, MetadataRecord

BLOB = BlobId(b"\xab" * 32)
ENVELOPE = Envelope(body=b"lease", signer=PublicKey(b"\x11" * 32), signature=Signature(b"\x22" * 64))


def golden(text: str) -> bytes:
    """Return the bytes of annotated hex: comments go, `ab*32` stands for 32 times ab."""
    found = b""
    for line in text.splitlines():
        for word in line.partition("#")[0].split():
            digits, _, times = word.partition("*")
            found += bytes.fromhex(digits) * int(times or 1)
    return found


def small_file() -> bytes:
    """Return the whole file of the golden header, with its slivers."""
    return sealed_header(golden_header()) + b"primary" + b"sec"


def golden_header() -> PairHeader:
    """Return a small header."""
    return make_header(
        blob_id=BLOB,
        shard=ShardIndex(2),
        metadata=MetadataRecord(n=4, length=9, pair_hashes=b"\x33" * 256),
        leases=(ENVELOPE,),
        primary=b"primary",
        secondary=b"sec",
    )


GOLDEN_PAIR_FILE = f"""
    7032702d70616972                 # magic: p2p-pair
    0001                             # format version 1
    000001e2                         # 482 bytes of header follow
    99                               # array of 9
      cc80                           # tag: PairHeader
      c420 ab*32                     # blob id
      02                             # shard
      95                             # array of 5
        10                           # tag: MetadataRecord
        01                           # version
        04                           # n
        09                           # length of the blob
        c50100 33*256                # pair hashes
      91                             # one lease
        94                           # array of 4
          01                         # tag: Envelope
          c405 6c65617365            # body
          c420 11*32                 # signer
          c440 22*64                 # signature
      07                             # bytes of the primary
      03                             # bytes of the secondary
      c420 {blake2b_256(b"primary").hex()}   # hash of the primary
      c420 {blake2b_256(b"sec").hex()}   # hash of the secondary
"""


def test_a_pair_file_has_these_bytes() -> None:
    start = golden(GOLDEN_PAIR_FILE)
    checksum = tagged_hash(b"p2pnode/sealed", start)
    assert checksum.hex() == "79a437ae81b576b71c055c0e0e3b81ed08d5b2033e92f48ce795248b74422e4c"
    assert small_file().hex() == (start + checksum + b"primary" + b"sec").hex()


def test_a_record_file_has_these_bytes() -> None:
    start = golden("""
        7032702d7265636f             # magic: p2p-reco
        0001                         # format version 1
        0000006d                     # 109 bytes of record follow
        94                           # array of 4
          01                         # tag: Envelope, of a certificate
          c405 6c65617365            # body
          c420 11*32                 # signer
          c440 22*64                 # signature
    """)
    assert record_bytes(ENVELOPE).hex() == (start + tagged_hash(b"p2pnode/sealed", start)).hex()


def test_a_tombstones_file_has_these_bytes() -> None:
    start = golden("""
        7032702d7265636f             # magic: p2p-reco
        0001                         # format version 1
        00000070                     # 112 bytes of record follow
        92                           # array of 2
          cc83                       # tag: KeptTombstone
          94                         # array of 4
            01                       # tag: Envelope, of a tombstone
            c405 6c65617365          # body
            c420 11*32               # signer
            c440 22*64               # signature
    """)
    record = KeptTombstone(tombstone=ENVELOPE)
    assert record_bytes(record).hex() == (start + tagged_hash(b"p2pnode/sealed", start)).hex()
    assert read_record(record_bytes(record)) == record


def test_a_file_of_a_succession_has_these_bytes() -> None:
    start = golden("""
        7032702d7265636f             # magic: p2p-reco
        0001                         # format version 1
        00000070                     # 112 bytes of record follow
        92                           # array of 2
          cc85                       # tag: KeptSuccession
          94                         # succession: array of 4
            01                       # tag: Envelope
            c405 6c65617365          # body
            c420 11*32               # signer
            c440 22*64               # signature
    """)
    record = KeptSuccession(succession=ENVELOPE)
    assert record_bytes(record).hex() == (start + tagged_hash(b"p2pnode/sealed", start)).hex()
    assert read_record(record_bytes(record)) == record


def test_a_renewals_file_has_the_request_in_it() -> None:
    commit = factories.commit_lease()
    body = encode(commit)
    start = golden(f"""
        7032702d7265636f             # magic: p2p-reco
        0001                         # format version 1
        {len(body) + 3:08x}          # so many bytes of record follow
        92                           # array of 2
          cc84                       # tag: KeptRenewal
          {body.hex()}               # CommitLease
    """)
    record = KeptRenewal(commit=commit)
    assert record_bytes(record).hex() == (start + tagged_hash(b"p2pnode/sealed", start)).hex()
    assert read_record(record_bytes(record)) == record


def test_a_name_in_the_trash_is_read_back_and_no_other_passes_for_one() -> None:
    name = trash_name(BLOB, 2, 1_800_000_000).rpartition("/")[2]
    assert parse_trash_name(name) == ((BLOB, 2), 1_800_000_000)
    assert parse_pair_name(name) is None
    for other in (name + "x", name[:-10] + "01", name.replace("-2.", "-02."), f"{'a' * 64}-2.pair", "x.trash-5"):
        assert parse_trash_name(other) is None


def test_a_file_of_ceilings_has_these_bytes() -> None:
    start = golden("""
        7032702d7265636f             # magic: p2p-reco
        0001                         # format version 1
        0000000c                     # 12 bytes of record follow
        92                           # array of 2
          cc81                       # tag: SequenceCeilings
          91                         # one purpose
            93                       # array of 3
              cc82                   # tag: SequenceCeiling
              a1 78                  # purpose: x
              cd0400                 # ceiling 1024
    """)
    record = SequenceCeilings(ceilings=(SequenceCeiling(purpose="x", ceiling=1024),))
    assert record_bytes(record).hex() == (start + tagged_hash(b"p2pnode/sealed", start)).hex()


def read_both(data: bytes) -> tuple[bytes, bytes]:
    """Read both slivers as the store does: header and one sliver at a time."""
    size = header_of(data, blob_id=BLOB, shard=2)
    slivers = []
    for axis in Axis:
        start, count = sliver_place(size, axis)
        check_sliver(size.header, axis, data[start : start + count])
        slivers.append(data[start : start + count])
    return slivers[0], slivers[1]


def test_a_pair_file_gives_back_what_went_in() -> None:
    data = small_file()
    assert verify_pair_file(data, blob_id=BLOB, shard=2) == golden_header()
    assert read_both(data) == (b"primary", b"sec")


def test_every_flipped_bit_of_a_pair_file_is_noticed() -> None:
    data = small_file()
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(DamagedFileError):
                verify_pair_file(bytes(flipped), blob_id=BLOB, shard=2)
            with pytest.raises(DamagedFileError):
                read_both(bytes(flipped))


def test_every_flipped_bit_of_a_record_file_is_noticed() -> None:
    data = record_bytes(ENVELOPE)
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(DamagedFileError):
                read_record(bytes(flipped))


def test_a_file_cut_anywhere_or_with_a_tail_is_noticed() -> None:
    data, record = small_file(), record_bytes(ENVELOPE)
    for count in range(len(data)):
        with pytest.raises(DamagedFileError):
            verify_pair_file(data[:count], blob_id=BLOB, shard=2)
    for count in range(len(record)):
        with pytest.raises(DamagedFileError):
            read_record(record[:count])
    with pytest.raises(DamagedFileError, match="bytes instead of"):
        verify_pair_file(data + b"\0", blob_id=BLOB, shard=2)
    with pytest.raises(DamagedFileError, match="expected"):
        read_record(record + b"\0")


def test_another_pairs_file_is_not_taken_for_this_one() -> None:
    with pytest.raises(DamagedFileError, match="the header is of shard 2 of blob"):
        header_of(small_file(), blob_id=BLOB, shard=3)
    with pytest.raises(DamagedFileError, match="the header is of"):
        header_of(small_file(), blob_id=factories.blob_id(), shard=2)


def test_a_shard_that_the_metadata_does_not_have_is_damage() -> None:
    header = dataclasses.replace(golden_header(), shard=4)
    with pytest.raises(DamagedFileError, match="shard 4 of n = 4"):
        header_of(sealed_header(header), blob_id=BLOB, shard=4)


def test_a_sealed_body_that_is_not_what_it_should_be_is_damage() -> None:
    with pytest.raises(DamagedFileError, match="header cannot be read"):
        header_of(seal(pairfile.MAGIC, pairfile.VERSION, b"\x90"), blob_id=BLOB, shard=2)
    with pytest.raises(DamagedFileError, match="record cannot be read"):
        read_record(seal(recordfile.MAGIC, recordfile.VERSION, encode(golden_header())))
    with pytest.raises(DamagedFileError, match="stored certificate cannot be read"):
        kept(factories.signed_lease().envelope, Certificate)
    assert kept(factories.signed_lease().envelope, Lease) == factories.signed_lease()


def test_a_newer_format_is_told_apart_from_damage() -> None:
    with pytest.raises(NewerFormatError, match="format version 2"):
        read_record(seal(recordfile.MAGIC, 2, encode(ENVELOPE)))
    with pytest.raises(NewerFormatError):
        header_of(seal(pairfile.MAGIC, 2, encode(golden_header())), blob_id=BLOB, shard=2)


def test_one_kind_of_file_never_passes_for_another() -> None:
    body = encode(ENVELOPE)
    data = seal(pairfile.MAGIC, 1, body)
    forged = recordfile.MAGIC + data[len(pairfile.MAGIC) :]
    with pytest.raises(DamagedFileError, match="checksum"):
        read_record(forged)


def test_a_header_is_bounded() -> None:
    """HEADER_BODY_BYTES_MAX holds for what is written and for what is announced."""
    large = Envelope(body=bytes(200_000), signer=ENVELOPE.signer, signature=ENVELOPE.signature)
    with pytest.raises(WireError, match="at most"):
        sealed_header(dataclasses.replace(golden_header(), leases=(large, large)))
    announced = bytearray(small_file())
    announced[10:14] = (pairfile.HEADER_BODY_BYTES_MAX + 1).to_bytes(4, "big")
    with pytest.raises(DamagedFileError, match="are announced"):
        header_of(bytes(announced), blob_id=BLOB, shard=2)


@given(st.binary(max_size=200))
def test_any_bytes_are_damage_or_a_newer_format(data: bytes) -> None:
    for call in (lambda: read_record(data), lambda: verify_pair_file(data, blob_id=BLOB, shard=2)):
        with pytest.raises((DamagedFileError, NewerFormatError)):
            call()


@given(st.binary(max_size=100))
def test_what_is_sealed_is_unsealed(body: bytes) -> None:
    sealed = seal(b"p2p-test", 7, body)
    assert len(sealed) == len(body) + SEAL_BYTES
    assert unseal(sealed, magic=b"p2p-test", version=7, body_bytes_max=100) == body


def test_shards_and_pairs_are_each_others_rotation(rng: random.Random) -> None:
    for n in (4, 7, 100, 1000):
        blob_id = make_pair(rng).blob_id
        offset = int.from_bytes(blob_id, "big") % n
        for shard in range(n):
            assert (pair_of_shard(blob_id, shard=shard, n=n) + offset) % n == shard
