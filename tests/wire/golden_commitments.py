"""Golden bytes of commitments, and of what is shown of them."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, DIGEST
from wire.commitments import Commitment, CommittedBucket, CommittedEntry, Reveal

ENTRY = CommittedEntry(blob_id=BLOB, shard=2, pair_bytes=1000, lease_end=1_800_000_000, index=1, path=(DIGEST,))
EMPTY_BUCKET = CommittedBucket(count=0, root=DIGEST, path=(DIGEST,), entries=())
REVEAL = Reveal(commitment=DIGEST, path=(DIGEST,))

COMMITMENTS = (
    Golden(
        Commitment(
            epoch=500_000,
            time=1_800_000_000,
            root=DIGEST,
            count=3,
            pair_bytes=4000,
            secrets=DIGEST,
        ),
        """
        98               # array of 8
          7a             # tag: Commitment
          01             # version: 1
          ce 0007a120    # epoch: 500,000
          ce 6b49d200    # time: 1,800,000,000
          c4 20 d1*32    # root
          03             # count: 3
          cd 0fa0        # pair bytes: 4,000
          c4 20 d1*32    # secrets
        """,
    ),
    Golden(
        ENTRY,
        """
        97               # array of 7
          7b             # tag: CommittedEntry
          c4 20 ab*32    # blob id
          02             # shard: 2
          cd 03e8        # pair bytes: 1,000
          ce 6b49d200    # lease end: 1,800,000,000
          01             # index: 1
          c4 20 d1*32    # path: one Digest
        """,
    ),
    Golden(
        CommittedBucket(count=2, root=DIGEST, path=(DIGEST,), entries=(ENTRY,)),
        """
        95                 # array of 5
          7c               # tag: CommittedBucket
          02               # count: 2
          c4 20 d1*32      # root
          c4 20 d1*32      # path: one Digest
          91               # entries: array of 1
            97             # array of 7
              7b           # tag: CommittedEntry
              c4 20 ab*32  # blob id
              02           # shard: 2
              cd 03e8      # pair bytes: 1,000
              ce 6b49d200  # lease end: 1,800,000,000
              01           # index: 1
              c4 20 d1*32  # path: one Digest
        """,
    ),
    Golden(
        REVEAL,
        """
        93               # array of 3
          7d             # tag: Reveal
          c4 20 d1*32    # commitment
          c4 20 d1*32    # path: one Digest
        """,
    ),
)
