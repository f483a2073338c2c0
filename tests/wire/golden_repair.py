"""Golden bytes of what is said for repair."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, DIGEST, ENVELOPE
from tests.wire.golden_sync import HOLDER_RECORD
from wire.repair import (
    LossNoted,
    RecoveredSymbol,
    RecoveredSymbols,
    RecoverSymbols,
    RepairIntent,
    TakenOver,
    TakeOver,
    TellLoss,
    WantedSymbol,
)

REPAIR = (
    Golden(
        TakenOver(holder=HOLDER_RECORD),
        """
        92                     # array of 2
          cc 87                # tag: TakenOver
          95                   # holder: array of 5
            50                 # tag: HolderRecord
            01                 # version: 1
            94                 # lease: array of 4
              01               # tag: Envelope
              c4 02 b0d7       # body
              c4 20 0e*32      # signer
              c4 40 51*64      # signature
            94                 # page: array of 4
              1b               # tag: GroupPage
              00               # page index: 0
              91               # blob ids: array of 1
                c4 20 ab*32    # BlobId
              c4 00            # path: none
            93                 # holder: array of 3
              19               # tag: HolderReceipts
              94               # batch: array of 4
                01             # tag: Envelope
                c4 02 b0d7     # body
                c4 20 0e*32    # signer
                c4 40 51*64    # signature
              91               # shard sets: array of 1
                93             # array of 3
                  1a           # tag: ShardSet
                  02           # shard: 2
                  c4 01 05     # blobs
        """,
    ),
    Golden(
        RepairIntent(page=DIGEST, blob_ids=(BLOB,), shard=2, time=1_800_000_000),
        """
        96                 # array of 6
          cc 88            # tag: RepairIntent
          01               # version: 1
          c4 20 d1*32      # page
          91               # blob ids: array of 1
            c4 20 ab*32    # BlobId
          02               # shard: 2
          ce 6b49d200      # time: 1,800,000,000
        """,
    ),
    Golden(
        WantedSymbol(blob=3, axis=1, index=6),
        """
        94         # array of 4
          cc 89    # tag: WantedSymbol
          03       # blob: 3
          01       # axis: 1
          06       # index: 6
        """,
    ),
    Golden(
        RecoverSymbols(intent=ENVELOPE, wanted=(WantedSymbol(blob=0, axis=0, index=200),), retractions=(ENVELOPE,)),
        """
        94                 # array of 4
          cc 8a            # tag: RecoverSymbols
          94               # intent: array of 4
            01             # tag: Envelope
            c4 02 b0d7     # body
            c4 20 0e*32    # signer
            c4 40 51*64    # signature
          91               # wanted: array of 1
            94             # array of 4
              cc 89        # tag: WantedSymbol
              00           # blob: 0
              00           # axis: 0
              cc c8        # index: 200
          91               # retractions: array of 1
            94             # array of 4
              01           # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
        """,
    ),
    Golden(
        RecoveredSymbol(wanted=4, path=(DIGEST,)),
        """
        93               # array of 3
          cc 8b          # tag: RecoveredSymbol
          04             # wanted: 4
          c4 20 d1*32    # path: one Digest
        """,
    ),
    Golden(
        RecoveredSymbols(symbols=(RecoveredSymbol(wanted=0, path=(DIGEST,)),), symbols_bytes=1000),
        """
        93                 # array of 3
          cc 8c            # tag: RecoveredSymbols
          91               # symbols: array of 1
            93             # array of 3
              cc 8b        # tag: RecoveredSymbol
              00           # wanted: 0
              c4 20 d1*32  # path: one Digest
          cd 03e8          # symbols bytes: 1,000
        """,
    ),
    Golden(
        TellLoss(page=DIGEST, blob_ids=(BLOB,), shard=2),
        """
        94                 # array of 4
          cc 8d            # tag: TellLoss
          c4 20 d1*32      # page
          91               # blob ids: array of 1
            c4 20 ab*32    # BlobId
          02               # shard: 2
        """,
    ),
    Golden(
        LossNoted(),
        """
        91         # array of 1
          cc 8e    # tag: LossNoted
        """,
    ),
    Golden(
        TakeOver(page=DIGEST, blob_ids=(BLOB,), shard=2),
        """
        94                 # array of 4
          cc 8f            # tag: TakeOver
          c4 20 d1*32      # page
          91               # blob ids: array of 1
            c4 20 ab*32    # BlobId
          02               # shard: 2
        """,
    ),
)
