"""Member records: what a node says of itself, what it believes of others, and who is a candidate for placement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.membership.domains import domain_of
from p2pnode.membership.table import Member
from p2pnode.placement.rendezvous import Candidate, capacity_weights
from wire import limits
from wire.ids import PeerId
from wire.messages import Members
from wire.records import Envelope, MemberRecord, MemberState
from wire.signed import Signed, open_envelope, sign_record


def make_member_record(
    key: SigningKey,
    *,
    network: str,
    sequence: int,
    time: int,
    addresses: Sequence[str],
    capacity_bytes: int,
    free_bytes: int,
    software: str,
) -> Signed[MemberRecord]:
    """Sign what this node says of itself."""
    record = MemberRecord(
        sequence=sequence,
        time=time,
        addresses=tuple(addresses)[: limits.ADDRESSES_MAX],
        capacity_bytes=capacity_bytes,
        free_bytes=max(free_bytes, 0),
        state=MemberState.ACTIVE,
        state_until=0,
        work=b"",
        software=software,
    )
    return sign_record(record, key=key, network=network)


def check_member_record(envelope: Envelope, *, network: str) -> Signed[MemberRecord]:
    """Check format and signature. Raises `WireError` or `BadSignatureError`."""
    return open_envelope(envelope, MemberRecord, network=network)


def members_page(records: Iterable[tuple[PeerId, Envelope]], *, after: PeerId | None) -> Members:
    """Return the next member records in the order of peer ids, as many as fit into one answer.

    `records` stands in that order.
    """
    rest = [envelope for peer_id, envelope in records if after is None or peer_id > after]
    page: list[Envelope] = []
    size = 0
    for envelope in rest:
        # The keys, the signature and the framing of an envelope have about a hundred bytes.
        size += len(envelope.body) + 128
        if len(page) == limits.MEMBERS_PER_MESSAGE_MAX or size > limits.MESSAGE_BYTES_MAX:
            break
        page.append(envelope)
    return Members(records=tuple(page), has_more=len(page) < len(rest))


def make_candidates(own: Signed[MemberRecord], others: Sequence[tuple[PeerId, Member]]) -> list[Candidate]:
    """Return ourselves and these members as candidates for placement, in the order of their ids.

    A rank is made of signed common input only. Where no admission work is asked, the placement key is the peer id
    (PROTOCOL section 2). The failure domain is that of the address where we reached a member, and of one that only
    dialled us, that of where it came from: else each of a crowd that dials us would count as a domain of its own. Of
    one that we never met it is that of where it says to be, for that is where we shall dial it.
    """
    rows = [(own.signer_peer, own.record.capacity_bytes, "")]
    rows += [(peer_id, member.record.capacity_bytes, _whereabouts(member)) for peer_id, member in others]
    rows.sort(key=lambda row: row[0])
    weights = capacity_weights([capacity for _, capacity, _ in rows])
    return [
        Candidate(peer_id, bytes(peer_id), weight, domain_of(peer_id_to_text(peer_id), address))
        for (peer_id, _, address), weight in zip(rows, weights, strict=True)
    ]


def _whereabouts(member: Member) -> str:
    """Return the address that tells a member's failure domain; empty when it names none and we never met it."""
    return member.address or member.source or next(iter(member.record.addresses), "")
