"""What the histories of a store put into it: pairs that are made once, and records that no store verifies again."""

from __future__ import annotations

import random
from functools import cache

from testnet.sim.disk_harness_goods import Pair, certificate_for, key_of, make_pairs
from wire.codec import encode
from wire.ids import PublicKey, Signature
from wire.records import Certificate, Envelope, HolderReceipts, Lease
from wire.signed import R, Signed

PAIRS_MADE = 32
"""Pairs of which a history takes some: to make one costs a dozen signatures."""


@cache
def pair_of(number: int) -> Pair:
    """Return one of the pairs that histories are about; which bytes it has is the same to a store."""
    return make_pairs(random.Random(number))[0]


def stored_record(record: R, owner: int) -> Signed[R]:
    """Return a record as the store gets it: checked. The signature is not one, which the store never looks at again."""
    signature = Signature(bytes(Signature.length))
    return Signed(record, Envelope(body=encode(record), signer=PublicKey(key_of(owner).public), signature=signature))


@cache
def _batches(pair: Pair) -> tuple[HolderReceipts, ...]:
    """Return receipts of just enough holders, for whichever lease."""
    return certificate_for(pair.blob_id, pair.final, 0).record.holders


def stored_certificate(pair: Pair, lease: Signed[Lease], owner: int) -> Signed[Certificate]:
    """Return an owner's certificate for a lease on a pair, as the store gets it."""
    return stored_record(Certificate(lease=lease.envelope, page=pair.page, holders=_batches(pair)), owner)
