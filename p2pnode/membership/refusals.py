"""What was refused since the node started, counted by the reason, so that a flood is seen and not only survived."""

from __future__ import annotations

import enum
from collections import Counter


class Refused(enum.StrEnum):
    """Why something that a peer told us was not taken. `p2pnode peers` shows the counts."""

    BAD_RECORD = "bad record"
    """Malformed, forged, or signed for another network, which looks the same."""
    STALE_RECORD = "stale record"
    """Older than what is known, or than the kind may be: mostly late or replayed."""
    FUTURE_RECORD = "record from the future"
    """Beyond the clock skew that is tolerated."""
    TOO_OFTEN = "too often"
    """Its signer spoke more often than its kind allows."""
    NO_WORK = "no admission work"
    """The solution is missing or false."""
    CROWDED = "too many of one network"
    """Too many newcomers at a time from one block of addresses or one peer, or no room in the table for its block."""
    NEWCOMERS_FULL = "newcomers' part of the quota is full"
    """Data under leases of owners that no vetted member stands for, beyond what all of them may have kept here."""

    RECEIPT_UNREADABLE = "unreadable receipt record"
    RECEIPT_FORGED = "forged receipt"
    """A receipt, a certificate or a retraction with a bad signature or for another network, or for other pairs than
    are signed."""
    RECEIPT_MISPLACED = "receipt of another page"
    """Brought for a page that it is not of."""
    RECEIPT_ENDED = "receipt under a lease that is over"
    RECEIPT_FOREIGN = "receipt for what is not held here"
    """No pair that this node holds or has held is under its owner's leases."""
    RECEIPT_UNASSIGNED = "receipt of a signer with no claim"
    """Neither named in a certificate, nor audited, nor among the candidates of the blob."""
    RECEIPT_NOT_NEEDED = "receipt that is older or one too many"
    """Something newer of its signer is known, or others have a better claim to the places. Now and then harmless."""
    RETRACTION_OF_NOTHING = "retraction that ends nothing"
    """Its signer has no receipt for the pair: nobody ends another's."""
    RECEIPTS_TOO_MANY = "more receipts than one peer may bring"


class Refusals:
    """Counts; a reason of another kind of record may be added to the table above."""

    def __init__(self) -> None:
        """Nothing was refused yet."""
        self._counts = Counter[Refused]()

    def count(self, why: Refused, number: int = 1) -> None:
        """Note that so many things were refused."""
        self._counts[why] += number

    def counts(self) -> dict[str, int]:
        """Return how often each reason occurred, in the order of the table; what never occurred is left out."""
        return {why.value: self._counts[why] for why in Refused if self._counts[why]}
