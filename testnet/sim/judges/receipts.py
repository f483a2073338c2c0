"""What a signed receipt batch says, by the specification alone: the node's own checks may be what is broken."""

from __future__ import annotations

from collections.abc import Sequence

from crypto import signing
from crypto.merkle import merkle_root
from p2pnode.storage.names import PairKey
from testnet.sim.world import NETWORK_NAME
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Digest
from wire.records import Envelope, ReceiptBatch

_TAG = "receipt"
"""The domain tag of the specification, whatever the node signs with."""


class BadBatchError(ValueError):
    """A receipt batch that promises nothing, or something else; the message says why."""


def open_batch(envelope: Envelope) -> ReceiptBatch:
    """Check the signature of a batch, with its domain tag, for the simulated network. Raises `BadBatchError`."""
    try:
        batch = decode(envelope.body, ReceiptBatch, bytes_max=limits.RECORD_BYTES_MAX)
        domain = signing.Domain(_TAG, NETWORK_NAME, batch.version)
        signing.verify(domain, envelope.body, public_key=envelope.signer, signature=envelope.signature)
    except WireError as error:
        raise BadBatchError(f"it is no receipt: {error}") from error
    except signing.BadSignatureError as error:
        raise BadBatchError("its signature is not one of a receipt of this network") from error
    return batch


def check_batch(envelope: Envelope, *, lease: Digest, lease_end: int, pairs: Sequence[PairKey]) -> None:
    """Check that a batch promises exactly these pairs under exactly this lease. Raises `BadBatchError`."""
    batch = open_batch(envelope)
    if (batch.lease, batch.lease_end) != (lease, lease_end):
        raise BadBatchError("it is for another lease")
    root = merkle_root([bytes(each.blob_id) + int(each.shard).to_bytes(2, "big") for each in pairs])
    if (batch.count, batch.root) != (len(pairs), root):
        raise BadBatchError("it is for other pairs")
