"""Golden bytes of evidence, and of what nodes say to each other about it."""

from __future__ import annotations

from tests.wire.golden import Golden
from tests.wire.golden_records import BLOB, DIGEST, ENVELOPE
from wire.evidence import Evidence, EvidenceKind, EvidenceList, Failure, ListEvidence, TellVerdict, VerdictHeard

FALSE_PROOF = Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(ENVELOPE,))

EVIDENCE = (
    Golden(
        FALSE_PROOF,
        """
        94               # array of 4
          75             # tag: Evidence
          01             # version: 1
          00             # kind: 0
          91             # statements: array of 1
            94           # array of 4
              01         # tag: Envelope
              c4 02 b0d7   # body
              c4 20 0e*32  # signer
              c4 40 51*64  # signature
        """,
    ),
    Golden(
        TellVerdict(failure=Failure.WRONG, blob_id=BLOB, shard=2, evidence=FALSE_PROOF),
        """
        95                 # array of 5
          76               # tag: TellVerdict
          00               # failure: 0
          c4 20 ab*32      # blob id
          02               # shard: 2
          94               # evidence: array of 4
            75             # tag: Evidence
            01             # version: 1
            00             # kind: 0
            91             # statements: array of 1
              94           # array of 4
                01         # tag: Envelope
                c4 02 b0d7   # body
                c4 20 0e*32  # signer
                c4 40 51*64  # signature
        """,
    ),
    Golden(
        TellVerdict(failure=Failure.TIMEOUT, blob_id=BLOB, shard=999, evidence=None),
        """
        95             # array of 5
          76           # tag: TellVerdict
          02           # failure: 2
          c4 20 ab*32  # blob id
          cd 03e7      # shard: 999
          c0           # evidence: nil
        """,
    ),
    Golden(
        VerdictHeard(),
        """
        91    # array of 1
          77  # tag: VerdictHeard
        """,
    ),
    Golden(
        ListEvidence(known=(DIGEST,)),
        """
        92               # array of 2
          78             # tag: ListEvidence
          91             # known: array of 1
            c4 20 d1*32  # Digest
        """,
    ),
    Golden(
        EvidenceList(evidence=(FALSE_PROOF,)),
        """
        92                 # array of 2
          79               # tag: EvidenceList
          91               # evidence: array of 1
            94             # array of 4
              75           # tag: Evidence
              01           # version: 1
              00           # kind: 0
              91           # statements: array of 1
                94         # array of 4
                  01       # tag: Envelope
                  c4 02 b0d7   # body
                  c4 20 0e*32  # signer
                  c4 40 51*64  # signature
        """,
    ),
)
