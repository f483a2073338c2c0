"""Golden bytes of every record, and of the parts that records carry."""

from __future__ import annotations

from tests.wire.golden import Golden
from wire.ids import BlobId, Digest, FileSalt, LeaseTarget, PeerId, PublicKey, Signature
from wire.invitations import Invitation, InvitedMember
from wire.network_secret import NetworkSecret
from wire.protocol_ids import SharedParameters
from wire.records import (
    Announcement,
    AnnouncementBatch,
    Certificate,
    Envelope,
    GroupPage,
    HolderReceipts,
    Lease,
    LeaseKind,
    LeaseScope,
    MemberRecord,
    MemberState,
    MetadataRecord,
    Receipt,
    ReceiptBatch,
    Retraction,
    RetractionReason,
    ShardSet,
    Tombstone,
)

TIME = 1_800_000_000
BLOB = BlobId(b"\xab" * 32)
PEER = PeerId(bytes.fromhex("002408011220") + b"\x9e" * 32)
OWNER = PublicKey(b"\x0e" * 32)
DIGEST = Digest(b"\xd1" * 32)
ENVELOPE = Envelope(body=b"\xb0\xd7", signer=OWNER, signature=Signature(b"\x51" * 64))
METADATA = MetadataRecord(n=4, length=1000, pair_hashes=b"\x4a" * 256)
SHARD_SET = ShardSet(shard=2, blobs=b"\x05")
PAGE = GroupPage(page_index=0, blob_ids=(BLOB,), path=())
INVITED = InvitedMember(key=OWNER, addresses=(bytes.fromhex("04c00002071266"), b"/dns4/a.b/tcp/1"))

RECORDS = (
    Golden(
        ENVELOPE,
        """
        94             # array of 4
          01           # tag: Envelope
          c4 02 b0d7   # body
          c4 20 0e*32  # signer
          c4 40 51*64  # signature
        """,
    ),
    Golden(
        SharedParameters(
            record_format=1,
            lease_format=1,
            epoch_seconds=3600,
            lease_seconds_max=2_678_400,
            admission_work=16,
            shard_count_rule="3f+1<=100",
        ),
        """
        97                       # array of 7
          02                     # tag: SharedParameters
          01                     # record format: 1
          01                     # lease format: 1
          cd 0e10                # epoch seconds: 3600
          ce 0028de80            # lease seconds max: 2678400
          10                     # admission work: 16
          a9 33662b313c3d313030  # shard count rule: 3f+1<=100
        """,
    ),
    Golden(
        Invitation(
            network="family",
            profile="private",
            parameter_hash=b"\xaa" * 8,
            secret=NetworkSecret(b"\x5e" * 16),
            members=(INVITED,),
        ),
        """
        96                                         # array of 6
          03                                       # tag: Invitation
          a6 66616d696c79                          # network: family
          a7 70726976617465                        # profile: private
          c4 08 aa*8                               # parameter hash
          c4 10 5e*16                              # secret
          91                                       # members: array of 1
            93                                     # array of 3
              04                                   # tag: InvitedMember
              c4 20 0e*32                          # key
              92                                   # addresses: array of 2
                c4 07 04c00002071266               # 192.0.2.7, TCP port 4710
                c4 0f 2f646e73342f612e622f7463702f31   # /dns4/a.b/tcp/1
        """,
    ),
    Golden(
        INVITED,
        """
        93                                        # array of 3
          04                                      # tag: InvitedMember
          c4 20 0e*32                             # key
          92                                      # addresses: array of 2
            c4 07 04c00002071266                  # 192.0.2.7, TCP port 4710
            c4 0f 2f646e73342f612e622f7463702f31  # /dns4/a.b/tcp/1
        """,
    ),
    Golden(
        METADATA,
        """
        95                 # array of 5
          10               # tag: MetadataRecord
          01               # version: 1
          04               # n: 4
          cd 03e8          # length: 1000
          c5 01 00 4a*256  # pair hashes
        """,
    ),
    Golden(
        MemberRecord(
            sequence=7,
            time=TIME,
            addresses=("/ip4/192.0.2.1/tcp/4001", "/ip4/127.0.0.1/tcp/1"),
            capacity_bytes=2**40,
            free_bytes=0,
            state=MemberState.MAINTENANCE,
            state_until=TIME + 3600,
            work=b"\x77\x78",
            owner=OWNER,
            domain_tag="attic",
            software="p2pnode 0.1.0",
        ),
        """
        9d                                                     # array of 13
          11                                                   # tag: MemberRecord
          01                                                   # version: 1
          07                                                   # sequence: 7
          ce 6b49d200                                          # time: 1800000000
          92                                                   # addresses: array of 2
            b7 2f6970342f3139322e302e322e312f7463702f34303031  # /ip4/192.0.2.1/tcp/4001
            b4 2f6970342f3132372e302e302e312f7463702f31        # /ip4/127.0.0.1/tcp/1
          cf 0000010000000000                                  # capacity bytes: 1099511627776
          00                                                   # free bytes: 0
          01                                                   # state: 1
          ce 6b49e010                                          # state until: 1800003600
          c4 02 7778                                           # work
          c4 20 0e*32                                          # owner
          a5 6174746963                                        # domain tag: attic
          ad 7032706e6f646520302e312e30                        # software: p2pnode 0.1.0
        """,
    ),
    Golden(
        Lease(
            kind=LeaseKind.PROVISIONAL,
            scope=LeaseScope.BLOB,
            target=LeaseTarget(BLOB),
            salt=None,
            blob_count=1,
            n=4,
            sequence=1,
            start=TIME,
            end=TIME + 86_400,
            is_deletable=True,
            renewers=(),
            holders=(),
        ),
        """
        9e             # array of 14
          13           # tag: Lease
          01           # version: 1
          00           # kind: 0
          00           # scope: 0
          c4 20 ab*32  # target
          c0           # salt: nil
          01           # blob count: 1
          04           # n: 4
          01           # sequence: 1
          ce 6b49d200  # start: 1800000000
          ce 6b4b2380  # end: 1800086400
          c3           # is deletable: true
          90           # renewers: array of 0
          90           # holders: array of 0
        """,
        case="of a new blob",
    ),
    Golden(
        Lease(
            kind=LeaseKind.FINAL,
            scope=LeaseScope.FILE,
            target=LeaseTarget(DIGEST),
            salt=FileSalt(b"\x5a" * 32),
            blob_count=300,
            n=1000,
            sequence=2,
            start=TIME,
            end=TIME + 2_678_400,
            is_deletable=False,
            renewers=(OWNER,),
            holders=(PEER,),
        ),
        """
        9e                            # array of 14
          13                          # tag: Lease
          01                          # version: 1
          01                          # kind: 1
          01                          # scope: 1
          c4 20 d1*32                 # target
          c4 20 5a*32                 # salt
          cd 012c                     # blob count: 300
          cd 03e8                     # n: 1000
          02                          # sequence: 2
          ce 6b49d200                 # start: 1800000000
          ce 6b72b080                 # end: 1802678400
          c2                          # is deletable: false
          91                          # renewers: array of 1
            c4 20 0e*32               # PublicKey
          91                          # holders: array of 1
            c4 26 002408011220 9e*32  # PeerId
        """,
        case="renewal of a file",
    ),
    Golden(
        ReceiptBatch(sequence=8, lease=DIGEST, lease_end=TIME, count=1, root=DIGEST, time=TIME),
        """
        98             # array of 8
          14           # tag: ReceiptBatch
          01           # version: 1
          08           # sequence: 8
          c4 20 d1*32  # lease
          ce 6b49d200  # lease end: 1800000000
          01           # count: 1
          c4 20 d1*32  # root
          ce 6b49d200  # time: 1800000000
        """,
    ),
    Golden(
        Receipt(batch=ENVELOPE, blob_id=BLOB, shard=999, index=1, path=(DIGEST,)),
        """
        97               # array of 7
          15             # tag: Receipt
          01             # version: 1
          94             # batch: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
          c4 20 ab*32    # blob id
          cd 03e7        # shard: 999
          01             # index: 1
          c4 20 d1*32    # path: one Digest
        """,
    ),
    Golden(
        Retraction(blob_id=BLOB, shard=3, sequence=9, reason=RetractionReason.DRAINED, time=TIME),
        """
        97             # array of 7
          16           # tag: Retraction
          01           # version: 1
          c4 20 ab*32  # blob id
          03           # shard: 3
          09           # sequence: 9
          01           # reason: 1
          ce 6b49d200  # time: 1800000000
        """,
    ),
    Golden(
        Tombstone(target=LeaseTarget(BLOB), sequence=2, time=TIME),
        """
        95             # array of 5
          17           # tag: Tombstone
          01           # version: 1
          c4 20 ab*32  # target
          02           # sequence: 2
          ce 6b49d200  # time: 1800000000
        """,
    ),
    Golden(
        SHARD_SET,
        """
        93          # array of 3
          1a        # tag: ShardSet
          02        # shard: 2
          c4 01 05  # blobs
        """,
    ),
    Golden(
        HolderReceipts(batch=ENVELOPE, shard_sets=(SHARD_SET,)),
        """
        93               # array of 3
          19             # tag: HolderReceipts
          94             # batch: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
          91             # shard sets: array of 1
            93           # array of 3
              1a         # tag: ShardSet
              02         # shard: 2
              c4 01 05   # blobs
        """,
    ),
    Golden(
        PAGE,
        """
        94               # array of 4
          1b             # tag: GroupPage
          00             # page index: 0
          91             # blob ids: array of 1
            c4 20 ab*32  # BlobId
          c4 00          # path: none
        """,
        case="of one blob",
    ),
    Golden(
        GroupPage(page_index=16_383, blob_ids=(BLOB, BLOB), path=(DIGEST,)),
        """
        94               # array of 4
          1b             # tag: GroupPage
          cd 3fff        # page index: 16383
          92             # blob ids: array of 2
            c4 20 ab*32  # BlobId
            c4 20 ab*32  # BlobId
          c4 20 d1*32    # path: one Digest
        """,
        case="of a file",
    ),
    Golden(
        Certificate(lease=ENVELOPE, page=PAGE, holders=(HolderReceipts(batch=ENVELOPE, shard_sets=(SHARD_SET,)),)),
        """
        95                   # array of 5
          18                 # tag: Certificate
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
          91                 # holders: array of 1
            93               # array of 3
              19             # tag: HolderReceipts
              94             # batch: array of 4
                01           # tag: Envelope
                c4 02 b0d7   # body
                c4 20 0e*32  # signer
                c4 40 51*64  # signature
              91             # shard sets: array of 1
                93           # array of 3
                  1a         # tag: ShardSet
                  02         # shard: 2
                  c4 01 05   # blobs
        """,
    ),
    Golden(
        Announcement(id_prefix=b"\xab" * 8, lease_end=TIME, record=DIGEST),
        """
        94             # array of 4
          1c           # tag: Announcement
          c4 08 ab*8   # id prefix
          ce 6b49d200  # lease end: 1800000000
          c4 20 d1*32  # record
        """,
    ),
    Golden(
        AnnouncementBatch(
            sequence=1,
            time=TIME,
            announcements=(Announcement(id_prefix=b"\xab" * 8, lease_end=TIME, record=DIGEST),),
        ),
        """
        95                 # array of 5
          1d               # tag: AnnouncementBatch
          01               # version: 1
          01               # sequence: 1
          ce 6b49d200      # time: 1800000000
          91               # announcements: array of 1
            94             # array of 4
              1c           # tag: Announcement
              c4 08 ab*8   # id prefix
              ce 6b49d200  # lease end: 1800000000
              c4 20 d1*32  # record
        """,
    ),
)
