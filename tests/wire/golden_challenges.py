"""Golden bytes of challenges and their answers."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_commitments import EMPTY_BUCKET, REVEAL
from tests.wire.golden_records import BLOB, DIGEST, ENVELOPE, PEER
from wire.challenges import Absent, Challenge, NamedReceipt, Proven, StorageProof
from wire.ids import Digest
from wire.records import Receipt

NAMED = NamedReceipt(commitment=DIGEST, blob_id=BLOB, shard=2, lease=Digest(b"\x1e" * 32), sequence=9)
RECEIPT = Receipt(batch=ENVELOPE, blob_id=BLOB, shard=2, index=1, path=(DIGEST,))

CHALLENGES = (
    Golden(
        Challenge(receipt=RECEIPT, number=7, secret=DIGEST, deadline=1_800_000_000),
        """
        96                 # array of 6
          70               # tag: Challenge
          97               # receipt: array of 7
            15             # tag: Receipt
            01             # version: 1
            94             # batch: array of 4
              01           # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
            c4 20 ab*32    # blob id
            02             # shard: 2
            01             # index: 1
            c4 20 d1*32    # path: one Digest
          07               # number: 7
          c4 20 d1*32      # secret
          ce 6b49d200      # deadline: 1,800,000,000
          c0               # reveal: nil
        """,
    ),
    Golden(
        Challenge(receipt=NAMED, number=7, secret=DIGEST, deadline=1_800_000_000, reveal=REVEAL),
        """
        96                 # array of 6
          70               # tag: Challenge
          96               # receipt: array of 6
            73             # tag: NamedReceipt
            c4 20 d1*32    # commitment
            c4 20 ab*32    # blob id
            02             # shard: 2
            c4 20 1e*32    # lease
            09             # sequence: 9
          07               # number: 7
          c4 20 d1*32      # secret
          ce 6b49d200      # deadline: 1,800,000,000
          93               # reveal: array of 3
            7d             # tag: Reveal
            c4 20 d1*32    # commitment
            c4 20 d1*32    # path: one Digest
        """,
    ),
    Golden(
        NAMED,
        """
        96               # array of 6
          73             # tag: NamedReceipt
          c4 20 d1*32    # commitment
          c4 20 ab*32    # blob id
          02             # shard: 2
          c4 20 1e*32    # lease
          09             # sequence: 9
        """,
    ),
    Golden(
        Proven(proof=ENVELOPE),
        """
        93               # array of 3
          71             # tag: Proven
          94             # proof: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
          c0             # bucket: nil
        """,
    ),
    Golden(
        Absent(retraction=ENVELOPE, bucket=EMPTY_BUCKET),
        """
        93               # array of 3
          72             # tag: Absent
          94             # retraction: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
          95             # bucket: array of 5
            7c           # tag: CommittedBucket
            00           # count: 0
            c4 20 d1*32  # root
            c4 20 d1*32  # path: one Digest
            90           # entries: array of 0
        """,
    ),
    Golden(
        Absent(retraction=ENVELOPE),
        """
        93               # array of 3
          72             # tag: Absent
          94             # retraction: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
          c0             # bucket: nil
        """,
    ),
    Golden(
        StorageProof(
            challenger=PEER,
            base=DIGEST,
            number=7,
            secret=DIGEST,
            deadline=1_800_000_000,
            blob_id=BLOB,
            shard=2,
            n=4,
            length=1000,
            pair_hashes=b"\x33" * 64,
            last_pair_hashes=b"\x44" * 64,
            pair_proof=(DIGEST,),
            symbols=(b"\x5a\x5a", b"\x6b\x6b"),
            symbol_proof=(DIGEST, DIGEST),
        ),
        """
        dc 0010                     # array of 16
          74                        # tag: StorageProof
          01                        # version: 1
          c4 26 002408011220 9e*32  # challenger
          c4 20 d1*32               # base
          07                        # number: 7
          c4 20 d1*32               # secret
          ce 6b49d200               # deadline: 1,800,000,000
          c4 20 ab*32               # blob id
          02                        # shard: 2
          04                        # n: 4
          cd 03e8                   # length: 1,000
          c4 40 33*64               # pair hashes
          c4 40 44*64               # last pair hashes
          c4 20 d1*32               # pair proof: one Digest
          92                        # symbols: array of 2
            c4 02 5a*2              # the first
            c4 02 6b*2              # the second
          c4 40 d1*64               # symbol proof: two Digests
        """,
    ),
)
