"""Golden bytes of the proof that a blob is inconsistent, and of what nodes say of it."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, DIGEST
from wire.inconsistency import ContradictingSymbol, InconsistencyHeard, InconsistentBlob, TellInconsistent
from wire.records import MetadataRecord

INCONSISTENCY = (
    Golden(
        ContradictingSymbol(source=3, path=(DIGEST,)),
        """
        93               # array of 3
          59             # tag: ContradictingSymbol
          03             # source: 3
          c4 20 d1*32    # path: one Digest
        """,
    ),
    Golden(
        InconsistentBlob(
            metadata=MetadataRecord(n=4, length=1000, pair_hashes=b"\x77" * 256),
            axis=1,
            index=2,
            symbols=(ContradictingSymbol(source=0, path=()),),
            symbols_bytes=334,
        ),
        """
        96                     # array of 6
          5a                   # tag: InconsistentBlob
          95                   # metadata: array of 5
            10                 # tag: MetadataRecord
            01                 # version: 1
            04                 # n: 4
            cd 03e8            # length: 1000
            c5 0100 77*256     # pair hashes
          01                   # axis: 1
          02                   # index: 2
          91                   # symbols: array of 1
            93                 # array of 3
              59               # tag: ContradictingSymbol
              00               # source: 0
              c4 00            # path: none
          cd 014e              # symbols bytes: 334
        """,
    ),
    Golden(
        TellInconsistent(blob_id=BLOB),
        """
        92             # array of 2
          5b           # tag: TellInconsistent
          c4 20 ab*32  # blob id
        """,
    ),
    Golden(
        InconsistencyHeard(),
        """
        91    # array of 1
          5c  # tag: InconsistencyHeard
        """,
    ),
)
