"""Golden bytes of every message."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, ENVELOPE, METADATA, PAGE, PEER, SHARD_SET
from wire.ids import Axis, MembersSummary
from wire.messages import (
    BlobRecord,
    Certified,
    Certify,
    CommitLease,
    Committed,
    DialBack,
    DialledBack,
    DialOutcome,
    ExchangeMembers,
    GetOwnRecord,
    GetRecord,
    GetSliver,
    Members,
    NoRecord,
    OwnRecord,
    RefusalCode,
    Refused,
    SliverData,
    Stored,
    StorePair,
)

MESSAGES = (
    Golden(
        Refused(code=RefusalCode.NOT_HELD, reason="shard 3 is not here"),
        """
        93                                           # array of 3
          20                                         # tag: Refused
          03                                         # code: 3
          b3 73686172642033206973206e6f742068657265  # reason: shard 3 is not here
        """,
    ),
    Golden(
        ExchangeMembers(record=ENVELOPE, after=None, known=None),
        """
        94               # array of 4
          21             # tag: ExchangeMembers
          94             # record: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
          c0             # after: nil
          c0             # known: nil
        """,
        case="from the start",
    ),
    Golden(
        ExchangeMembers(record=ENVELOPE, after=PEER, known=MembersSummary(b"\x5a" * 1024)),
        """
        94                          # array of 4
          21                        # tag: ExchangeMembers
          94                        # record: array of 4
            01                      # tag: Envelope
            c4 02 b0d7              # body
            c4 20 0e*32             # signer
            c4 40 51*64             # signature
          c4 26 002408011220 9e*32  # after
          c5 0400 5a*1024           # known
        """,
        case="after a peer",
    ),
    Golden(
        Members(records=(ENVELOPE,), has_more=True),
        """
        93                 # array of 3
          22               # tag: Members
          91               # records: array of 1
            94             # array of 4
              01           # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
          c3               # has more: true
        """,
        case="with more",
    ),
    Golden(
        Members(records=(), has_more=False),
        """
        93    # array of 3
          22  # tag: Members
          90  # records: array of 0
          c2  # has more: false
        """,
        case="of nobody",
    ),
    Golden(
        StorePair(
            leases=(ENVELOPE, ENVELOPE),
            metadata=METADATA,
            blob_id=BLOB,
            shard=3,
            primary_bytes=300,
            secondary_bytes=200,
        ),
        """
        97                   # array of 7
          23                 # tag: StorePair
          92                 # leases: array of 2
            94               # array of 4
              01             # tag: Envelope
              c4 02 b0d7     # body
              c4 20 0e*32    # signer
              c4 40 51*64    # signature
            94               # array of 4
              01             # tag: Envelope
              c4 02 b0d7     # body
              c4 20 0e*32    # signer
              c4 40 51*64    # signature
          95                 # metadata: array of 5
            10               # tag: MetadataRecord
            01               # version: 1
            04               # n: 4
            cd 03e8          # length: 1000
            c5 01 00 4a*256  # pair hashes
          c4 20 ab*32        # blob id
          03                 # shard: 3
          cd 012c            # primary bytes: 300
          cc c8              # secondary bytes: 200
        """,
    ),
    Golden(
        Stored(batches=(ENVELOPE,)),
        """
        92                 # array of 2
          24               # tag: Stored
          91               # batches: array of 1
            94             # array of 4
              01           # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
        """,
    ),
    Golden(
        CommitLease(lease=ENVELOPE, page=PAGE, shard_sets=(SHARD_SET,)),
        """
        94                 # array of 4
          25               # tag: CommitLease
          94               # lease: array of 4
            01             # tag: Envelope
            c4 02 b0d7     # body
            c4 20 0e*32    # signer
            c4 40 51*64    # signature
          94               # page: array of 4
            1b             # tag: GroupPage
            00             # page index: 0
            91             # blob ids: array of 1
              c4 20 ab*32  # BlobId
            c4 00          # path: none
          91               # shard sets: array of 1
            93             # array of 3
              1a           # tag: ShardSet
              02           # shard: 2
              c4 01 05     # blobs
        """,
    ),
    Golden(
        Committed(batch=ENVELOPE),
        """
        92               # array of 2
          26             # tag: Committed
          94             # batch: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
    ),
    Golden(
        Certify(certificate=ENVELOPE),
        """
        92               # array of 2
          27             # tag: Certify
          94             # certificate: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
    ),
    Golden(
        Certified(),
        """
        91    # array of 1
          28  # tag: Certified
        """,
    ),
    Golden(
        GetRecord(blob_id=BLOB, wants_certificates=True),
        """
        93             # array of 3
          29           # tag: GetRecord
          c4 20 ab*32  # blob id
          c3           # wants certificates: true
        """,
    ),
    Golden(
        BlobRecord(
            metadata=METADATA, shards_held=(0, 128), certificates=(ENVELOPE,), holders=(), retractions=(ENVELOPE,)
        ),
        """
        96                   # array of 6
          2a                 # tag: BlobRecord
          95                 # metadata: array of 5
            10               # tag: MetadataRecord
            01               # version: 1
            04               # n: 4
            cd 03e8          # length: 1000
            c5 01 00 4a*256  # pair hashes
          92                 # shards held: array of 2
            00               # 0
            cc 80            # 128
          91                 # certificates: array of 1
            94               # array of 4
              01             # tag: Envelope
              c4 02 b0d7     # body
              c4 20 0e*32    # signer
              c4 40 51*64    # signature
          90                 # holders: array of 0
          91                 # retractions: array of 1
            94               # array of 4
              01             # tag: Envelope
              c4 02 b0d7     # body
              c4 20 0e*32    # signer
              c4 40 51*64    # signature
        """,
    ),
    Golden(
        NoRecord(),
        """
        91    # array of 1
          2b  # tag: NoRecord
        """,
    ),
    Golden(
        GetSliver(blob_id=BLOB, axis=Axis.SECONDARY, index=130),
        """
        94             # array of 4
          2c           # tag: GetSliver
          c4 20 ab*32  # blob id
          01           # axis: 1
          cc 82        # index: 130
        """,
    ),
    Golden(
        SliverData(sliver_bytes=1_398_144),
        """
        92             # array of 2
          2d           # tag: SliverData
          ce 00155580  # sliver bytes: 1398144
        """,
    ),
    Golden(
        DialBack(addresses=("/ip4/192.0.2.7/tcp/4710",)),
        """
        92                                                    # array of 2
          2e                                                  # tag: DialBack
          91                                                  # addresses: array of 1
            b7 2f6970342f3139322e302e322e372f7463702f34373130  # /ip4/192.0.2.7/tcp/4710
        """,
    ),
    Golden(
        DialledBack(outcomes=(DialOutcome.REACHED, DialOutcome.NOT_TRIED), seen_at="/ip4/192.0.2.7/tcp/9"),
        """
        93                                             # array of 3
          2f                                           # tag: DialledBack
          92                                           # outcomes: array of 2
            00                                         # 0: reached
            03                                         # 3: not tried
          b4 2f6970342f3139322e302e322e372f7463702f39  # seen at: /ip4/192.0.2.7/tcp/9
        """,
    ),
    Golden(
        GetOwnRecord(),
        """
        91    # array of 1
          48  # tag: GetOwnRecord
        """,
    ),
    Golden(
        OwnRecord(record=ENVELOPE),
        """
        92               # array of 2
          49             # tag: OwnRecord
          94             # record: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
        case="known",
    ),
    Golden(
        OwnRecord(record=None),
        """
        92    # array of 2
          49  # tag: OwnRecord
          c0  # record: nil
        """,
        case="unknown",
    ),
)
