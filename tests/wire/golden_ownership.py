"""Golden bytes of what owners keep."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, ENVELOPE, OWNER, TIME
from wire.ids import LeaseTarget, PublicKey
from wire.ownership import (
    KIND_FILE,
    Buried,
    Bury,
    Catalogue,
    CatalogueHead,
    GetHead,
    GetSuccession,
    HeadKept,
    KeepHead,
    KeepSuccession,
    OwnedRecord,
    Succession,
    SuccessionKept,
)

OWNERSHIP = (
    Golden(
        OwnedRecord(
            kind=KIND_FILE,
            blob_id=BLOB,
            target=LeaseTarget(b"\xaa" * 32),
            blob_count=3,
            n=10,
            size=1000,
            name="a.txt",
            stored_at=TIME,
            wanted_until=0,
            lease_sequence=7,
            lease_end=TIME,
            renewers=(OWNER,),
            sequence=2,
            removed_at=0,
        ),
        """
        dc 0010          # array of 16
          60             # tag: OwnedRecord
          01             # version: 1
          01             # kind: 1
          c4 20 ab*32    # blob id
          c4 20 aa*32    # target
          03             # blob count: 3
          0a             # n: 10
          cd 03e8        # size: 1000
          a5 612e747874  # name
          ce 6b49d200    # stored at: 1800000000
          00             # wanted until: 0
          07             # lease sequence: 7
          ce 6b49d200    # lease end: 1800000000
          91             # renewers: array of 1
            c4 20 0e*32  # PublicKey
          02             # sequence: 2
          00             # removed at: 0
        """,
    ),
    Golden(
        CatalogueHead(sequence=3, time=TIME, end=TIME, kind=0, blob_id=BLOB),
        """
        97             # array of 7
          61           # tag: CatalogueHead
          01           # version: 1
          03           # sequence: 3
          ce 6b49d200  # time: 1800000000
          ce 6b49d200  # end: 1800000000
          00           # kind: 0
          c4 20 ab*32  # blob id
        """,
    ),
    Golden(
        KeepHead(head=ENVELOPE),
        """
        92               # array of 2
          62             # tag: KeepHead
          94             # head: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
    ),
    Golden(
        GetHead(owner=OWNER),
        """
        92             # array of 2
          63           # tag: GetHead
          c4 20 0e*32  # owner
        """,
    ),
    Golden(
        HeadKept(head=None),
        """
        92    # array of 2
          64  # tag: HeadKept
          c0  # head: nil
        """,
        case="of nobody",
    ),
    Golden(
        HeadKept(head=ENVELOPE),
        """
        92               # array of 2
          64             # tag: HeadKept
          94             # head: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
        case="of an owner",
    ),
    Golden(
        Bury(tombstone=ENVELOPE),
        """
        92               # array of 2
          65             # tag: Bury
          94             # tombstone: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
    ),
    Golden(
        Buried(),
        """
        91    # array of 1
          66  # tag: Buried
        """,
    ),
    Golden(
        Catalogue(records=(ENVELOPE,)),
        """
        93                 # array of 3
          67               # tag: Catalogue
          01               # version: 1
          91               # records: array of 1
            94             # array of 4
              01           # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
        """,
    ),
    Golden(
        Succession(predecessor=OWNER, successor=PublicKey(b"\x5c" * 32), time=TIME, consent=None),
        """
        96             # array of 6
          68           # tag: Succession
          01           # version: 1
          c4 20 0e*32  # predecessor
          c4 20 5c*32  # successor
          ce 6b49d200  # time: 1800000000
          c0           # consent: nil
        """,
        case="that the successor signs",
    ),
    Golden(
        Succession(predecessor=OWNER, successor=PublicKey(b"\x5c" * 32), time=TIME, consent=ENVELOPE),
        """
        96               # array of 6
          68             # tag: Succession
          01             # version: 1
          c4 20 0e*32    # predecessor
          c4 20 5c*32    # successor
          ce 6b49d200    # time: 1800000000
          94             # consent: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
        case="that the predecessor signs",
    ),
    Golden(
        KeepSuccession(succession=ENVELOPE),
        """
        92               # array of 2
          69             # tag: KeepSuccession
          94             # succession: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
    ),
    Golden(
        GetSuccession(owner=OWNER),
        """
        92             # array of 2
          6a           # tag: GetSuccession
          c4 20 0e*32  # owner
        """,
    ),
    Golden(
        SuccessionKept(succession=None),
        """
        92    # array of 2
          6b  # tag: SuccessionKept
          c0  # succession: nil
        """,
        case="of nobody",
    ),
    Golden(
        SuccessionKept(succession=ENVELOPE),
        """
        92               # array of 2
          6b             # tag: SuccessionKept
          94             # succession: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
        case="of an owner",
    ),
)
