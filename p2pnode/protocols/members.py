"""Member records: what a node says of itself, what it believes of others, and who is a candidate for placement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crypto.keys import SigningKey
from crypto.work import BadWorkError, Task, check_claim, check_work, key_of_work
from p2pnode.membership.domains import wide_of
from p2pnode.membership.table import Member
from p2pnode.placement.rendezvous import Candidate, capacity_weights
from wire import limits
from wire.ids import PeerId, PublicKey
from wire.messages import Members
from wire.records import Envelope, MemberRecord, MemberState
from wire.signed import Signed, open_envelope, sign_record


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """What a node says of itself in every record alike."""

    network: str
    owner: PublicKey
    work: bytes
    """Its solution of the admission work; empty where none is asked."""
    domain_tag: str
    software: str


def make_member_record(
    key: SigningKey,
    facts: OwnFacts,
    *,
    sequence: int,
    time: int,
    addresses: Sequence[str],
    capacity_bytes: int,
    free_bytes: int,
    said: tuple[MemberState, int] = (MemberState.ACTIVE, 0),
) -> Signed[MemberRecord]:
    """Sign what this node says of itself; `said` is its state, and the end of a maintenance."""
    record = MemberRecord(
        sequence=sequence,
        time=time,
        addresses=tuple(addresses)[: limits.ADDRESSES_MAX],
        capacity_bytes=capacity_bytes,
        free_bytes=max(free_bytes, 0),
        state=said[0],
        state_until=said[1],
        work=facts.work,
        owner=facts.owner,
        domain_tag=facts.domain_tag,
        software=facts.software,
    )
    return sign_record(record, key=key, network=facts.network)


def check_member_record(envelope: Envelope, *, network: str) -> Signed[MemberRecord]:
    """Check format and signature. Raises `WireError` or `BadSignatureError`."""
    return open_envelope(envelope, MemberRecord, network=network)


def check_admission_claim(signed: Signed[MemberRecord], *, network: str, cost: int) -> None:
    """Check in some microseconds that a record may have the work that the network asks for. Raises `BadWorkError`."""
    work = signed.record.work
    if cost:
        check_claim(Task(signed.signer, network, cost), work)
    elif work:
        message = "a solution of an admission work that this network does not ask for"
        raise BadWorkError(message)


def check_admission(signed: Signed[MemberRecord], *, network: str, cost: int) -> None:
    """Check a record's work to the end, in a network that asks for some. Raises `BadWorkError`. Call it in a worker."""
    check_work(Task(signed.signer, network, cost), signed.record.work)


def placement_key(peer_id: PeerId, record: MemberRecord) -> bytes:
    """Return what ranks a member: made from its work, so that another key costs the work again, else its peer id."""
    return key_of_work(record.work) if record.work else bytes(peer_id)


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


def make_candidates(
    own: Signed[MemberRecord],
    others: Sequence[tuple[PeerId, Member]],
    *,
    domains: Mapping[PeerId, str],
    is_vetted: Callable[[PeerId], bool] = lambda _peer_id: True,
) -> list[Candidate]:
    """Return ourselves and these members as candidates for placement, in the order of their ids.

    A rank is made of signed common input only (PROTOCOL section 2). `domains` has the failure domain of each.
    """
    rows = [(own.signer_peer, own.record, "")]
    rows += [(peer_id, member.record, member.whereabouts) for peer_id, member in others]
    rows.sort(key=lambda row: row[0])
    weights = capacity_weights([record.capacity_bytes for _, record, _ in rows])
    return [
        Candidate(
            peer_id, placement_key(peer_id, record), weight, domains[peer_id], wide_of(address), is_vetted(peer_id)
        )
        for (peer_id, record, address), weight in zip(rows, weights, strict=True)
    ]
