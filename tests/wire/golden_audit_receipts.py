"""Golden bytes of audit receipts."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, DIGEST, ENVELOPE, PEER
from wire.audit_receipts import AuditedPair, AuditReceipt, Countersignature, Outcome, SignedAudit
from wire.ids import Signature

AUDIT_RECEIPTS = (
    Golden(
        AuditReceipt(
            auditor=PEER,
            holder=PEER,
            audits=(
                AuditedPair(
                    time=1_800_000_000,
                    blob_id=BLOB,
                    shard=2,
                    lease=DIGEST,
                    base=DIGEST,
                    answer=DIGEST,
                    outcome=Outcome.LOST,
                    pair_bytes=300,
                ),
            ),
        ),
        """
        95                             # array of 5
          7e                           # tag: AuditReceipt
          01                           # version: 1
          c4 26 002408011220 9e*32      # auditor
          c4 26 002408011220 9e*32      # holder
          91                           # audits: array of 1
            99                         # array of 9
              cc90                     # tag: AuditedPair
              ce 6b49d200              # time: 1800000000
              c4 20 ab*32              # blob id
              02                       # shard: 2
              c4 20 d1*32              # lease
              c4 20 d1*32              # base
              c4 20 d1*32              # answer
              01                       # outcome: 1
              cd 012c                  # pair bytes: 300
        """,
    ),
    Golden(
        SignedAudit(statement=ENVELOPE),
        """
        92               # array of 2
          7f             # tag: SignedAudit
          94             # statement: array of 4
            01           # tag: Envelope
            c4 02 b0d7   # body
            c4 20 0e*32  # signer
            c4 40 51*64  # signature
        """,
    ),
    Golden(
        AuditedPair(
            time=0,
            blob_id=BLOB,
            shard=999,
            lease=DIGEST,
            base=DIGEST,
            answer=DIGEST,
            outcome=Outcome.PROVEN,
            pair_bytes=0,
        ),
        """
        99                 # array of 9
          cc90             # tag: AuditedPair
          00               # time: 0
          c4 20 ab*32      # blob id
          cd 03e7          # shard: 999
          c4 20 d1*32      # lease
          c4 20 d1*32      # base
          c4 20 d1*32      # answer
          00               # outcome: 0
          00               # pair bytes: 0
        """,
    ),
    Golden(
        Countersignature(signature=Signature(bytes([0x51]) * 64)),
        """
        92               # array of 2
          cc91           # tag: Countersignature
          c4 40 51*64    # signature
        """,
    ),
)
