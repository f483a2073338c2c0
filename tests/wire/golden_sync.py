"""Golden bytes of what nodes tell each other about the set of receipts."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import DIGEST, ENVELOPE, PAGE, SHARD_SET
from wire.ids import PageDigests
from wire.messages import CompareSets, ExchangePage, ListPages, PageExchanged, Pages, PageState, SetsCompared
from wire.records import HolderReceipts, HolderRecord, RecordBundle

HOLDER_RECORD = HolderRecord(lease=ENVELOPE, page=PAGE, holder=HolderReceipts(batch=ENVELOPE, shard_sets=(SHARD_SET,)))
BUNDLE = RecordBundle(certificates=(), holders=(), retractions=(ENVELOPE,))
PAGE_STATE = PageState(page=DIGEST, state=b"\x5a" * 8)

SYNC = (
    Golden(
        HOLDER_RECORD,
        """
        95                   # array of 5
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
        BUNDLE,
        """
        94                 # array of 4
          51               # tag: RecordBundle
          90               # certificates: array of 0
          90               # holders: array of 0
          91               # retractions: array of 1
            94             # array of 4
              01           # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
        """,
    ),
    Golden(
        CompareSets(digest=b"\xc0" * 8),
        """
        92            # array of 2
          52          # tag: CompareSets
          c4 08 c0*8  # digest
        """,
    ),
    Golden(
        SetsCompared(buckets=PageDigests(b"\xbd" * 2048)),
        """
        92                  # array of 2
          53                # tag: SetsCompared
          c5 0800 bd*2048   # buckets
        """,
    ),
    Golden(
        SetsCompared(buckets=None),
        """
        92    # array of 2
          53  # tag: SetsCompared
          c0  # buckets: nil
        """,
        case="the same",
    ),
    Golden(
        ListPages(buckets=(0, 255), after=DIGEST),
        """
        93             # array of 3
          54           # tag: ListPages
          92           # buckets: array of 2
            00         # 0
            cc ff      # 255
          c4 20 d1*32  # after
        """,
    ),
    Golden(
        PAGE_STATE,
        """
        93             # array of 3
          55           # tag: PageState
          c4 20 d1*32  # page
          c4 08 5a*8   # state
        """,
    ),
    Golden(
        Pages(pages=(PAGE_STATE,), has_more=True),
        """
        93               # array of 3
          56             # tag: Pages
          91             # pages: array of 1
            93           # array of 3
              55         # tag: PageState
              c4 20 d1*32  # page
              c4 08 5a*8   # state
          c3             # has more: true
        """,
    ),
    Golden(
        ExchangePage(page=DIGEST, has=(DIGEST,), records=BUNDLE),
        """
        94                   # array of 4
          57                 # tag: ExchangePage
          c4 20 d1*32        # page
          91                 # has: array of 1
            c4 20 d1*32      # Digest
          94                 # records: array of 4
            51               # tag: RecordBundle
            90               # certificates: array of 0
            90               # holders: array of 0
            91               # retractions: array of 1
              94             # array of 4
                01           # tag: Envelope
                c4 02 b0d7   # body
                c4 20 0e*32  # signer
                c4 40 51*64  # signature
        """,
    ),
    Golden(
        PageExchanged(wants=(), records=BUNDLE),
        """
        93                   # array of 3
          58                 # tag: PageExchanged
          90                 # wants: array of 0
          94                 # records: array of 4
            51               # tag: RecordBundle
            90               # certificates: array of 0
            90               # holders: array of 0
            91               # retractions: array of 1
              94             # array of 4
                01           # tag: Envelope
                c4 02 b0d7   # body
                c4 20 0e*32  # signer
                c4 40 51*64  # signature
        """,
    ),
)
