"""What an honest peer asks of the node under test in audits, and says about them: what damage begins with."""

from __future__ import annotations

from p2pnode.protocols.audit_receipts import shown_by
from p2pnode.protocols.challenge import make_proof, open_challenge, sliver_of
from p2pnode.protocols.receipts import make_batch, pairs_of, receipt_for
from p2pnode.protocols.repair.exchange import bytes_of_pair
from testnet.fuzz import honest
from testnet.fuzz.node import NODE_ID, NODE_KEY
from testnet.fuzz.values import KEYS, NETWORK
from wire.audit_receipts import AuditReceipt, SignedAudit
from wire.challenges import Challenge
from wire.evidence import Evidence, EvidenceKind, Failure, ListEvidence, TellVerdict
from wire.framing import frame
from wire.ids import Digest, ShardIndex
from wire.inconsistency import TellInconsistent
from wire.records import HolderReceipts
from wire.signed import sign_record

ASKER = 1
"""It holds a pair of the blob as well, so that it may ask."""

_BLOB_BYTES = 300


def our_receipts() -> HolderReceipts:
    """Return a receipt of the node under test."""
    blob = honest.honest_blob(size=_BLOB_BYTES)
    sets = blob.commit(0).shard_sets
    pairs = list(pairs_of(blob.page, sets))
    batch = make_batch(NODE_KEY, blob.final, pairs, network=NETWORK, time=honest.WALL, sequence=1)
    return HolderReceipts(batch=batch.envelope, shard_sets=sets)


def challenge(number: int) -> Challenge:
    """Return a question about it."""
    blob = honest.honest_blob(size=_BLOB_BYTES)
    receipt = receipt_for(blob.page, our_receipts(), blob.blob_id, ShardIndex(0))
    return Challenge(receipt=receipt, number=number, secret=Digest(bytes([number]) * 32), deadline=honest.WALL)


def audited(count: int) -> SignedAudit:
    """Return what the asker signs when the node has answered the first questions."""
    blob = honest.honest_blob(size=_BLOB_BYTES)
    metadata = blob.encoded.metadata
    shown = []
    for number in range(count):
        question = open_challenge(challenge(number), challenger=honest.peer_id(ASKER), network=NETWORK)
        axis, _, _ = sliver_of(question, metadata)
        answer = make_proof(question, metadata, blob.payload(0)[axis], key=NODE_KEY)
        pair_bytes = bytes_of_pair(metadata.length, metadata.n)
        shown.append(shown_by(question, answer, pair_bytes=pair_bytes, time=honest.WALL))
    record = AuditReceipt(auditor=honest.peer_id(ASKER), holder=NODE_ID, audits=tuple(shown))
    return SignedAudit(statement=sign_record(record, key=KEYS[ASKER], network=NETWORK).envelope)


def streams() -> list[bytes]:
    """Return honest streams of the protocol: statements come first, for the first message is what is damaged most."""
    questions = [frame(challenge(number)) for number in range(4)]
    blob = honest.honest_blob(size=_BLOB_BYTES)
    evidence = Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(honest.member(1).envelope,))
    told = [
        TellVerdict(failure=failure, blob_id=blob.blob_id, shard=0, evidence=evidence if failure else None)
        for failure in Failure
    ]
    return [
        *(b"".join(questions[:count]) + frame(audited(count)) for count in range(1, 5)),
        *(frame(audited(count)) + questions[0] for count in (1, 4)),
        *(frame(each) for each in told),
        frame(ListEvidence(known=())),
        frame(ListEvidence(known=(Digest(bytes(32)),))),
        *(frame(TellInconsistent(blob_id=honest.honest_blob(number, size=300).blob_id)) for number in range(2)),
    ]
